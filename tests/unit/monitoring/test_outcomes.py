"""Slates against the next basket: known answers by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from footfall.contracts import EVENTS, EXPOSURES, PURCHASE, C
from monitoring.outcomes import judge_slates

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def purchases(*rows: tuple[str, str | None, float, str]) -> pa.Table:
    """EVENTS of (user, session, hours after noon, item)."""
    lines = [
        {C.EVENT_ID: str(number), C.USER_ID: user, C.SESSION_ID: session, C.OCCURRED_AT: NOON + timedelta(hours=hours), C.ITEM_ID: item}
        | {C.EVENT_TYPE: PURCHASE, C.RECEIVED_AT: NOON, C.ORIGIN: "test", C.QUANTITY: 1}
        for number, (user, session, hours, item) in enumerate(rows)
    ]
    return pa.Table.from_pylist(lines, EVENTS.schema)


def exposures(*slates: tuple[str | None, float, dict[str, float]]) -> pa.Table:
    """EXPOSURES of (user, hours after noon, {item: score})."""
    lines = [
        {C.REQUEST_ID: f"r{number}", C.POSITION: position, C.ITEM_ID: item, C.SCORE: score, C.USER_ID: user}
        | {C.SHOWN_AT: NOON + timedelta(hours=hours), C.PROPENSITY: 1.0, C.POLICY: "fused", C.REASON: "", C.RELEASE: "r", C.ARM: "champion"}
        for number, (user, hours, items) in enumerate(slates)
        for position, (item, score) in enumerate(items.items(), 1)
    ]
    return pa.Table.from_pylist(lines, EXPOSURES.schema)


def test_a_slate_is_judged_by_the_first_basket_at_or_after_it() -> None:
    bought = purchases(("ann", "s1", 0, "tea"), ("ann", "s2", 5, "milk"), ("ann", "s2", 5, "bread"), ("bob", "s3", 1, "soap"))
    slates = judge_slates(
        exposures(
            ("ann", 0, {"tea": 3.0, "milk": 1.0}),  # the basket of the same moment
            ("ann", 1, {"tea": 3.0, "milk": 1.0}),  # the next one
            ("ann", 6, {"tea": 3.0}),  # nothing follows
            ("bob", 0.5, {"tea": 1.0}),  # somebody else's tea
            (None, 0, {"tea": 1.0}),  # nobody's
        ),
        bought,
    )
    np.testing.assert_array_equal(slates.hits, [1, 1, np.nan, 0, np.nan])
    np.testing.assert_array_equal(slates.recall, [1.0, 0.5, np.nan, 0, np.nan])
    np.testing.assert_array_equal(slates.top_score, [3, 3, 3, 1, 1])
    np.testing.assert_array_equal(slates.mean_score, [2, 2, 3, 1, 1])


def test_without_sessions_a_basket_is_what_was_bought_at_one_moment() -> None:
    bought = purchases(("ann", None, 0, "tea"), ("ann", None, 0, "milk"), ("ann", None, 1, "soap"))
    slates = judge_slates(exposures(("ann", 0, {"tea": 1.0, "milk": 0.5, "soap": 0.1})), bought)
    assert slates.hits.tolist() == [2]


def test_each_user_counts_once_in_the_hit_rate() -> None:
    bought = purchases(*[("ann", f"a{hour}", hour, "tea") for hour in range(3)], ("bob", "b", 0, "soap"))
    slates = judge_slates(exposures(*[("ann", hour, {"tea": 1.0}) for hour in range(3)], ("bob", 0, {"tea": 1.0})), bought)
    assert slates.hit_rate == 0.5


def test_the_offline_protocol_counts_each_users_first_slate_in_its_days() -> None:
    bought = purchases(("ann", "a", 1, "tea"), ("ann", "b", 2, "soap"), ("bob", "c", 30, "tea"))
    slates = judge_slates(exposures(("ann", 2, {"tea": 1.0}), ("ann", 1, {"tea": 1.0}), ("bob", 30, {"soap": 1.0})), bought)
    assert slates.first_hit_rate(NOON, days=1) == 1.0
    assert slates.first_hit_rate(NOON, days=2) == 0.5
    assert slates.first_hit_rate(NOON + timedelta(days=9), days=1) is None


@pytest.mark.parametrize("shown", [None, exposures()])
def test_no_slates_have_no_hit_rate(shown: pa.Table | None) -> None:
    slates = judge_slates(shown, purchases(("ann", "a", 1, "tea")))
    assert len(slates) == 0
    assert slates.hit_rate is None


def test_slates_of_a_window_without_purchases_have_no_outcome() -> None:
    assert judge_slates(exposures(("ann", 0, {"tea": 1.0})), purchases()).hit_rate is None
