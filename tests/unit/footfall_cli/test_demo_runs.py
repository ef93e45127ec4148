from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from footfall.errors import ServiceError
from footfall_cli import demo_runs
from footfall_cli.demo_runs import Runs
from footfall_cli.orchestrator import Orchestrator, Run

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(state: str, *, maker: tuple[str, str] | None = None, start: datetime | None = NOW, name: str = "otter") -> Run:
    return Run("1", name, state, "", maker, start, None, {})


class Recorded(Orchestrator):
    """A server whose answers are given: each poll of a run takes the next state."""

    def __init__(self, states: list[str], by_flow: dict[str, list[Run]], log: Path | None = None, lines: list[str] | None = None) -> None:
        super().__init__("http://nowhere/api")
        self.states, self.by_flow, self.log, self.lines = states, by_flow, log, lines or []

    def run(self, run_id: str) -> Run:
        if self.log is not None and self.lines:
            with self.log.open("a") as file:
                file.write(self.lines.pop(0))
        return run(self.states.pop(0))

    def runs(self, flow: str, *, since: datetime | None = None) -> list[Run]:
        return self.by_flow.get(flow, [])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_runs.time, "sleep", lambda _: None)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "worker.log"
    path.touch()
    return path


def test_stages_are_told_once_each_as_the_log_announces_them(log: Path) -> None:
    told: list[str] = []
    lines = ["| Running stage 'events':\n| Running sta", "ge 'train':\n", "| x - train [##..] step 1/9\n"]
    server = Recorded(["PENDING", "RUNNING", "RUNNING", "RUNNING", "COMPLETED"], {}, log, lines)
    Runs(server, log, told.append).wait(run("PENDING"))
    assert told == ["   stage events", "   stage train", "   train [##..] step 1/9"]


def test_a_release_that_begins_below_a_run_is_announced_once(log: Path) -> None:
    begun: list[Any] = []
    server = Recorded(["RUNNING", "RUNNING", "RUNNING", "COMPLETED"], {"release": [run("RUNNING")]})
    Runs(server, log, begun.append).wait(run("PENDING"), on_release=lambda: begun.append("release"))
    assert begun == ["release"]


def test_a_release_that_is_only_planned_has_not_begun(log: Path) -> None:
    server = Recorded([], {"release": [run("SCHEDULED", start=None)]})
    assert Runs(server, log, print).newest("release", since=NOW) is None


def test_only_a_run_that_the_server_says_an_automation_made_counts(log: Path) -> None:
    others = [run("RUNNING", maker=("DEPLOYMENT", "on-drift")), run("RUNNING", maker=("SCHEDULE", "CronSchedule")), run("RUNNING")]
    server = Recorded([], {"retrain": [*others, run("RUNNING", maker=("AUTOMATION", "retrain-on-drift"), name="this")]})
    assert Runs(server, log, print).automated("retrain", since=NOW, verdict="drift").name == "this"


def test_without_such_a_run_nothing_is_claimed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_runs, "AUTOMATION_TIMEOUT_S", 0.05)
    server = Recorded([], {"retrain": [run("COMPLETED")]})
    with pytest.raises(ServiceError, match="none after verdict: no drift"):
        Runs(server, log, print).automated("retrain", since=NOW, verdict="no drift")
