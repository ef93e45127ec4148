"""Ten-row tables for tests: contract tables from a few words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from footfall.contracts import CATALOGUE, CONSENT_PURPOSES, EVENTS, USERS
from footfall.pseudonyms import pseudonym

DAY_ONE = datetime(2017, 3, 1, tzinfo=UTC)


def user(name: str) -> str:
    """A pseudonym that sorts as it is hashed."""
    return pseudonym(name, b"test")


def day(number: float) -> datetime:
    """`number` days after the first of March."""
    return DAY_ONE + timedelta(days=number)


def us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return round(moment.timestamp() * 1_000_000)


def events(*rows: dict[str, Any]) -> pa.Table:
    """EVENTS; a row says only what matters to it."""
    full = []
    for number, row in enumerate(rows):
        at = row.get("occurred_at", day(number))
        usual = {
            "event_id": f"e{number:03d}",
            "user_id": user("ann"),
            "item_id": "apple",
            "event_type": "purchase",
            "occurred_at": at,
            "received_at": at,
            "quantity": 1,
            "price_minor": 100,
            "origin": "shop",
        }
        full.append(usual | row)
    return pa.Table.from_pylist(full, EVENTS.schema)


def catalogue(*item_ids: str, unrecommendable: tuple[str, ...] = ()) -> pa.Table:
    """CATALOGUE with these items."""
    rows = [
        {"item_id": item_id, "title": item_id, "category_path": "fruit", "attributes": "{}", "available": True, "recommendable": True}
        for item_id in item_ids
    ]
    rows += [row | {"item_id": item_id, "recommendable": False} for row in rows[:1] for item_id in unrecommendable]
    return CATALOGUE.sort(pa.Table.from_pylist(rows, CATALOGUE.schema))


def users(*user_ids: str, refusing: tuple[str, ...] = ()) -> pa.Table:
    """USERS with these ids; those in `refusing` refuse to be personalised for."""
    rows = [
        {
            "user_id": user_id,
            "attributes": "{}",
            "consent": json.dumps(dict.fromkeys(CONSENT_PURPOSES, True) | {"personalise": user_id not in refusing}),
            "first_seen_at": DAY_ONE,
        }
        for user_id in user_ids
    ]
    return USERS.sort(pa.Table.from_pylist(rows, USERS.schema))
