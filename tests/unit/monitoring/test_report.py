"""Evidently, for real, on synthetic windows: quiet pairs stay quiet, and each shift is named by the measure that should see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon

from footfall.contracts import C
from footfall.errors import ContractError, ParamsError
from monitoring import DRIFT, NO_DRIFT, Comparison, OfflineHitRate, Window, compare, review_of
from monitoring.report import VOTING
from monitoring.verdict import OVER, SILENT, WITHIN
from monitoring.windows import CATEGORY, LOG_PRICE

LIMITS = {
    "volume_change": 0.1,
    "category_distance": 0.1,
    "price_distance": 0.15,
    "hour_distance": 0.1,
    "popularity_change": 0.05,
    "unknown_item_rise": 0.05,
    "top_score_distance": 0.2,
    "mean_score_distance": 0.2,
    "hit_rate_drop": 0.06,
    "offline_hit_rate_drop": 0.06,
}
Draw = Callable[..., tuple[Window, Window]]


def outcomes(comparison: Comparison) -> dict[str, str]:
    return {measure.name: measure.outcome for measure in comparison.measures}


def test_a_quiet_pair_gives_no_drift_and_every_measure_votes(draw: Draw) -> None:
    comparison = compare(*draw(slates=True), LIMITS)
    assert comparison.verdict == NO_DRIFT
    assert {name for name, outcome in outcomes(comparison).items() if outcome == WITHIN} == set(LIMITS) - {"offline_hit_rate_drop"}
    assert len(comparison.reasons) == len(LIMITS) - 1


@pytest.mark.parametrize(
    ("shift", "seen_by"),
    [
        ({"events": 1500}, {"volume_change"}),
        ({"first_hour": 11}, {"hour_distance"}),
        ({"price": 300.0}, {"price_distance"}),
        ({"score": 1.4}, {"top_score_distance", "mean_score_distance"}),
        ({"hit": 0.3}, {"hit_rate_drop"}),
        ({"item_weights": tuple(1.0 / (1 + abs(number - 35)) for number in range(40))}, {"category_distance", "unknown_item_rise"}),
    ],
)
def test_a_shift_is_drift_and_is_named(draw: Draw, shift: dict[str, Any], seen_by: set[str]) -> None:
    comparison = compare(*draw(slates=True, **shift), LIMITS)
    over = {name for name, outcome in outcomes(comparison).items() if outcome == OVER}
    assert comparison.verdict == DRIFT
    assert seen_by <= over
    assert len(comparison.reasons) == len(over)
    assert all("over the limit of" in reason for reason in comparison.reasons)


def test_a_better_hit_rate_and_fewer_unknown_items_are_no_drift(draw: Draw) -> None:
    weights = tuple(1.0 / (1 + number) if number < 30 else 0.0 for number in range(40))
    comparison = compare(*draw(slates=True, hit=0.9, item_weights=weights), {"hit_rate_drop": 0.01, "unknown_item_rise": 0.01})
    assert comparison.verdict == NO_DRIFT


def test_categories_are_compared_by_jensen_shannon(draw: Draw) -> None:
    reference, current = draw(events=1000)
    counts = [window.events.to_pandas()[CATEGORY].value_counts() for window in (reference, current)]
    names = sorted(set(counts[0].index) | set(counts[1].index))
    expected = jensenshannon(*[[count.get(name, 0) for name in names] for count in counts])
    measured = {measure.name: measure.value for measure in compare(reference, current, LIMITS).measures}
    assert measured["category_distance"] == pytest.approx(expected, abs=1e-12)
    assert measured["volume_change"] == pytest.approx(np.log(2.0))


def test_measures_without_slates_say_so_and_do_not_vote(draw: Draw) -> None:
    comparison = compare(*draw(), LIMITS)
    silent = {measure.name: measure.note for measure in comparison.measures if measure.outcome == SILENT}
    assert set(silent) == {"item_distance", "top_score_distance", "mean_score_distance", "hit_rate_drop"}
    assert silent["hit_rate_drop"] == "no logged slate of the current window was followed by a purchase"
    assert comparison.verdict == NO_DRIFT


def test_scores_of_different_releases_are_not_compared(draw: Draw) -> None:
    comparison = compare(*draw(slates=True, release="r2", score=9.0), LIMITS)
    assert outcomes(comparison)["top_score_distance"] == SILENT
    assert comparison.verdict == NO_DRIFT


@pytest.mark.parametrize(("offline", "verdict"), [(0.52, NO_DRIFT), (0.70, DRIFT)])
def test_the_offline_hit_rate_stands_in_for_slates_that_the_reference_lacks(draw: Draw, offline: float, verdict: str) -> None:
    reference, _ = draw()
    _, current = draw(slates=True)
    comparison = compare(reference, current, LIMITS, offline=OfflineHitRate(offline, 14))
    (measure,) = [measure for measure in comparison.measures if measure.name == "offline_hit_rate_drop"]
    assert measure.reference == offline
    assert measure.outcome == (OVER if verdict == DRIFT else WITHIN)
    assert comparison.verdict == verdict


def test_a_measure_without_a_limit_does_not_vote(draw: Draw) -> None:
    comparison = compare(*draw(events=100), {"hour_distance": 0.9})
    assert outcomes(comparison)["volume_change"] == SILENT
    assert comparison.verdict == NO_DRIFT


def test_a_misspelt_limit_is_refused_with_the_nearest_name(draw: Draw) -> None:
    with pytest.raises(ParamsError, match="rename it to 'hour_distance'"):
        compare(*draw(), {"hours_distance": 0.1})


def test_without_limits_there_is_no_verdict(draw: Draw) -> None:
    with pytest.raises(ParamsError, match="calibrate"):
        compare(*draw(), {})


def test_a_window_without_items_and_prices_is_compared_by_what_it_has(draw: Draw) -> None:
    reference, current = draw()
    columns = {name: pa.nulls(current.events.num_rows, current.events[name].type) for name in (C.ITEM_ID, CATEGORY, LOG_PRICE)}
    events = pa.table({name: columns.get(name, current.events[name]) for name in current.events.column_names})
    comparison = compare(reference, replace(current, events=events), LIMITS)
    assert {name for name, outcome in outcomes(comparison).items() if outcome == WITHIN} == {"volume_change", "hour_distance"}


def test_an_empty_window_is_an_error_and_no_drift_verdict(draw: Draw) -> None:
    reference, _ = draw()
    with pytest.raises(ContractError, match="no events in window"):
        compare(reference, draw(events=0)[1], LIMITS)


def test_the_same_comparison_is_the_same_review(draw: Draw) -> None:
    comparison = compare(*draw(events=1000), LIMITS)
    first = review_of(comparison, release="r1", created_at="2026-04-01T00:00:00+00:00")
    later = review_of(comparison, release="r1", created_at="2026-04-02T00:00:00+00:00")
    other = review_of(comparison, release="r2", created_at="2026-04-01T00:00:00+00:00")
    assert first.review_id == later.review_id != other.review_id
    assert (first.state, first.verdict, first.reasons) == ("open", DRIFT, comparison.reasons)
    assert type(first).from_json(first.to_json()) == first


def test_every_voting_measure_can_have_a_limit() -> None:
    assert set(VOTING) == set(LIMITS)
