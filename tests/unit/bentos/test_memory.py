"""A million different users: what the service remembers of them is bounded, and its memory stays where it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bentos.serve import ONE_HEAP
from tests.trials import SOAK, Trial

LOOKS = 40
WARM = 0.25
"""The share of the requests after which all that is remembered has been filled."""
REMEMBERED = 64 << 20 if SOAK else 1 << 20
"""Bytes, in production the first; the other is full after a few hundred users, as 64 MiB are after some ten thousand."""


@pytest.mark.trial
def test_memory_stays_where_it_is(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    requests = trial.count(small=2_000, stated=1_000_000)
    command = [sys.executable, "-m", "tests.unit.bentos.million_users", str(tmp_path), str(requests), str(LOOKS), str(REMEMBERED)]
    environment = {**os.environ, **ONE_HEAP, "PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(checkout)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    taken, files = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    warm = np.array(taken[round(WARM * LOOKS) :], dtype=np.float64)
    grown = float(np.polyfit(np.arange(len(warm)), warm, 1)[0]) * len(warm)
    mib = [round(one / 2**20, 1) for one in taken]
    trial.note(requests=requests, memory_slope=round(grown / float(warm.mean()), 5), mib=[mib[0], *mib[round(WARM * LOOKS) :: 5], mib[-1]])
    assert max(files[1:]) - min(files[1:]) <= 8
    assert grown <= (0.01 * warm.mean() if SOAK else 4 << 20)  # 1,500 users who are never forgotten take 8 MiB
