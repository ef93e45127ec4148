"""`footfall load replay|steady`: traffic for a running service, counted exactly, without retries."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.errors import ServiceError, SourceError
from footfall_cli.console import REFUSED, progress, reporting, say, say_json, say_table, screen
from footfall_cli.root import JsonOption, WorkspaceOption, find_root

if TYPE_CHECKING:
    from pathlib import Path

    from footfall_cli.traffic import Step, Traffic, Trip

app = typer.Typer(help="Traffic for a running service: replay a source's trips, or ask at a constant rate.", no_args_is_help=True)
_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
SourceOption = Annotated[str, typer.Option(help="complete_journey, or simulator with options (docs/data.md).")]
UrlOption = Annotated[str | None, typer.Option(help="The service. Default: the one that runs for the workspace.", show_default=False)]
KeyOption = Annotated[str | None, typer.Option(envvar="FOOTFALL_API_KEY", help="API key, where the service wants one.", show_default=False)]
_SAY_EVERY_S = 10.0


@app.command()
@reporting
def replay(
    since: Annotated[datetime, typer.Option(formats=_FORMATS, help="First moment of the trips (UTC).")],
    until: Annotated[datetime, typer.Option(formats=_FORMATS, help="Only trips before this moment (UTC).")],
    source: SourceOption = "complete_journey",
    url: UrlOption = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Users side by side; each user's trips go in order.")] = 4,
    api_key: KeyOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay all trips of a source over HTTP: a slate at the trip's moment, then the trip's events."""
    import asyncio

    from footfall_cli.traffic import replay as send

    trips = raw_trips(source, since.replace(tzinfo=UTC), until.replace(tzinfo=UTC))
    with watched("trips", len(trips), quiet=as_json) as on_step:
        traffic = asyncio.run(send(url or service_url(workspace), trips, workers=workers, api_key=api_key, on_step=on_step))
    conclude(traffic, as_json=as_json)


@app.command()
@reporting
def steady(
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second; the schedule never waits for an answer.")] = 25.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 10.0,
    source: SourceOption = "complete_journey",
    *,
    until: Annotated[
        datetime | None, typer.Option(formats=_FORMATS, help="Users known before this moment (UTC). Default: params data.as_of.")
    ] = None,
    at: Annotated[
        datetime | None, typer.Option(formats=_FORMATS, help="The moment that requests state; the service must have its replay clock on.")
    ] = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for slates of known users at a constant rate, and say which release answered."""
    import asyncio

    from footfall.params import load_params
    from footfall.paths import Paths
    from footfall_cli.traffic import steady as send

    moment = until.replace(tzinfo=UTC) if until else load_params(Paths(find_root(workspace)).params).data.as_of
    users, begun = raw_users(source, moment), time.perf_counter()
    address, clock = url or service_url(workspace), None if at is None else at.replace(tzinfo=UTC)
    with watched("requests", round(rate * seconds), quiet=as_json) as on_step:
        traffic = asyncio.run(
            send(address, users, rate=rate, until=lambda _: time.perf_counter() - begun > seconds, at=clock, api_key=api_key, on_step=on_step)
        )
    conclude(traffic, as_json=as_json)


def raw_trips(source: str, since: datetime, until: datetime) -> list[Trip]:
    """All trips of a source with raw user ids, in order of time.

    Raises:
        SourceError: there are none.
    """
    from footfall.sources import open_source
    from footfall_cli.traffic import trips_of

    trips = sorted((trip for _, table in open_source(source, None).events(since, until) for trip in trips_of(table)), key=lambda trip: trip.at)
    if not trips:
        raise SourceError(
            "no trips to replay",
            where=source,
            expected="events in the span",
            found=f"{since.isoformat()} to {until.isoformat()}",
            next_step="widen --since and --until",
        )
    return trips


def raw_users(source: str, until: datetime) -> list[str]:
    """Raw ids of the users that a source knows before `until`, sorted."""
    from footfall.contracts import C
    from footfall.sources import open_source

    return sorted(open_source(source, None).users(until).column(C.USER_ID).to_pylist())


def service_url(workspace: Path | None) -> str:
    """Where the workspace's HTTP service answers.

    Raises:
        ServiceError: it does not run.
    """
    from footfall_cli.status import running

    root = find_root(workspace)
    entry = running(root).get("service")
    if entry is None or entry.url is None:
        raise ServiceError("the HTTP service does not run", where=root, expected="a running service", next_step="make up, or give --url")
    return entry.url


class watched:  # noqa: N801 - used as a context, like a function
    """Progress of a load: a bar on a terminal, a plain line every ten seconds elsewhere; nothing when `quiet`."""

    def __init__(self, noun: str, total: int | None, *, quiet: bool = False) -> None:
        """Draw nothing yet."""
        self.noun, self.total, self.quiet = noun, total, quiet
        self._bar = progress(quiet=quiet)
        self._said = time.monotonic()

    def __enter__(self) -> Step:
        """Start the bar; return what the load calls after each step."""
        self._bar.start()
        self._task = self._bar.add_task(self.noun, total=self.total, rate="")
        return self._step

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _step(self, traffic: Traffic) -> None:
        done = traffic.trips if self.noun == "trips" else traffic.sent
        rate = done / traffic.seconds if traffic.seconds else 0.0
        self._bar.update(self._task, completed=done, rate=f"{rate:.0f}/s, {traffic.failed} failed")
        if not self.quiet and self._bar.disable and time.monotonic() - self._said > _SAY_EVERY_S:
            self._said = time.monotonic()
            of = "" if self.total is None else f" of {self.total:,}"
            left = "" if not self.total or not rate else f", {timedelta(seconds=round((self.total - done) / rate))} left"
            screen(error=True).print(f"  {done:,}{of} {self.noun}, {rate:.0f}/s, {traffic.failed} failed{left}", markup=False)


def conclude(traffic: Traffic, *, as_json: bool) -> None:
    """Say what was sent and what came back; leave with 1 when a request failed."""
    summary = traffic.summary()
    if as_json:
        say_json(summary)
    else:
        say_table("load", ["what", "value"], summary.items())
    if traffic.failed:
        if not as_json:
            say(f"error: {traffic.failed} of {traffic.sent} requests failed: {dict(traffic.faults)}")
        raise typer.Exit(REFUSED)
