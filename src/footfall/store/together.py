"""Many small writes in one transaction: under load, requests share the wait for the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Engine

from footfall.contracts import EVENTS, EXPOSURES
from footfall.store.engine import writing
from footfall.store.events import Appended, append_rows
from footfall.store.rows import insert_new
from footfall.store.tables import exposures

Row = tuple[Any, ...]


def write_together(engine: Engine, appends: Sequence[Sequence[Row]], shown: Sequence[Row]) -> list[Appended]:
    """Store several appends of events and any number of exposures, all or none; durable on return.

    Args:
        engine: the store.
        appends: rows in the order of the EVENTS contract's columns, moments in microseconds; one list an append.
        shown: rows in the order of the EXPOSURES contract's columns.

    Returns:
        What happened to each append. An event that two of them bring is new in the first and a duplicate in the second.
    """
    with writing(engine) as connection:
        results = [append_rows(connection, EVENTS.schema.names, list(rows)) for rows in appends]
        if shown:
            insert_new(connection, exposures, EXPOSURES.schema.names, list(shown))
    return results
