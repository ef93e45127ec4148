"""Many small writes in one transaction: under load, requests share the wait for the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Engine

from footfall.contracts import EVENTS, EXPOSURES, C
from footfall.store.engine import writing
from footfall.store.erasures import erased_until
from footfall.store.events import Appended, append_rows
from footfall.store.rows import insert_new
from footfall.store.tables import exposures

Row = tuple[Any, ...]
_USER = EVENTS.schema.names.index(C.USER_ID)
_SEEN_BY, _SHOWN_AT = (EXPOSURES.schema.names.index(name) for name in (C.USER_ID, C.SHOWN_AT))


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
        erased = erased_until(connection, [*(row[_USER] for rows in appends for row in rows), *(row[_SEEN_BY] for row in shown if row[_SEEN_BY])])
        results = [append_rows(connection, EVENTS.schema.names, list(rows), erased) for rows in appends]
        # a slate that was being made while its user was erased
        kept = [row for row in shown if row[_SHOWN_AT] > erased.get(row[_SEEN_BY], row[_SHOWN_AT] - 1)] if erased else list(shown)
        if kept:
            insert_new(connection, exposures, EXPOSURES.schema.names, kept)
    return results
