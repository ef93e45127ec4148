from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from footfall.arrays.histories import write_sequences
from footfall.arrays.vocabularies import write_vocabulary
from footfall.arrays.windows import Split, write_split
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.manifest import write_manifest
from footfall.model.pretrained import SequenceModel
from footfall.model.scorer import Scorer
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.stages import train as stage
from footfall.stages.checkpoint import Checkpoint
from tests.trials import Trial
from tests.unit.footfall.model.shop_of_habits import DAY_US, ITEMS, PARAMS, habits
from tests.unit.footfall.stages.training_process import params_of

ONLY_THESE = """
import builtins, importlib, importlib.abc, importlib.util, pkgutil, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(name)

find_spec = importlib.util.find_spec  # transformers asks this for what it could use
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in {blocked} else find_spec(name, *rest)
sys.meta_path.insert(0, Blocked())
ask = builtins.__import__

def ask_for_allowed(name, globals=None, locals=None, fromlist=(), level=0):
    asking, wanted = (globals or {{}}).get("__name__") or "", name.split(".")[0]
    if level == 0 and asking.split(".")[0] == "footfall" and wanted not in {allowed} and wanted not in sys.stdlib_module_names:
        raise ModuleNotFoundError(asking + " imports " + name)
    return ask(name, globals, locals, fromlist, level)

builtins.__import__ = ask_for_allowed
import footfall.model
for module in pkgutil.iter_modules(footfall.model.__path__):
    importlib.import_module("footfall.model." + module.name)
import footfall.stages.train
"""
ALLOWED = ("torch", "transformers", "numpy", "pyarrow", "safetensors", "pyyaml")
"""What footfall may import on a machine that trains. What these need themselves is there too; nothing else that is installed here is."""
MODULES = {"footfall", "yaml", *ALLOWED}


def needed(wanted: Iterable[str]) -> set[str]:
    """Names of installed distributions: those that are wanted, and all that they cannot do without."""
    found: set[str] = set()
    left = list(wanted)
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):
            asked = map(Requirement, requires(name) or ())
            left += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def blocked() -> set[str]:
    """Top-level modules that no needed distribution brings."""
    there = needed(ALLOWED)
    found = {module for module, brought_by in packages_distributions().items() if not there & set(map(canonicalize_name, brought_by))}
    return found - {"footfall"} - sys.stdlib_module_names


