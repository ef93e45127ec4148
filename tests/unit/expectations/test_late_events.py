"""Late live events: within the lateness they go on, beyond it and from the future they are set aside, and neither holds its batch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from expectations.gate import Judgement, judge
from footfall.contracts import C
from footfall.params import Ingest
from tests.unit.rows import day, events

BOUNDS = Ingest(lateness_hours=72.0, ahead_minutes=10.0)
HOUR, MOMENT = timedelta(hours=1), timedelta(microseconds=1)


def arriving(delay: timedelta, **fields: Any) -> dict[str, Any]:
    """A live purchase at noon of day ten that is received `delay` later."""
    return {"occurred_at": day(10.5), "received_at": day(10.5) + delay, "origin": "http", **fields}


def judge_live(*rows: dict[str, Any], bounds: Ingest | None = BOUNDS) -> Judgement:
    return judge("events", events(*rows), subject="live-2017-03-11", known_items=["apple"], until=day(900), arrival=bounds)


@pytest.mark.parametrize(
    ("delay", "reason"),
    [
        (timedelta(0), None),
        (72 * HOUR, None),
        (72 * HOUR + MOMENT, "too_late"),
        (9000 * HOUR, "too_late"),
        (-HOUR / 6, None),
        (-HOUR / 6 - MOMENT, "from_the_future"),
        (-48 * HOUR, "from_the_future"),
    ],
)
def test_a_live_event_is_received_within_the_bounds_or_set_aside(delay: timedelta, reason: str | None) -> None:
    judged = judge_live(arriving(delay))
    assert judged.bad.column(C.REASON).to_pylist() == ([] if reason is None else [reason])
    assert not judged.held


def test_the_bounds_are_those_of_the_params() -> None:
    assert judge_live(arriving(2 * HOUR), bounds=Ingest(1.0, 0.0)).verdict.quarantined == {"too_late": 1}
    assert judge_live(arriving(200 * HOUR), bounds=Ingest(201.0, 0.0)).verdict.quarantined == {}


def test_an_outside_source_may_be_as_late_as_it_likes() -> None:
    assert judge_live(arriving(9000 * HOUR, origin="shop")).verdict.quarantined == {}


def test_what_was_accepted_before_is_not_asked_again_under_narrower_bounds() -> None:
    judged = judge_live(arriving(9000 * HOUR), bounds=None)
    assert judged.verdict.quarantined == {}
    assert "too_late" not in {check["rule"] for check in judged.verdict.checks}


def test_a_phone_that_was_away_for_a_week_holds_nobody_elses_events() -> None:
    judged = judge_live(*[arriving(168 * HOUR) for _ in range(150)], *[arriving(HOUR) for _ in range(50)])
    assert (judged.verdict.outcome, judged.good.num_rows, judged.verdict.quarantined) == ("pass", 50, {"too_late": 150})


def test_late_rows_do_not_hide_that_the_batch_is_broken() -> None:
    judged = judge_live(*[arriving(168 * HOUR) for _ in range(100)], *[arriving(HOUR, quantity=0) for _ in range(11)])
    assert judged.held  # 11 of 111 rows are bad in themselves
