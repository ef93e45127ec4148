"""A full disk at every write: a plain message, nothing half-written, and the next run clean once there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.trials import Trial

HERE = Path(__file__).parent
WRITES = ["quarantine", "hold", "land", "accept", "tables", "sequences", "bundle", "report", "store"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where a small tmpfs can be mounted that nobody else sees; skipped, saying why, where the machine does not allow it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    asked = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("NOT TESTED: a full disk; this machine has no `unshare`")
    if refused.returncode:
        pytest.skip(f"NOT TESTED: a full disk; this machine allows no mount namespace: {refused.stderr.strip()}")
    return folder


@pytest.mark.trial
def test_wherever_the_disk_fills_up_nothing_half_is_left_and_the_next_run_is_clean(disk: Path, trial: Trial) -> None:
    told = run(HERE / "footfall" / "on_a_full_disk.py", disk, ["every", "some"][trial.count(small=1, stated=0)])

    assert list(told) == WRITES
    assert {name: point["faults"] for name, point in told.items() if point["faults"]} == {}
    assert all(point["refused"] >= 2 for point in told.values()), told
    assert all(point["wrote"] for name, point in told.items() if name != "store")
    trial.note(full_disks=sum(point["refused"] for point in told.values()), faults=0)


@pytest.mark.trial
def test_a_retrain_on_a_disk_that_fills_up_under_dvc_leaves_the_old_bundle_and_heals_itself(disk: Path, trial: Trial) -> None:
    rooms = [40_000, 0, 8_000, 20_000, 60_000, 80_000, 100_000, 120_000, 140_000, 160_000][: trial.count(small=1, stated=10)]

    told = run(HERE / "flows" / "dvc_on_a_full_disk.py", disk, *map(str, rooms))

    assert len(told) == len(rooms)
    assert told[0]["said"].startswith("the disk is full: dvc ")
    assert all("free some space" in one["said"] for one in told if one["said"])
    assert [one for one in told if not one["old_bundle_is_there"] or one["damaged"] or not one["clean"]] == []
    trial.note(full_disks=sum(one["said"] is not None for one in told), damaged_objects=0)


def run(script: Path, disk: Path, *arguments: str) -> Any:
    """What a script tells that ran in a mount namespace of its own."""
    command = ["unshare", "--map-root-user", "--mount", sys.executable, str(script), str(disk), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
