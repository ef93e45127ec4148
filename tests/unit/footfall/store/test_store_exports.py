from __future__ import annotations

from datetime import timedelta

import pytest

from footfall.errors import StoreError
from footfall.store import Engine, events
from tests.unit.footfall.store.store_rows import NOON, event, events_table

DAY = 24 * 60
END = NOON + timedelta(days=10)


def claimed(engine: Engine, until: object = END) -> dict[str, list[str]]:
    return {batch_id: table.column("event_id").to_pylist() for batch_id, table in events.claim_export(engine, until)}


def live(event_id: str, minutes: float = 0) -> dict[str, object]:
    return event(event_id, minutes, origin="http")


def test_live_events_are_claimed_by_day_and_no_other_events_are(engine: Engine) -> None:
    events.append(engine, events_table(live("b", DAY), live("a"), event("backfill"), live("late", 20 * DAY)))
    assert claimed(engine) == {"live-2017-11-03": ["a"], "live-2017-11-04": ["b"]}


def test_a_claim_is_handed_out_until_it_is_marked_and_then_never_again(engine: Engine) -> None:
    events.append(engine, events_table(live("a")))
    assert claimed(engine) == claimed(engine) == {"live-2017-11-03": ["a"]}
    events.mark_exported(engine, "live-2017-11-03")
    events.mark_exported(engine, "live-2017-11-03")
    assert claimed(engine) == {}


def test_what_comes_after_a_claim_goes_into_another_batch_of_the_day(engine: Engine) -> None:
    events.append(engine, events_table(live("a")))
    claimed(engine)
    events.append(engine, events_table(live("b"), live("a")))
    assert claimed(engine) == {"live-2017-11-03": ["a"], "live-2017-11-03-2": ["b"]}
    events.append(engine, events_table(live("c")))
    assert claimed(engine)["live-2017-11-03-3"] == ["c"]


def test_withdrawn_events_are_not_exported(engine: Engine) -> None:
    events.append(engine, events_table(live("a"), live("b")))
    events.withdraw(engine, ["a"], "test")
    assert claimed(engine) == {"live-2017-11-03": ["b"]}


def test_a_batch_that_was_never_claimed_cannot_be_marked(engine: Engine) -> None:
    with pytest.raises(StoreError, match="unknown"):
        events.mark_exported(engine, "live-2000-01-01")
