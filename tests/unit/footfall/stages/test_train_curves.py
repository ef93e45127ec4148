from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from footfall.paths import Paths
from footfall.stages import curves
from footfall.stages.curves import Progress, Telling


class Written:
    """Stands where TensorBoard's writer would."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.open = folder, [], True
        WRITERS.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.open = False


WRITERS: list[Written] = []


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What can be found here."""
    WRITERS.clear()
    found: set[str] = set()
    monkeypatch.setattr(curves, "_is_installed", lambda name: name in found)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Written))
    return found


def tell(told: Telling) -> None:
    for step in range(1, 251):
        told.step(step, 250, 5.0 - step / 100, 0.01)
    told.figure("ndcg@10", 0.25)
    told.close()


def test_curves_go_to_tensorboard_where_it_is_asked_for(tmp_path: Path, installed: set[str]) -> None:
    installed.add("tensorboard")
    tell(Telling(Paths(tmp_path), tensorboard=True))
    (writer,) = WRITERS
    assert Path(writer.folder).parent == Paths(tmp_path).tensorboard
    assert [(value, step) for name, value, step in writer.scalars if name == "train/loss"] == [(4.0, 100), (3.0, 200), (2.5, 250)]
    assert ("train/learning_rate", 0.01, 100) in writer.scalars
    assert ("validation/ndcg@10", 0.25, 250) in writer.scalars
    assert not writer.open
    tell(Telling(Paths(tmp_path)))
    assert len(WRITERS) == 1


def test_tensorboard_that_is_not_installed_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tell(Telling(Paths(tmp_path), tensorboard=True))
    assert not WRITERS
    assert "pip install tensorboard" in capsys.readouterr().err


def test_curves_of_a_run_that_was_cut_off_go_on_in_dvclive(tmp_path: Path, installed: set[str]) -> None:
    installed.add("dvclive")
    first, rest = Telling(Paths(tmp_path)), None
    first.step(100, 200, 4.0, 0.01)
    first.close()
    rest = Telling(Paths(tmp_path), resumed=True)
    rest.step(200, 200, 3.0, 0.0)
    rest.figure("ndcg@10", 0.25)
    rest.close()
    metrics = Paths(tmp_path).curves / "plots" / "metrics"
    assert (metrics / "train" / "loss.tsv").read_text().split() == ["step", "loss", "100", "4.0", "200", "3.0"]
    assert (metrics / "validation" / "ndcg@10.tsv").read_text().split() == ["step", "ndcg@10", "200", "0.25"]


def test_the_rate_counts_only_the_steps_of_this_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(curves.time, "monotonic", lambda: now[0])
    progress = Progress()
    for step in range(901, 911):  # ten steps in twenty seconds, after 900 of an earlier run
        now[0] += 2.0
        progress(step, 1000, 1.0)
    assert "step 909/1000  loss 1.0000  0.5 steps/s  182 s left" in capsys.readouterr().err


def test_dvc_draws_what_the_training_report_holds(checkout: Path) -> None:
    plots = yaml.safe_load((checkout / "dvc.yaml").read_text())["plots"]
    axes = [(plot["x"], plot["y"]) for entry in plots for plot in entry.values()]
    assert axes == [({"reports/training.json": x}, {"reports/training.json": y}) for x, y in (("step", "loss"), ("epoch", "ndcg@10"))]
