"""Events put to the lines that they name, by hand; and the estimators on what comes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENTS, EXPOSURES
from footfall.core.offpolicy import Terms, ips, snips
from footfall.errors import ContractError
from footfall.feedback import OUTCOMES, Feedback, Tally, attribute, log_of
from tests.unit.footfall.store.store_rows import event, events_table, slate

ANY = Terms(minimum_effective=0.0, minimum_outcomes=0.0, maximum_uncovered=1.0)
SHOWN = pa.concat_tables([slate("q1", "tea", "mug", "pot"), slate("q2", "mug", "tea", minutes=10)])
NOTHING, VIEW, CART, PURCHASE = [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]


def told(
    event_id: str, request: str | None = "q1", item: str | None = "tea", minutes: float = 1, kind: str = "view", **fields: Any
) -> dict[str, Any]:
    """An event of u1 that names a request."""
    return event(event_id, minutes, request_id=request, item_id=item, event_type=kind, **fields)


def found(*rows: dict[str, Any], shown: pa.Table = SHOWN) -> Feedback:
    return attribute(shown, events_table(*rows))


def changed(table: pa.Table, **columns: list[Any]) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))
    return table


def test_each_event_counts_for_the_line_that_it_names() -> None:
    rows = [told("a", position=1), told("b", item="pot", kind="purchase"), told("c", "q2", minutes=11, kind="cart", position=2), told("d", minutes=2)]
    feedback = found(*rows, told("no request", None))
    assert feedback.lines.select(["request_id", "item_id"]).to_pylist()[4] == {"request_id": "q2", "item_id": "tea"}
    assert feedback.counts.tolist() == [[2, 0, 0], NOTHING, PURCHASE, NOTHING, CART]
    assert (feedback.events, feedback.refused) == (4, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (told("x", kind="impression"), "no_outcome"),
        (told("x", kind="return"), "no_outcome"),
        (told("x", "q9"), "unknown_request"),
        (told("x", user_id="u2"), "other_user"),
        (told("x", item="cup"), "unknown_item"),
        (told("x", item=None), "unknown_item"),
        (told("x", "q2", item="pot", minutes=11), "unknown_item"),
        (told("x", position=2), "other_position"),
        (told("x", position=4), "other_position"),
        (told("x", position=0), "other_position"),
        (told("x", "q2", minutes=9), "too_early"),
        (told("x", minutes=7 * 24 * 60 + 0.001), "too_late"),
        (told("x", "q9", user_id="u2", kind="search"), "no_outcome"),
    ],
)
def test_what_names_no_line_counts_for_none_and_is_said(row: dict[str, Any], reason: str) -> None:
    feedback = found(row, told("good", item="mug"))
    assert feedback.counts.tolist() == [NOTHING, VIEW, NOTHING, NOTHING, NOTHING]
    assert (feedback.events, feedback.refused) == (2, {reason: 1})


def test_the_moment_it_was_shown_and_the_last_of_the_window_count() -> None:
    assert found(told("a", minutes=0), told("b", minutes=7 * 24 * 60)).counts[0].tolist() == [2, 0, 0]


def test_an_event_that_came_twice_counts_once() -> None:
    feedback = found(told("a"), told("a"), told("a", item="mug"))
    assert (feedback.counts.sum(), feedback.refused) == (1, {"duplicate": 2})


def test_an_item_that_stands_twice_is_found_where_the_event_says_and_otherwise_above() -> None:
    twice = slate("q1", "tea", "mug", "tea")
    assert found(told("a", position=3), told("b"), shown=twice).counts[:, 0].tolist() == [1, 0, 1]


def test_a_slate_of_nobody_in_particular_is_nobodys() -> None:
    assert found(told("a"), shown=changed(slate("q1", "tea"), user_id=[None])).refused == {"other_user": 1}


def test_no_slates_and_no_events_are_no_trouble() -> None:
    assert found(told("a"), shown=EXPOSURES.schema.empty_table()).refused == {"unknown_request": 1}
    nothing = attribute(SHOWN, EVENTS.schema.empty_table())
    assert (nothing.counts.tolist(), nothing.events) == ([NOTHING] * 5, 0)


def test_two_lines_at_one_position_are_refused() -> None:
    with pytest.raises(ContractError, match="not unique"):
        found(told("a"), shown=pa.concat_tables([slate("q1", "tea"), slate("q1", "mug")]))


ROWS = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from("abcdefgh"),
        "user_id": st.sampled_from(["u1", "u2"]),
        "item_id": st.sampled_from(["tea", "mug", "pot", "cup", None]),
        "event_type": st.sampled_from([*OUTCOMES, "impression"]),
        "request_id": st.sampled_from(["q1", "q2", "q3", None]),
        "position": st.sampled_from([None, 1, 2, 3, 9]),
        "minutes": st.integers(-1, 11_000),
    }
)


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_no_more_is_attributed_than_was_told_and_every_event_is_accounted_for(rows: list[dict[str, Any]]) -> None:
    feedback = found(*[event(**row) for row in rows])
    asked = [row for row in rows if row["request_id"]]
    assert feedback.counts.sum() <= len({row["event_id"] for row in asked})
    assert feedback.counts.sum() + sum(feedback.refused.values()) == feedback.events == len(asked)


@given(st.lists(ROWS, min_size=1, max_size=30, unique_by=lambda row: row["event_id"]), st.integers(1, 5))
def test_page_by_page_as_many_lines_are_counted_as_at_once(rows: list[dict[str, Any]], size: int) -> None:
    ordered = sorted(rows, key=lambda row: row["minutes"])
    tally, whole = Tally(), Tally()
    for first in range(0, len(ordered), size):
        tally.add(SHOWN, events_table(*[event(**row) for row in ordered[first : first + size]]))
    whole.add(SHOWN, events_table(*[event(**row) for row in ordered]))
    assert (tally.lines, tally.events, tally.refused) == (whole.lines, whole.events, whole.refused)
    once = found(*[event(**row) for row in rows]).counts > 0
    assert sum(tally.lines.values()) == once.sum()


def test_a_tally_counts_lines_by_release_arm_policy_and_outcome_and_forgets_what_is_over() -> None:
    shown = pa.concat_tables([SHOWN, slate("q3", "tea", release="r2")])
    tally = Tally(timedelta(hours=1))
    tally.add(shown, events_table(told("a"), told("b", "q3"), told("c", minutes=2), told("d", kind="purchase", minutes=3)))
    tally.add(shown, events_table(told("e", minutes=59), told("f", item="mug", minutes=60)))
    assert tally.lines == {("r1", "champion", "fused", "view"): 2, ("r1", "champion", "fused", "purchase"): 1, ("r2", "champion", "fused", "view"): 1}
    tally.add(shown, events_table(told("g", minutes=61)))
    assert (tally.events, tally.refused, tally._seen) == (7, {"too_late": 1}, {})


def test_a_log_of_what_was_shown_is_estimated_as_the_arithmetic_gives_by_hand() -> None:
    three = pa.concat_tables([slate("q1", "tea", "mug"), slate("q2", "mug", "tea", minutes=10), slate("q3", "tea", minutes=20)])
    shown = changed(three, propensity=[0.25, 1.0, 0.5, 0.5, 0.4], user_id=["u1", "u1", "u2", "u2", "u3"])
    rows = [told("a"), told("b", minutes=2), told("c", "q2", "mug", 11, user_id="u2"), told("d", "q2", "tea", 11, user_id="u2")]
    feedback = found(*rows, told("e", "q3", "tea", 21, user_id="u3", kind="purchase"), shown=shown)
    log = log_of(feedback, "view", target=np.array([0.5, 0.5, 0.5, 0.0, 0.6]))
    assert log.reward.tolist() == [1.0, 0.0, 1.0, 1.0, 0.0]  # two clicks on a line are worth one
    assert log.owner is not None
    assert (log.slate.tolist(), log.owner.tolist()) == ([0, 0, 1, 1, 2], [0, 1, 2])
    # weights 2, .5, 1, 0 and 1.5: slates bring 2, 1 and 0
    assert ips(log, ANY).value == pytest.approx(1.0)
    # position 1: (2 + 1) / 4.5 on each of three slates; position 2: 0 / .5
    assert snips(log, ANY).value == pytest.approx(3 / 4.5)
    bought = log_of(feedback, "purchase", target=np.array([0.5, 0.5, 0.5, 0.0, 0.6]))
    assert ips(bought, ANY).value == pytest.approx(1.5 / 3)
    reason = snips(log).reason
    assert reason is not None
    assert reason.startswith("not enough data")


def test_a_log_is_of_one_policy_and_slates_of_nobody_are_each_their_own() -> None:
    four = pa.concat_tables([slate(f"q{number}", "tea", minutes=number) for number in range(4)])
    shown = changed(four, policy=["fused", "popular", "fused", "fused"], release=["r1", "r1", "r2", "r1"], user_id=["u1", "u1", None, None])
    feedback = found(told("a", "q0", minutes=1), told("b", "q1", minutes=2), shown=shown)
    one = feedback.of("fused")
    log = log_of(one, "view", np.ones(3), covered=np.ones(3))
    assert log.owner is not None
    assert (log.slates, log.reward.tolist(), len(set(log.owner.tolist()))) == (3, [1.0, 0.0, 0.0], 3)
    assert feedback.of("fused", "r2").lines["request_id"].to_pylist() == ["q2"]
    with pytest.raises(ValueError, match="one row at least"):
        log_of(feedback.of("nothing"), "view", np.ones(0))
