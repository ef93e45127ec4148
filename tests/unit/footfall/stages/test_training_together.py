"""Two processes on CPU, started by torchrun once for all of these, beside one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from footfall.arrays.histories import write_sequences
from footfall.arrays.vocabularies import write_vocabulary
from footfall.arrays.windows import WINDOWS, Split, write_split, write_targets
from footfall.core.vocabulary import Vocabulary
from footfall.manifest import write_manifest
from footfall.params import Train
from footfall.paths import Paths
from footfall.stages.train import make_weights
from tests.unit.footfall.model.shop_of_habits import DAY_US, ITEMS, habits
from tests.unit.footfall.stages.training_together import DESCRIBED, LONELY, SAMPLED, params_of, run

BOUND = 2e-5
"""What docs/model.md states: of weights near 1, and of losses near 3."""


def targets() -> pa.Table:
    """Two items for every third user; one item in ten is outside the vocabulary."""
    users = np.repeat(np.arange(0, 40, 3), 2)
    items = np.random.default_rng(5).permutation(ITEMS)[: len(users)] + 1
    items[::10] = 0
    return pa.table({"user": pa.array(users, pa.int64()), "item_id": [f"i{n}" for n in items], "item_index": pa.array(items, pa.int32())})


def workspace(root: Path) -> Paths:
    paths = Paths(root)
    write_sequences(paths.sequences, habits())
    write_vocabulary(paths.sequences, Vocabulary(tuple(f"i{n:02d}" for n in range(ITEMS))))
    write_split(paths.sequences, Split(49 * DAY_US, 63 * DAY_US, 77 * DAY_US))
    for window in WINDOWS:
        write_targets(paths.sequences, window, targets())
    write_manifest(paths.sequences)
    return paths


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """Where two processes left what they found."""
    root = workspace(tmp_path_factory.mktemp("together")).root
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.unit.footfall.stages.training_together", str(root), str(checkout / "params.yaml")]
    path = os.pathsep.join([str(checkout / "src"), str(checkout)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    (root / "said").write_text(done.stderr)
    return root


def found(root: Path, name: str, rank: int = 0) -> dict[str, np.ndarray]:
    with np.load(root / f"{name}.{rank}.npz") as file:
        return dict(file)


@pytest.mark.parametrize(("name", "params"), [("sampled", SAMPLED), ("lonely", LONELY), ("described", DESCRIBED)])
def test_two_processes_come_to_the_weights_of_one(together: Path, name: str, params: Train) -> None:
    both, one = found(together, name), run(params)
    assert both.keys() == one.keys()
    assert len(one["losses"]) >= 8
    assert {weight: float(np.abs(both[weight] - one[weight]).max()) for weight in one if not np.allclose(both[weight], one[weight], 0, BOUND)} == {}


@pytest.mark.parametrize("name", ["sampled", "lonely", "described", "whole", "resumed"])
def test_all_processes_hold_the_same_model(together: Path, name: str) -> None:
    first, second = found(together, name, 0), found(together, name, 1)
    assert all(np.array_equal(first[weight], second[weight]) for weight in first)


def test_a_run_that_was_cut_off_goes_on_from_the_state_of_the_first_process(together: Path) -> None:
    whole, resumed = found(together, "whole"), found(together, "resumed")
    assert all(np.array_equal(whole[weight], resumed[weight]) for weight in whole)


def test_what_one_process_knows_all_learn(together: Path) -> None:
    for rank in range(2):
        told = found(together, "told", rank)
        assert told["all"].tobytes() == b"state"
        assert told["nothing"]
        assert told["sums"].tolist() == [3.0, 1.0]


def test_the_stage_writes_once_and_stops_where_one_process_stops(together: Path, checkout: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    paths = workspace(tmp_path)
    make_weights(paths, params_of(checkout / "params.yaml"))
    one, both = load_file(paths.weights / "model.safetensors"), load_file(together / "data" / "weights" / "model.safetensors")
    assert max(float(np.abs(one[name] - both[name]).max()) for name in one) < BOUND
    mine, theirs = (json.loads(Paths(root).training_report.read_text()) for root in (tmp_path, together))
    assert [point["ndcg@10"] for point in theirs["validation"]] == pytest.approx([point["ndcg@10"] for point in mine["validation"]], abs=1e-9)
    assert theirs.keys() == mine.keys()
    assert (together / "whole.safetensors").read_bytes() == (together / "data" / "weights" / "model.safetensors").read_bytes()
    assert len(mine["validation"]) == 2
    assert mine["best_epoch"] == 1
    assert (together / "said").read_text().count(
        "validation ndcg@10"
    ) == 2 + 1  # by one process; what was cut off before its last figure says that again
