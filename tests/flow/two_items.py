"""A shop of two items and one user, small enough to know every row, and what its live store holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym
from footfall.sources.months import month_batches
from footfall.store import events, open_store

NOVEMBER = datetime(2017, 11, 1, tzinfo=UTC)
USER = pseudonym("1", b"key")


def event(name: str, at: datetime, **other: Any) -> dict[str, Any]:
    row = {C.EVENT_ID: name, C.USER_ID: USER, C.ITEM_ID: "i1", C.EVENT_TYPE: "purchase", C.OCCURRED_AT: at, C.RECEIVED_AT: at, C.QUANTITY: 1}
    return row | {C.PRICE_MINOR: 100, C.CURRENCY: "EUR", C.ORIGIN: "two_items"} | other


class TwoItems:
    """A source of a few rows; `rows` is its event log."""

    name = "two_items"

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.asked: list[datetime | None] = []
        self.items = ["i1", "i2"]
        self.consent = '{"personalise": true}'

    def catalogue(self) -> pa.Table:
        both = [
            {C.ITEM_ID: name, C.TITLE: name, C.CATEGORY_PATH: "a > b", C.ATTRIBUTES: "{}", C.AVAILABLE: True, C.RECOMMENDABLE: True}
            for name in self.items
        ]
        return pa.Table.from_pylist(both, CATALOGUE.schema)

    def users(self, until: datetime) -> pa.Table:
        first = datetime(2017, 9, 1, tzinfo=UTC)
        return pa.Table.from_pylist([{C.USER_ID: USER, C.ATTRIBUTES: "{}", C.CONSENT: self.consent, C.FIRST_SEEN_AT: first}], USERS.schema)

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        self.asked.append(since)
        for batch in month_batches(self.name, since or datetime(2017, 9, 1, tzinfo=UTC), until):
            rows = [row for row in self.rows if batch.start <= row[C.OCCURRED_AT] < batch.end]
            if rows:
                yield batch.batch_id, pa.Table.from_pylist(rows, EVENTS.schema)


def stored(root: Path) -> int:
    """Events in the live store."""
    engine = open_store(f"sqlite:///{Paths(root).store}")
    try:
        return events.count(engine)
    finally:
        engine.dispose()
