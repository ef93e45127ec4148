"""Small EVENTS and EXPOSURES tables, written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from footfall.contracts import EVENTS, EXPOSURES

NOON = datetime(2017, 11, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(event_id: str, minutes: float = 0, **fields: Any) -> dict[str, Any]:
    moment = NOON + minutes * MINUTE
    plain = {"user_id": "u1", "item_id": f"item-{event_id}", "event_type": "purchase", "occurred_at": moment, "received_at": moment, "origin": "shop"}
    return {"event_id": event_id, **plain, **fields}


def events_table(*rows: dict[str, Any]) -> pa.Table:
    names = {name for row in rows for name in row}
    return EVENTS.check(pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in EVENTS.schema if f.name in names}))


def slate(request_id: str, *items: str, minutes: float = 0, release: str = "r1") -> pa.Table:
    rows = [
        {
            "request_id": request_id,
            "position": position,
            "item_id": item,
            "score": 1.0 / position,
            "propensity": 1.0,
            "policy": "fused",
            "reason": "taste",
            "user_id": "u1",
            "shown_at": NOON + minutes * MINUTE,
            "release": release,
            "arm": "champion",
        }
        for position, item in enumerate(items, 1)
    ]
    return pa.Table.from_pylist(rows, schema=EXPOSURES.schema)
