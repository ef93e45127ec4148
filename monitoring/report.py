"""A reference window against the current one by Evidently: the measures, the tests bound to them, and the comparison they give.

Evidently is imported when a comparison is made, not before. This module opens no file and reads no clock.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from footfall.errors import ContractError, ParamsError
from monitoring.outcomes import Slates
from monitoring.verdict import OVER, SILENT, WITHIN, Comparison, Measure, draw_verdict
from monitoring.windows import CATEGORY, HOUR, LOG_PRICE, Window, build_window

if TYPE_CHECKING:
    import pandas as pd
    from evidently import Dataset

TITLES = {
    "volume_change": "Change of event volume (absolute logarithm of the ratio a day)",
    "category_distance": "Jensen-Shannon distance of categories",
    "price_distance": "Wasserstein distance of log unit prices (in reference standard deviations)",
    "hour_distance": "Jensen-Shannon distance of hours of the day",
    "popularity_change": "Change of the share of events on the top 1% of items",
    "item_distance": "Jensen-Shannon distance of items",
    "unknown_item_rise": "Rise of the out-of-vocabulary share",
    "top_score_distance": "Wasserstein distance of slates' top scores (in reference standard deviations)",
    "mean_score_distance": "Wasserstein distance of slates' mean scores (in reference standard deviations)",
    "hit_rate_drop": "Drop of the hit rate of logged slates",
    "offline_hit_rate_drop": "Drop of the hit rate of logged slates below the release's offline hit rate",
}
"""Every measure; the keys are those of `monitor.limits`."""

NON_VOTING = {"item_distance": "items differ this much in quiet times too"}
VOTING = tuple(name for name in TITLES if name not in NON_VOTING)
TOP_SCORE, MEAN_SCORE = "top_score", "mean_score"


@dataclass(frozen=True)
class OfflineHitRate:
    """A release's hit rate in its own evaluation (METRICS, `hit_rate@k`): each user's first basket in the `test_days` days of the test window."""

    value: float
    test_days: int


@dataclass(frozen=True)
class _Planned:
    """A measure before it is taken: an Evidently metric, or the reason why there is none; `figures` are the plain (reference, current)."""

    name: str
    metric: Any
    silent: str | None = None
    figures: tuple[float, float] | None = None


def compare_windows(
    reference_events: pa.Table,
    current_events: pa.Table,
    catalogue: pa.Table,
    vocabulary: Collection[str],
    exposures: pa.Table | None,
    limits: Mapping[str, float],
    *,
    reference: tuple[datetime, datetime],
    current: tuple[datetime, datetime],
    offline: OfflineHitRate | None = None,
) -> Comparison:
    """Build both windows and compare them: what the monitor flow calls.

    Args:
        reference_events, current_events: EVENTS; rows outside their window are left out.
        catalogue: CATALOGUE.
        vocabulary: item_ids that the serving release can recommend.
        exposures: EXPOSURES of both windows, or None.
        limits: `params.monitor.limits`.
        reference, current: start and end (outside) of each window, UTC.
        offline: the release's own hit rate, used when the reference window has no slates.
    """
    before = build_window(reference_events, catalogue, vocabulary, exposures, *reference)
    now = build_window(current_events, catalogue, vocabulary, exposures, *current)
    return compare(before, now, limits, offline=offline)


def compare(reference: Window, current: Window, limits: Mapping[str, float], *, offline: OfflineHitRate | None = None) -> Comparison:
    """Compare two windows; a measure over its limit makes the verdict "drift".

    A measure without data in either window, or without a limit, says so and does not vote.

    Raises:
        ParamsError: `limits` names no measure that exists, or none that could vote.
        ContractError: a window holds no event.
    """
    check_limits(limits)
    comparison = measure_windows(reference, current, limits, offline=offline)
    if all(measure.outcome == SILENT for measure in comparison.measures):
        raise ParamsError(
            "no measure has a limit, so nothing can vote", where="params.yaml: monitor: limits", expected=", ".join(VOTING), found=dict(limits),
            next_step="PYTHONPATH=src python -m monitoring calibrate --source complete_journey",
        )  # fmt: skip
    return comparison


def check_limits(limits: Mapping[str, float]) -> None:
    """Raise `ParamsError` when a limit belongs to no voting measure."""
    for name in limits:
        if name not in VOTING:
            near = difflib.get_close_matches(name, VOTING, n=1)
            hint = f"rename it to '{near[0]}'" if near else "remove it"
            known = ", ".join(VOTING)
            raise ParamsError("limit of an unknown measure", where="params.yaml: monitor: limits", expected=known, found=name, next_step=hint)


def measure_windows(reference: Window, current: Window, limits: Mapping[str, float], *, offline: OfflineHitRate | None = None) -> Comparison:
    """`compare` without asking for limits: calibration takes its measures here."""
    from evidently import Report

    for window in (reference, current):
        if not window.events.num_rows:
            raise ContractError("no events in window", where=window.name, expected="at least one event", found=0, next_step="footfall ingest")
    frames = reference.events.to_pandas(), current.events.to_pandas()
    shared = _shared_releases(reference.slates, current.slates)
    planned = [*_event_measures(reference, current, frames, limits), *_slate_measures(*shared, limits)]
    planned.append(_hit_measure(reference, current, offline, limits))
    snapshot = Report([plan.metric for plan in planned if plan.metric is not None], include_tests=True).run(
        _dataset(frames[1]),
        _dataset(frames[0]),
        additional_data=_slate_datasets(*shared),
        timestamp=current.end,
        metadata={"reference": reference.name, "current": current.name},
        name=f"{current.name} against {reference.name}",
    )
    measures = [_read(plan, snapshot, limits) for plan in planned]
    verdict, reasons = draw_verdict(measures)
    return Comparison(verdict, reasons, measures, reference, current, snapshot)


def _event_measures(reference: Window, current: Window, frames: tuple[pd.DataFrame, pd.DataFrame], limits: Mapping[str, float]) -> list[_Planned]:
    from evidently.metrics import ValueDrift

    from monitoring import metrics

    def drift(name: str, column: str, method: str) -> _Planned:
        if any(frame[column].notna().sum() == 0 for frame in frames):
            return _Planned(name, None, f"no {column} in one of the windows")
        # `threshold` colours Evidently's picture; the test that votes is bound like every other one.
        return _Planned(name, ValueDrift(column=column, method=method, threshold=limits.get(name), tests=_tests(name, limits)))

    rates = len(frames[0]) / reference.days, len(frames[1]) / current.days
    volume = metrics.VolumeChange(reference_days=reference.days, current_days=current.days, tests=_tests("volume_change", limits))
    return [
        _Planned("volume_change", volume, figures=rates),
        drift("category_distance", CATEGORY, "jensenshannon"),
        drift("price_distance", LOG_PRICE, "wasserstein"),
        drift("hour_distance", HOUR, "jensenshannon"),
        *_item_measures(frames, limits),
    ]


def _item_measures(frames: tuple[pd.DataFrame, pd.DataFrame], limits: Mapping[str, float]) -> list[_Planned]:
    from monitoring import metrics

    if any(metrics.recommendable_items(frame).empty for frame in frames):
        return [
            _Planned(name, None, "no recommendable item in one of the windows")
            for name in ("popularity_change", "item_distance", "unknown_item_rise")
        ]
    top = metrics.top_share(frames[0]), metrics.top_share(frames[1])
    unknown = metrics.unknown_share(frames[0]), metrics.unknown_share(frames[1])
    return [
        _Planned("popularity_change", metrics.ConcentrationChange(tests=_tests("popularity_change", limits)), figures=top),
        _Planned("item_distance", metrics.ItemDistance(tests=[]), NON_VOTING["item_distance"]),
        _Planned("unknown_item_rise", metrics.UnknownItemRise(tests=_tests("unknown_item_rise", limits)), figures=unknown),
    ]


def _slate_measures(reference: Slates, current: Slates, limits: Mapping[str, float]) -> list[_Planned]:
    from monitoring.metrics import ScoreDistance

    names = {"top_score_distance": TOP_SCORE, "mean_score_distance": MEAN_SCORE}
    if not len(reference) or not len(current):
        return [_Planned(name, None, "no slates of one release in both windows") for name in names]
    return [
        _Planned(
            name,
            ScoreDistance(column=column, tests=_tests(name, limits)),
            figures=(float(getattr(reference, column).mean()), float(getattr(current, column).mean())),
        )
        for name, column in names.items()
    ]


def _hit_measure(reference: Window, current: Window, offline: OfflineHitRate | None, limits: Mapping[str, float]) -> _Planned:
    """Against the reference window's own slates where there are any, else against the release's offline hit rate by the offline protocol."""
    from monitoring.metrics import HitRateDrop

    name, then, now = "hit_rate_drop", reference.slates.hit_rate, current.slates.hit_rate
    if then is None and offline is not None:
        name, then, now = "offline_hit_rate_drop", offline.value, current.slates.first_hit_rate(current.start, offline.test_days)
    if now is None or then is None:
        window = "current" if now is None else "reference"
        return _Planned(name, None, f"no logged slate of the {window} window was followed by a purchase")
    return _Planned(name, HitRateDrop(reference_hit_rate=then, current_hit_rate=now, tests=_tests(name, limits)), figures=(then, now))


def _tests(name: str, limits: Mapping[str, float]) -> list[Any]:
    from evidently.tests import lte

    return [lte(limits[name])] if name in limits else []


def _read(plan: _Planned, snapshot: Any, limits: Mapping[str, float]) -> Measure:
    """The measure as Evidently took it: the value from its metric, the outcome from its test."""
    from evidently.core.metric_types import TestStatus

    limit = limits.get(plan.name)
    reference, current = plan.figures or (None, None)
    measure = Measure(plan.name, TITLES[plan.name], None, limit, reference, current, SILENT, plan.silent)
    if plan.metric is None:
        return replace(measure, limit=None)
    result = snapshot.context.get_metric_result(plan.metric.metric_id)
    measure = replace(measure, value=float(result.value))
    if plan.silent is not None or limit is None:
        return replace(measure, limit=None, note=plan.silent or "it has no limit in params.yaml")
    (status,) = [test.status for test in result.tests]
    if status not in (TestStatus.SUCCESS, TestStatus.FAIL):
        raise ContractError("drift test did not run", where=plan.name, expected="SUCCESS or FAIL", found=status)
    return replace(measure, outcome=OVER if status == TestStatus.FAIL else WITHIN)


def _dataset(frame: pd.DataFrame) -> Dataset:
    from evidently import DataDefinition, Dataset

    # A column without a value (a shop without prices) would divide by zero in Evidently's own statistics.
    filled = frame.drop(columns=[name for name in (LOG_PRICE, CATEGORY, HOUR) if frame[name].isna().all()])
    numerical, categorical = ([name for name in names if name in filled] for names in ((LOG_PRICE,), (CATEGORY, HOUR)))
    return Dataset.from_pandas(filled, data_definition=DataDefinition(numerical_columns=numerical, categorical_columns=categorical))


def _slate_datasets(reference: Slates, current: Slates) -> dict[str, Dataset] | None:
    """Slates as Evidently's additional datasets, where both windows have some."""
    import pandas as pd
    from evidently import DataDefinition, Dataset

    from monitoring.metrics import CURRENT_SLATES, REFERENCE_SLATES

    if not len(reference) or not len(current):
        return None
    definition = DataDefinition(numerical_columns=[TOP_SCORE, MEAN_SCORE])
    return {
        name: Dataset.from_pandas(pd.DataFrame({TOP_SCORE: slates.top_score, MEAN_SCORE: slates.mean_score}), data_definition=definition)
        for name, slates in ((REFERENCE_SLATES, reference), (CURRENT_SLATES, current))
    }


def _shared_releases(reference: Slates, current: Slates) -> tuple[Slates, Slates]:
    """Only the slates of releases that answered in both windows: scores of different releases have no common scale."""
    common = np.intersect1d(reference.release.astype(str), current.release.astype(str))
    return reference.keep(np.isin(reference.release.astype(str), common)), current.keep(np.isin(current.release.astype(str), common))
