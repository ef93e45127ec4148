"""The whole loop on a small simulated shop, by the command that a new user types, in a checkout of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.environment import process_environment

SMALL = """
model: {dim: 16, blocks: 1, heads: 1, max_events: 50}
train: {epochs: 2, tokens_per_step: 4096, negatives: 128}
evaluate: {bootstrap: 100}
fusion: {model_weights: [0.0, 0.1], item_to_item_weights: [0.0, 0.1]}
"""
TIMEOUT_S = 480
"""Far above what it takes, also on a slow machine; below pytest's own limit for one test, after which nobody would take the services down."""

POLICIES = {"model", "fused", "popularity_28d", "personal_frequency_90d", "item_to_item"}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def copy(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own with what lies in this one, committed or not, so that nothing of this one is touched."""
    folder = tmp_path_factory.mktemp("loop") / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=checkout, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = checkout / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "Copy")
    (folder.parent / "small.yaml").write_text(SMALL, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def demo(copy: Path) -> dict[str, Any]:
    """reports/demo.json after `footfall demo --source simulator`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(copy / "src"), str(copy)])}
    command = [
        sys.executable,
        "-m",
        "footfall_cli.main",
        "demo",
        "--source",
        "simulator",
        "--params",
        str(copy.parent / "small.yaml"),
    ]
    said = copy.parent / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=copy, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            process.wait(timeout=TIMEOUT_S)
        finally:
            process.terminate()  # an end in time is an orderly one: it takes the services down
            process.wait(timeout=40)
    assert process.returncode == 0, said.read_text(encoding="utf-8")[-6000:]
    document: dict[str, Any] = json.loads((copy / "reports" / "demo.json").read_text(encoding="utf-8"))
    return document


def test_every_step_ran_and_left_its_facts(demo: dict[str, Any]) -> None:
    assert set(demo) == {"events_landed", "rows_quarantined", "training", "metrics", "releases", "drift", "retrain", "requests", "seconds"}
    assert set(demo["rows_quarantined"]) == {"quantity_not_positive", "unknown_item"}
    assert set(demo["metrics"]) >= POLICIES
    assert demo["training"]["events_seen"] > 0


def test_the_retrain_was_started_by_the_automation_after_a_drift_verdict_with_reasons(demo: dict[str, Any]) -> None:
    assert demo["drift"]["verdict"] == "drift"
    assert demo["drift"]["reasons"]
    assert demo["retrain"]["triggered_by"].startswith("AUTOMATION")


def test_the_gate_decided_and_the_service_followed_without_a_failed_request(demo: dict[str, Any]) -> None:
    assert demo["retrain"]["decision"]["outcome"] in {"promote", "refuse"}
    assert demo["retrain"]["promoted"] == (demo["retrain"]["decision"]["outcome"] == "promote")
    assert len(set(demo["releases"])) == 2
    assert demo["requests"]["failed"] == 0
    assert demo["requests"]["sent"] > 800


def test_nothing_is_left_running(copy: Path, demo: dict[str, Any]) -> None:
    assert demo
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FOOTFALL_ROOT", "").startswith(str(copy)):
                left.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    assert left == []


def test_the_checkout_itself_is_as_it_was(copy: Path, demo: dict[str, Any]) -> None:
    assert demo
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=copy, check=True, capture_output=True, text=True).stdout
    assert changed == ""


def test_a_repro_without_changes_runs_no_stage_and_a_forced_one_gives_the_same_bytes(copy: Path, demo: dict[str, Any]) -> None:
    assert demo
    workspace = copy / ".footfall" / "workspace"
    environment = process_environment(workspace)
    del environment["PYTHONPATH"]  # stage commands set their own

    def repro(*options: str) -> str:
        command = [sys.executable, "-m", "dvc", "repro", *options]
        return subprocess.run(command, cwd=workspace, env=environment, check=True, capture_output=True, text=True).stdout

    lock, weights = workspace / "dvc.lock", workspace / "data" / "weights" / "model.safetensors"
    before = lock.read_bytes(), weights.read_bytes()
    assert "Running stage" not in repro()
    assert "Running stage 'train'" in repro("--force")
    assert (lock.read_bytes(), weights.read_bytes()) == before  # the lock names the digest of every output of every stage
