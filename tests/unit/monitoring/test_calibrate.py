"""Calibration: quiet pairs, the margin, and the edit of params.yaml."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from footfall.contracts import EVENTS, PURCHASE, C
from footfall.errors import ParamsError
from footfall.params import load_params
from monitoring.calibrate import QuietPair, calibrate, draw_limits, held_out_alarms, quiet_starts
from monitoring.limits_file import replace_limits, write_limits
from monitoring.stand_in import stand_in_slates

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return DAY + timedelta(days=number)


def quiet_pair(start: int, **values: float) -> QuietPair:
    return QuietPair(day(start), day(start + 2), day(start + 4), values)


def test_pairs_step_back_from_the_end_of_the_quiet_span() -> None:
    assert quiet_starts(day(0), day(11), 2, 3) == [day(1), day(4), day(7)]
    assert quiet_starts(day(0), day(3), 2, 1) == []


def test_a_limit_is_a_tenth_above_the_largest_quiet_value_rounded_up() -> None:
    pairs = [quiet_pair(0, volume_change=0.01, hit_rate_drop=-0.2, item_distance=0.4), quiet_pair(1, volume_change=0.02001)]
    assert draw_limits(pairs) == {"volume_change": 0.0221, "hit_rate_drop": 0.0001}
    assert draw_limits([quiet_pair(0, volume_change=0.02)]) == {"volume_change": 0.022}


def test_held_out_alarms_judge_a_pair_by_pairs_that_share_no_day_with_it() -> None:
    pairs = [
        quiet_pair(0, volume_change=0.01),
        quiet_pair(1, volume_change=0.02),
        quiet_pair(4, volume_change=0.015),
        quiet_pair(8, volume_change=0.01),
    ]
    # Only the pair of day 1 is over the limit of the others that share no day with it: those of day 8 (the pair of day 4 shares day 4).
    # The pair of day 4 shares day 4 with that of day 1 only, and is over .011 from days 0 and 8.
    assert held_out_alarms(pairs, "volume_change") == 0.5
    assert held_out_alarms(pairs[:2], "volume_change") == 0.0


def test_limits_replace_their_block_and_leave_every_other_line(checkout: Path, tmp_path: Path) -> None:
    before = (checkout / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(before)
    write_limits(path, {"volume_change": 0.05, "category_distance": 0.07}, {"volume_change": 0.041, "category_distance": 0.06})
    assert load_params(path).monitor.limits == {"volume_change": 0.05, "category_distance": 0.07}
    head = before[: before.index("  limits:")]
    assert path.read_text().startswith(head)
    assert load_params(path).release == load_params(checkout / "params.yaml").release


def test_limits_are_replaced_in_the_middle_of_a_file_too() -> None:
    text = "monitor:   # windows\n  limits:\n    old: 1.0  # gone\n  window_days: 28\nlast: 1\n"
    replaced = replace_limits(text, {"new": 0.5}, {"new": 0.4})
    assert yaml.safe_load(replaced) == {"monitor": {"limits": {"new": 0.5}, "window_days": 28}, "last": 1}
    assert "# windows" in replaced
    assert replace_limits(replaced, {}, {}).splitlines()[1] == "  limits: {}"
    with pytest.raises(ParamsError, match="no place for limits"):
        replace_limits("monitor:\n  window_days: 28\n", {}, {})


def purchases(*rows: tuple[str, float, str]) -> pa.Table:
    lines = [
        {C.EVENT_ID: str(number), C.USER_ID: user, C.OCCURRED_AT: day(when), C.ITEM_ID: item}
        | {C.EVENT_TYPE: PURCHASE, C.RECEIVED_AT: DAY, C.ORIGIN: "test", C.QUANTITY: 1}
        for number, (user, when, item) in enumerate(rows)
    ]
    return pa.Table.from_pylist(lines, EVENTS.schema)


def test_stand_in_slates_know_only_what_came_before_the_trip() -> None:
    bought = purchases(
        ("ann", 0, "tea"), ("ann", 0, "odd"), ("ann", 10, "milk"), ("ann", 20, "tea"), ("bob", 0, "milk"), ("bob", 1, "milk"), ("bob", 20, "tea")
    )
    slates = stand_in_slates(bought, pa.array(["milk", "tea"]), day(10), day(21), half_life_days=10.0)
    rows = slates.select([C.USER_ID, C.SHOWN_AT, C.POSITION, C.ITEM_ID, C.SCORE]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("ann", day(10), 1, "tea", 1.0),
        ("ann", day(10), 2, "milk", 0.0),  # filled with what most people bought before the window
        ("ann", day(20), 1, "milk", 1.0),
        ("ann", day(20), 2, "tea", 0.5),  # one half-life older than the newest purchase
        ("bob", day(20), 1, "milk", pytest.approx(1 + 2**-0.1)),
        ("bob", day(20), 2, "tea", 0.0),
    ]


def test_a_synthetic_quiet_shop_is_calibrated(checkout: Path) -> None:
    params = load_params(checkout / "params.yaml")
    params = replace(
        params,
        monitor=replace(params.monitor, window_days=7),
        split=replace(params.split, test_days=3),
        baselines=replace(params.baselines, half_life_days=10.0),
    )
    rng = np.random.default_rng(5)
    rows = [(f"u{rng.integers(30)}", float(when), f"i{rng.zipf(1.8) % 20}") for when in np.sort(rng.uniform(0, 42, 4000))]
    catalogue = pa.table({"item_id": [f"i{number}" for number in range(20)]})
    shop = catalogue.append_column("category_path", pa.array([f"A > C{number % 4}" for number in range(20)])).append_column(
        "recommendable", pa.array([True] * 20)
    )
    calibration = calibrate("synthetic", purchases(*rows), shop, (day(7), day(42)), 7, params)
    assert [pair.start for pair in calibration.pairs] == [day(7), day(14), day(21), day(28)]
    assert all("hit_rate_drop" not in pair.values for pair in calibration.pairs[:1])  # histories are still younger than a half-life
    assert all(limit > pair.values.get(name, 0.0) for pair in calibration.pairs for name, limit in calibration.limits.items())
    assert calibration.as_dict()["limits"] == calibration.limits
    with pytest.raises(ParamsError, match="quiet span is too short"):
        calibrate("synthetic", purchases(*rows), shop, (day(7), day(20)), 7, params)
