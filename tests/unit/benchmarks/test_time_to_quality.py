"""The race to a stated ndcg: how long it may take, and on what."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import time_to_quality
from benchmarks.shaped import write_shaped


@pytest.mark.parametrize(("device", "limit", "holds"), [("cpu", 300.0, True), ("cuda", 15.0, False)])
def test_the_slowest_seed_is_held_to_the_limit_of_its_device(device: str, limit: float, holds: bool) -> None:
    row = time_to_quality.timed(0.0531, [10.0, 20.0, 12.0], device, {})
    assert (row.ours, row.target, row.holds) == (20.0, limit, holds)
    assert row.what.endswith(device)


def test_a_process_says_what_it_reached_and_on_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shaped(tmp_path / "shop.txt", 40, 30)
    monkeypatch.setattr(time_to_quality, "QUICK", dataclasses.replace(time_to_quality.QUICK, epochs=1, threads=1))
    monkeypatch.setattr(time_to_quality, "SHAPE", {"dim": 8, "blocks": 1, "heads": 1, "dropout": 0.1})
    found = time_to_quality.reach(tmp_path / "shop.txt", 0)
    assert 0 <= found["ndcg"] <= 1
    assert found["device"] in ("cpu", "cuda")
