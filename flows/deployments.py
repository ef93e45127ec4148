"""What runs when, without anyone: the deployments of the four flows, their schedules, and the automation that answers drift with a retrain.

Everything here can be registered again at any time; it then says the same. Registering needs a running Prefect server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.schedules import Schedule

from flows.environment import process_environment
from flows.events import DRIFT_DETECTED, MODEL_RESOURCES

WORK_POOL = "footfall"
AUTOMATION = "retrain-on-drift"
_JOB_VARIABLES = ("PYTHONPATH", "FOOTFALL_ROOT", "FOOTFALL_STORE", "FOOTFALL_REPLAY_CLOCK", "PREFECT_HOME", "BENTOML_HOME", "DVC_SITE_CACHE_DIR")


@dataclass(frozen=True)
class Planned:
    """One deployment: `flow/name`, when it runs by itself (cron, UTC), and with which parameters."""

    flow: str
    name: str
    cron: str | None
    parameters: Mapping[str, Any]
    about: str

    @property
    def full_name(self) -> str:
        """As Prefect writes it."""
        return f"{self.flow}/{self.name}"


DEPLOYMENTS = (
    Planned("ingest", "scheduled", "10 * * * *", {}, "Live events to raw batches, hourly."),
    Planned("monitor", "scheduled", "30 3 * * *", {}, "The newest window against the one before, daily; drift starts a retrain."),
    Planned("retrain", "on-drift", None, {"reason": "by hand"}, "Started by the automation retrain-on-drift, or by a reviewer."),
    Planned("retrain", "scheduled", "0 4 1 * *", {"reason": "schedule"}, "Monthly, drift or not."),
    Planned("release", "manual", None, {}, "Put the workspace's bundle before the release gate once more."),
)


def deploy(root: Path, *, schedules: bool = True) -> dict[str, UUID]:
    """Register work pool, deployments and automation; return the deployments' ids by name.

    Args:
        root: the workspace that the runs work in and take their code from.
        schedules: whether the cron schedules are active.
    """
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"), overwrite=True)
    ids = {planned.full_name: _register(root, planned, schedules) for planned in DEPLOYMENTS}
    _automate(ids["retrain/on-drift"])
    return ids


def _register(root: Path, planned: Planned, schedules: bool) -> UUID:
    """Deploy one flow from the workspace's folder; a run imports it as a module, so that it sees its neighbours."""
    environment = process_environment(root)
    schedule = None if planned.cron is None else Schedule(cron=planned.cron, timezone="UTC", active=schedules)
    loaded = Flow.from_source(source=str(root), entrypoint=f"flows.{planned.flow}.{planned.flow}")
    made = cast("Flow[..., Any]", loaded).to_deployment(
        name=planned.name,
        work_pool_name=WORK_POOL,
        schedules=[schedule] if schedule else [],
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        parameters=dict(planned.parameters),
        description=planned.about,
        job_variables={"working_dir": str(root), "env": {name: environment[name] for name in _JOB_VARIABLES if name in environment}},
    )
    return cast("UUID", cast("RunnerDeployment", made).apply())  # the casts: without an event loop here these calls answer at once


def _automate(retrain_deployment: UUID) -> UUID:
    """Create the automation, or bring the one of that name up to date; more of that name are removed."""
    wanted = AutomationCore(
        name=AUTOMATION,
        description="A drift verdict starts a retrain up to the end of the window that showed it.",
        trigger=EventTrigger(
            expect={DRIFT_DETECTED},
            match={"prefect.resource.id": MODEL_RESOURCES},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=retrain_deployment,
                job_variables=None,
                parameters={name: {"__prefect_kind": "jinja", "template": f"{{{{ event.payload.{name} }}}}"} for name in ("as_of", "reason")},
            )
        ],
    )
    with get_client(sync_client=True) as client:
        standing = client.read_automations_by_name(AUTOMATION)
        for extra in standing[1:]:
            client.delete_automation(extra.id)
        if standing:
            client.update_automation(standing[0].id, wanted)
            return standing[0].id
        return client.create_automation(wanted)
