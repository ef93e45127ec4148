"""Drift to retrain on a real Prefect server: registered twice, one event, one run that the automation made and a worker carries out."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun

from flows.deployments import AUTOMATION, DEPLOYMENTS, WORK_POOL, deploy
from flows.environment import process_environment
from flows.monitor import send_event
from footfall.documents import Review
from footfall.store.releases import Release

NOVEMBER = "2017-11-26T00:00:00+00:00"


@pytest.fixture
def code_root(root: Path, checkout: Path) -> Path:
    """A root with this checkout's code, but no workspace: a retrain there is refused at once, which is all that this test needs of it."""
    for name in ("flows", "expectations", "bentos", "monitoring", "src"):
        (root / name).symlink_to(checkout / name)
    return root


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def _runs(client: SyncPrefectClient, deployment_id: object, *, at_least: int) -> list[FlowRun]:
    wanted = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    deadline = time.monotonic() + 60
    while len(runs := client.read_flow_runs(deployment_filter=wanted)) < at_least and time.monotonic() < deadline:
        time.sleep(0.25)
    return runs


def _review(name: str) -> Review:
    windows = ["2017-10-01T00:00:00+00:00", "2017-10-29T00:00:00+00:00"], ["2017-10-29T00:00:00+00:00", NOVEMBER]
    return Review(name, NOVEMBER, "r1", *windows, verdict="drift", reasons=['"Gifts" {{ rose }}.'], measures=[], report_html=None, report_json=None)


def test_a_drift_event_becomes_one_retrain_that_the_automation_made(code_root: Path, prefect_api: str, client: SyncPrefectClient) -> None:
    ids = deploy(code_root, schedules=False)
    assert deploy(code_root, schedules=False) == ids
    assert set(ids) == {planned.full_name for planned in DEPLOYMENTS}
    assert [automation.name for automation in client.read_automations_by_name(AUTOMATION)] == [AUTOMATION]
    for planned in DEPLOYMENTS:
        registered = client.read_deployment(ids[planned.full_name])
        assert registered.work_pool_name == WORK_POOL
        assert [schedule.active for schedule in registered.schedules] == ([] if planned.cron is None else [False])
        assert registered.global_concurrency_limit is not None
        assert registered.global_concurrency_limit.limit == 1

    champion = Release("r1", "footfall:r1", "champion", *[_moment(NOVEMBER)] * 2)
    assert send_event.fn(_review("w1"), champion) == send_event.fn(_review("w1"), champion)  # the same review is the same event
    (run,) = _runs(client, ids["retrain/on-drift"], at_least=1)
    assert run.parameters == {"as_of": NOVEMBER, "reason": 'drift: "Gifts" {{ rose }}.'}
    assert run.created_by is not None
    assert (run.created_by.type, run.created_by.display_value) == ("AUTOMATION", AUTOMATION)

    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process", "--run-once"]
    done = subprocess.run(
        worker, cwd=code_root, env=process_environment(code_root, prefect_api), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    (ended,) = _runs(client, ids["retrain/on-drift"], at_least=1)
    assert ended.id == run.id
    assert ended.state is not None
    assert ended.state.is_failed()
    assert "unattended runs happen in a workspace only" in str(ended.state.message)  # the flow's own words: it was imported and ran there


def test_schedules_are_active_unless_asked_otherwise(code_root: Path, client: SyncPrefectClient) -> None:
    ids = deploy(code_root)
    monitor = client.read_deployment(ids["monitor/scheduled"])
    assert [(schedule.active, schedule.schedule.cron) for schedule in monitor.schedules] == [(True, "30 3 * * *")]  # type: ignore[union-attr]
    deploy(code_root, schedules=False)
    assert [schedule.active for schedule in client.read_deployment(ids["monitor/scheduled"]).schedules] == [False]


def _moment(text: str) -> object:
    from datetime import datetime

    return datetime.fromisoformat(text)
