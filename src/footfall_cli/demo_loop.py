"""The demo's seven steps, each by the real flow that production runs: ingest, train, release, serve, live traffic, watch, retrain.

Every figure is read from what the step itself left behind: receipts, reports, the store, the Prefect server's record of a run. A step that
did not run leaves nothing in `Facts`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footfall.documents import DRIFT, Metrics, Review
from footfall.errors import HoldError, ServiceError
from footfall_cli import facts, production
from footfall_cli.changeover import SteadyLoad
from footfall_cli.console import say
from footfall_cli.demo_runs import Runs
from footfall_cli.load import raw_trips, raw_users, watched
from footfall_cli.orchestrator import Orchestrator, Run
from footfall_cli.root import engine_of
from footfall_cli.traffic import Traffic, replay

if TYPE_CHECKING:
    from footfall.store.releases import Release
    from footfall_cli.processes import Processes


@dataclass(frozen=True)
class Plan:
    """What the demo runs on: a source, the first training's `as_of`, and the end of the live traffic, which is the second's."""

    source: str
    as_of: datetime
    then: datetime


@dataclass
class Facts:
    """What the steps left behind; a step that has not run has left None."""

    ingested: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    metrics: Metrics | None = None
    second_metrics: Metrics | None = None
    releases: list[Release] = field(default_factory=list)
    replayed: Traffic | None = None
    slates_logged: int | None = None
    review: Review | None = None
    retrain: Run | None = None
    challenger: Release | None = None
    changeover: Traffic | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Loop:
    """The loop on one fresh workspace.

    Args:
        root: the workspace.
        plan: source and dates.
        up: its processes; nothing has been started yet.
        quiet: say nothing on the way.
    """

    def __init__(self, root: Path, plan: Plan, up: Processes, *, quiet: bool = False) -> None:
        """Remember; start nothing."""
        self.root, self.plan, self.up, self.quiet = root, plan, up, quiet
        self.facts = Facts()
        self.server = Orchestrator(up.ports.api)
        self.runs = Runs(self.server, up.log("worker"), self._say, quiet=quiet)
        self._engine = engine_of(root)

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Announce a step and note the seconds it took."""
        self._say(f"\n{title}")
        begun = time.perf_counter()
        yield
        self.facts.seconds[name] = round(time.perf_counter() - begun, 1)
        self._say(f"   {self.facts.seconds[name]:.1f} s")

    def start(self) -> None:
        """The Prefect server, the deployments with their automation, and the worker."""
        with self.step("start", "Start: Prefect server, deployments, automation, worker"):
            self.up.start("orchestrator")
            self.up.wait_ready("orchestrator")
            self.up.start("worker")  # it makes the work pool if the deployments have not yet
            self.up.call("deploy", ["flows", "deploy", "--no-schedules"])
            self.up.wait_ready("worker", lambda: self.server.workers(production.POOL) > 0)

    def ingest(self) -> None:
        """Land the source's events up to `as_of` through the gate."""
        with self.step("ingest", f"1. Ingest: {self.plan.source} up to {self.plan.as_of:%Y-%m-%d}, judged by the gate"):
            self.runs.run("ingest/scheduled", {"source": self.plan.source, "until": self.plan.as_of.isoformat()})
        self.facts.ingested = found = facts.ingested(self.root)
        self._say(f"   {found['events_landed']:,} rows of events in {found['batches']} batches; in quarantine: {_counts(found['rows_quarantined'])}")
        self._say_held(found["held"])

    def train_and_release(self) -> None:
        """The first training, by the retrain deployment; its last act is the release flow, which finds no champion."""
        asked, begun = datetime.now(UTC), time.perf_counter()
        self._say("\n2. Train: DVC runs events, validate, sequences, content, train, habits, bundle, evaluate")
        parameters = {"as_of": self.plan.as_of.isoformat(), "reason": "first training"}
        self.runs.run("retrain/on-drift", parameters, on_release=lambda: self._say("\n3. Release: the gate, the model store, a bento"))
        total = time.perf_counter() - begun
        run = self.runs.newest("release", since=asked)
        release_s = 0.0 if run is None or run.start is None or run.end is None else (run.end - run.start).total_seconds()
        self.facts.seconds |= {"train": round(total - release_s, 1), "release": round(release_s, 1)}
        self.facts.training, self.facts.metrics = facts.training(self.root), facts.metrics(self.root)
        champion = self._champion()
        if champion is None:
            raise ServiceError(
                "the first training made no champion", where=self.root, expected="a champion", found="none", next_step="footfall release list"
            )
        self.facts.releases = [champion]
        self._say(f"   release {champion.release_id} is champion; train {total - release_s:.1f} s, release {release_s:.1f} s")

    def serve(self) -> None:
        """The built bento of the champion, on loopback."""
        with self.step("serve", "4. Serve: the built bento over HTTP"):
            self.up.start("service")
            self.up.wait_ready("service")
        self._say(f"   {self._url} is ready")

    def live_traffic(self) -> None:
        """All trips between the two dates over HTTP: slates out, events in."""
        from footfall.store import exposures

        trips = raw_trips(self.plan.source, self.plan.as_of, self.plan.then)
        with self.step("live_traffic", f"5. Live traffic: {len(trips):,} trips to {self.plan.then:%Y-%m-%d} over HTTP, all of them"):
            with watched("trips", len(trips), quiet=self.quiet) as on_step:
                self.facts.replayed = traffic = asyncio.run(replay(self._url, trips, on_step=on_step))
            self._wait_for_exposures(traffic.slates)
        self.facts.slates_logged = exposures.count_slates(self._engine)
        self._say(
            f"   {traffic.sent:,} requests, {traffic.failed} failed; {traffic.accepted:,} events accepted; {self.facts.slates_logged:,} slates logged"
        )

    def watch(self) -> None:
        """Land the live events and compare the windows."""
        with self.step("watch", "6. Watch: the live events are landed, Evidently compares the windows"):
            self.runs.run("ingest/scheduled", {"source": None, "until": self.plan.then.isoformat()})
            self._monitored = datetime.now(UTC)
            self.runs.run("monitor/scheduled", {"until": self.plan.then.isoformat()})
            self.facts.review = self._newest_review()
        self.facts.ingested = found = facts.ingested(self.root)
        self._say_held(found["held"])
        self._say(f"   verdict: {self.facts.review.verdict}")
        for reason in self.facts.review.reasons:
            self._say(f"   because {reason}")

    def retrain(self) -> None:
        """Wait for the run that the automation starts; hold steady load from its release until the new champion answers.

        Without drift nothing starts one: then there is no such step.
        """
        if self.facts.review is None or self.facts.review.verdict != DRIFT:
            self._say("\n7. Retrain: none, because nothing drifted")
            return
        with self.step("retrain", "7. Retrain: started by the automation, judged by the gate, changed over under load"):
            run = self.runs.automated("retrain", since=self._monitored, verdict=self.facts.review.verdict)
            self._say(f"   run {run.name}, created by {' '.join(run.created_by or ())}")
            with SteadyLoad(self._url, raw_users(self.plan.source, self.plan.as_of), at=self.plan.then) as load:
                self.facts.retrain = self.runs.wait(run, on_release=load.start)
                self.facts.challenger = challenger = self._challenger()
                if challenger is not None and challenger.state == "champion":
                    load.wait_for(challenger.release_id)
                self.facts.changeover = load.stop() if load.started else None
        self.facts.second_metrics = facts.metrics(self.root)
        if self.facts.challenger is not None:
            self.facts.releases.append(self.facts.challenger)
            self._say(f"   release {self.facts.challenger.release_id} is {self.facts.challenger.state}")
        if self.facts.changeover is not None:
            summary = self.facts.changeover.summary()
            said = f"{summary['sent']} requests at {summary['requests_per_second']}/s, {summary['failed']} failed"
            self._say(f"   under load: {said}, answered by {summary['releases']}")

    @property
    def _url(self) -> str:
        url = self.up.ports.url("service")
        assert url is not None  # noqa: S101 - the service has a port
        return url

    def _champion(self) -> Release | None:
        from footfall.store import releases

        return releases.champion(self._engine)

    def _challenger(self) -> Release | None:
        """The newest release, if the retrain made one."""
        from footfall.store import releases

        known = {release.release_id for release in self.facts.releases}
        new = [release for release in releases.list_all(self._engine) if release.release_id not in known]
        return new[-1] if new else None

    def _newest_review(self) -> Review:
        from footfall.store import reviews

        found = reviews.list_all(self._engine)
        if not found:
            raise ServiceError("the monitor left no review", where=self.root, expected="a review", found="none", next_step="read the worker's log")
        return found[-1]

    def _wait_for_exposures(self, slates: int) -> None:
        from footfall.store import exposures

        deadline = time.monotonic() + 30
        while exposures.count_slates(self._engine) < slates and time.monotonic() < deadline:
            time.sleep(0.2)

    def _say_held(self, held: list[str]) -> None:
        if held:
            self._say(str(HoldError("a batch is held", where=", ".join(held), next_step="footfall quarantine list")))

    def _say(self, text: str) -> None:
        if not self.quiet:
            say(text)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in counts.items()) or "nothing"