@pytest.fixture
def params(checkout: Path) -> Params:
    params = load_params(checkout / "params.yaml")
    heads = dataclasses.replace(params.heads, lessons=300, passes=2)
    return dataclasses.replace(params, model=dataclasses.replace(params.model, dim=16, max_events=50), train=PARAMS, heads=heads)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A workspace with data/sequences."""
    paths = Paths(tmp_path)
    write_sequences(paths.sequences, habits())
    write_vocabulary(paths.sequences, Vocabulary(tuple(f"i{n:02d}" for n in range(ITEMS))))
    write_split(paths.sequences, Split(49 * DAY_US, 63 * DAY_US, 77 * DAY_US))
    write_manifest(paths.sequences)
    return paths


def test_the_stage_writes_weights_and_a_report_with_the_same_bytes_each_time(
    paths: Paths, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [paths.weights / "config.json", paths.weights / "model.safetensors", paths.training_report]
    stage.make_weights(paths, params)
    first = [path.read_bytes() for path in files]
    stage.make_weights(paths, params)
    assert [path.read_bytes() for path in files] == first
    assert sorted(path.name for path in paths.weights.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]
    report = json.loads(first[2])
    events = int((habits().occurred_at < 49 * DAY_US).sum())
    assert report["events_seen"] == params.train.epochs * events
    assert report["epochs"] == params.train.epochs
    assert len(report["losses"]) == -(-report["steps"] // stage.CURVE_STEPS)
    assert report["validation"] == [{"epoch": n + 1, "ndcg@10": None} for n in range(params.train.epochs)]
    assert "steps/s" in capsys.readouterr().err


def test_the_report_says_which_epoch_was_kept_and_why(paths: Paths, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([0.1, 0.3, 0.2, 0.9])
    monkeypatch.setattr(stage, "read_targets", lambda *_: None)
    monkeypatch.setattr(stage, "Validation", lambda *_: lambda _: next(answers))
    stage.make_weights(paths, dataclasses.replace(params, train=dataclasses.replace(params.train, epochs=5, patience=1)))
    report = json.loads(paths.training_report.read_text())
    assert report["validation"] == [{"epoch": 1, "ndcg@10": 0.1}, {"epoch": 2, "ndcg@10": 0.3}, {"epoch": 3, "ndcg@10": 0.2}]
    assert (report["epochs"], report["best_epoch"], report["events_seen"]) == (3, 2, 3 * report["events"])
    assert [list(point) for point in report["losses"]] == [["loss", "step"]] * len(report["losses"])
    assert report["losses"][-1]["step"] == report["steps"]


def test_what_the_stage_wrote_opens_both_ways_and_scores_alike(paths: Paths, params: Params) -> None:
    from safetensors.numpy import load_file

    stage.make_weights(paths, params)
    model = SequenceModel.from_pretrained(paths.weights, local_files_only=True).eval()
    scorer = Scorer(json.loads((paths.weights / "config.json").read_text()), load_file(paths.weights / "model.safetensors"))
    other = Scorer(model.config.to_dict(), {name: tensor.numpy() for name, tensor in model.state_dict().items()})
    np.testing.assert_array_equal(scorer.scores(habits()), other.scores(habits()))
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


@pytest.mark.trial
def test_a_killed_training_goes_on_to_the_same_bytes(paths: Paths, checkout: Path, trial: Trial) -> None:
    stage.make_weights(paths, params_of(checkout / "params.yaml"))
    files = [paths.weights / "model.safetensors", paths.training_report]
    expected = [path.read_bytes() for path in files]
    draw, kills, resumed = random.Random(20171126), trial.count(small=3, stated=20), 0
    command = [sys.executable, "-m", "tests.unit.footfall.stages.training_process", str(paths.root), str(checkout / "params.yaml")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(checkout)])}
    while kills:
        for path in files:
            path.unlink(missing_ok=True)
        while not files[1].exists():
            with subprocess.Popen(command, env=environment, cwd=checkout, stderr=subprocess.DEVNULL) as process:
                state = _wait(lambda: bool(list(paths.training.glob("[!.]*"))) or process.poll() is not None)
                if state and kills and process.poll() is None:
                    time.sleep(draw.uniform(0.0, 0.6))
                    process.kill()
                    kills -= 1
                    resumed += bool(list(paths.training.glob("[!.]*")))
        assert [path.read_bytes() for path in files] == expected
    assert resumed
    assert not list(paths.training.glob("*"))
    trial.note(resumed_after_kill=resumed, other_bytes=0)


def _wait(until: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return True


def test_a_state_of_another_run_is_not_taken_up(paths: Paths, params: Params) -> None:
    mine = Checkpoint(paths, params, every_s=0.0)
    mine.keep(lambda: {"losses": torch.ones(1)})
    assert mine.kept() is not None
    other = dataclasses.replace(params, train=dataclasses.replace(params.train, seed=8))
    assert Checkpoint(paths, other).kept() is None
    (state,) = paths.training.iterdir()
    state.write_bytes(state.read_bytes()[:-3])
    assert mine.kept() is None
    stage.make_weights(paths, params)
    assert not list(paths.training.iterdir())


def test_missing_arrays_are_named(tmp_path: Path, params: Params) -> None:
    with pytest.raises(SourceError, match=r"sequences/manifest\.json"):
        stage.make_weights(Paths(tmp_path), params)


def test_model_and_stage_import_on_a_machine_that_can_only_train(checkout: Path) -> None:
    absent = blocked()
    assert {"pandas", "duckdb", "sqlalchemy", "prefect", "bentoml", "scipy", "dvclive", "pytest"} <= absent
    assert not MODULES & absent
    done = _imported(checkout, absent, MODULES)
    assert done.returncode == 0, done.stderr
    refused = _imported(checkout, absent, MODULES - {"numpy"})
    assert "imports numpy" in refused.stderr


def _imported(checkout: Path, absent: set[str], allowed: set[str]) -> subprocess.CompletedProcess[str]:
    """What a fresh process says that imports all of `footfall.model` and the stage."""
    code = ONLY_THESE.format(blocked=sorted(absent), allowed=sorted(allowed))
    return subprocess.run([sys.executable, "-c", code], cwd=checkout / "src", capture_output=True, text=True, check=False)


def test_a_flipped_byte_in_an_array_is_caught_before_training(paths: Paths, params: Params) -> None:
    array = paths.sequences / "occurred_at.npy"
    content = bytearray(array.read_bytes())
    content[-3] ^= 1  # another moment, and a whole .npy file all the same
    array.write_bytes(content)
    with pytest.raises(SourceError, match="damaged") as caught:
        stage.make_weights(paths, params)
    assert caught.value.where == str(array)
    assert not paths.weights.exists()
