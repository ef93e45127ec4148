"""Mended live events: the store says what the accepted batch says, and of nobody else's rows anything new."""

from __future__ import annotations

from footfall.contracts import LIVE_ORIGIN, C
from footfall.store import Engine
from footfall.store import events as event_store
from footfall.store.amendments import amend
from tests.unit.rows import day, events


def test_live_events_are_overwritten_by_their_ids_and_others_stay(engine: Engine) -> None:
    stored = events({"event_id": "a", "origin": LIVE_ORIGIN, "item_id": "old"}, {"event_id": "b", "origin": "shop", "item_id": "old"})
    event_store.append(engine, stored)
    mended = events(
        {"event_id": "a", "origin": LIVE_ORIGIN, "item_id": "new", "quantity": None, "occurred_at": day(2)},
        {"event_id": "b", "origin": LIVE_ORIGIN, "item_id": "new"},
        {"event_id": "c", "origin": LIVE_ORIGIN, "item_id": "new"},
    )

    assert amend(engine, mended) == 1
    amend(engine, mended)  # again, as after a kill

    rows = {row[C.EVENT_ID]: row for row in event_store.window(engine, day(0), day(9)).to_pylist()}
    assert {name: (row[C.ITEM_ID], row[C.QUANTITY], row[C.OCCURRED_AT]) for name, row in rows.items()} == {
        "a": ("new", None, day(2)),
        "b": ("old", 1, day(1)),
    }
