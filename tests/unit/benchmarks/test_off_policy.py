"""Estimates of another policy, on the simulator's truth and on two policies that really ran side by side."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.off_policy import Answered, open_bandit, simulated


@pytest.fixture(scope="module")
def bandit() -> dict[str, Answered]:
    """Every question to Open Bandit."""
    if not (Path(os.environ.get("FOOTFALL_DATA", "/nowhere")) / "open_bandit" / "obd_small_60k.parquet").exists():
        pytest.skip("FOOTFALL_DATA names no folder with Open Bandit")
    return {one.question: one for one in open_bandit()}


def test_estimates_from_explored_slates_find_what_simulated_users_truly_do() -> None:
    logs = list(simulated(6))
    for number, name in enumerate(("ips", "snips", "doubly_robust")):
        estimates = [one.estimates[number] for one in logs]
        assert {found.estimator for found in estimates} == {name}
        values = np.array([found.value for found in estimates])
        assert np.abs(values / logs[0].truth - 1).max() < 0.25
        assert abs(values.mean() - logs[0].truth) < 4 * np.mean([found.standard_error for found in estimates]) / np.sqrt(len(logs))
        assert sum(one.agrees(found) for one, found in zip(logs, estimates, strict=True)) >= 4
        assert all(found.gain is not None and found.gain.low > 0 for found in estimates)  # surely better than one order for everybody


@pytest.mark.parametrize("campaign", ["all", "men", "women"])
def test_thompson_sampling_is_foreseen_from_the_log_of_the_random_policy(bandit: dict[str, Answered], campaign: str) -> None:
    one = bandit[f"bts by the log of random, {campaign}"]
    assert len(one.estimates) == 3
    for found in one.estimates:
        assert found.value is not None
        assert abs(found.value / one.truth - 1) < 0.35
        assert one.agrees(found)
        assert found.mean_weight == pytest.approx(1.0, abs=0.06)


def test_a_log_with_a_few_huge_weights_is_not_enough_to_judge_by(bandit: dict[str, Answered]) -> None:
    """One row of 10,000 had a chance of one in a million: it alone would make half of the estimate."""
    for found in bandit["random by the log of bts, women"].estimates:
        assert found.value is None
        assert str(found.reason).startswith("not enough data: the log is worth 2 slates of the target")


def test_without_open_bandit_its_rows_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOOTFALL_DATA", str(tmp_path))
    assert open_bandit() == []
    monkeypatch.delenv("FOOTFALL_DATA")
    assert open_bandit() == []
