"""`footfall demo`: the whole loop on demonstration data, by the flows that production runs."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footfall.errors import ParamsError
from footfall_cli.console import reporting, say, say_json
from footfall_cli.root import JsonOption, find_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from footfall_cli.demo_loop import Plan
    from footfall_cli.processes import Processes

SIMULATED = (
    "simulator:users=500,items=150,start=2021-02-01,end=2021-08-15,faults=0.006,drift=taste_shift@2021-07-11,drift=assortment_change@2021-07-11"
)
"""What `--source simulator` is here: what changes in July is too late for the first training to learn from, and in time for the second."""

DATES = {"complete_journey": ("2017-10-29", "2017-11-26"), "simulator": ("2021-07-18", "2021-08-15")}
"""For each source the first training's `as_of`, and the end of the live traffic, which is the second's."""

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
_SAMPLE_S = 3.0


@reporting
def run(
    source: Annotated[
        str, typer.Option(help="complete_journey, or simulator; with options of your own (docs/data.md), --as-of and --then must suit them.")
    ] = "complete_journey",
    as_of: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="The first training reads nothing from this moment on (UTC).")] = None,
    then: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Live traffic runs up to this moment, the second training's as_of.")] = None,
    params: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="YAML with values that replace those of params.yaml in the demo's workspace.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the services running at the end.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Only stop what an earlier --keep left running.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the whole loop on demonstration data: ingest, train, release, serve, live traffic, watch, retrain."""
    from footfall_cli.demo_loop import Plan
    from footfall_cli.demo_workspace import alone, forget_environment, stop_earlier

    forget_environment()
    checkout = find_checkout()
    with alone(checkout):
        stopped = stop_earlier(checkout)
        if stop:
            say_json({"stopped": stopped}) if as_json else say(f"stopped {stopped} processes")
            return
        first, second = (given.replace(tzinfo=UTC) if given else _date(source, position) for position, given in enumerate((as_of, then)))
        plan = Plan(SIMULATED if source == "simulator" else source, first, second)
        _loop(checkout, plan, _overrides(params), keep=keep, as_json=as_json)


def _loop(checkout: Path, plan: Plan, overrides: dict[str, Any], *, keep: bool, as_json: bool) -> None:
    from footfall.paths import Paths
    from footfall_cli import demo_report
    from footfall_cli.demo_loop import Loop
    from footfall_cli.demo_workspace import make_fresh
    from footfall_cli.load import raw_users
    from footfall_cli.processes import Processes

    report, begun = Paths(checkout).demo_report, time.perf_counter()
    report.unlink(missing_ok=True)
    overrides = {**overrides, "data": {**overrides.get("data", {}), "as_of": plan.as_of.isoformat()}}
    root, left_out = make_fresh(checkout, overrides)
    if not as_json:
        say(f"workspace {root}: this checkout's committed HEAD")
        if left_out:
            say(f"not in it, because not committed: {', '.join(left_out)}")
    with Processes(root, extra={"FOOTFALL_REPLAY_CLOCK": "1"}, keep=keep) as up, _watched_memory(up):
        loop = Loop(root, plan, up, quiet=as_json)
        for step in (loop.start, loop.ingest, loop.train_and_release, loop.serve, loop.live_traffic, loop.watch, loop.retrain):
            step()
            demo_report.write(report, loop.facts)
        if keep:
            up.start("reports")
            up.wait_ready("reports")
    if as_json:
        say_json(demo_report.document(loop.facts))
        return
    demo_report.summarise(loop.facts, plan, root, peak_bytes=up.peak_bytes, total_s=time.perf_counter() - begun)
    say(f"         {report}")
    demo_report.say_next(checkout, up.ports if keep else None, raw_users(plan.source, plan.as_of)[0])


def _date(source: str, position: int) -> datetime:
    dates = DATES.get(source.partition(":")[0], DATES["complete_journey"])
    return datetime.fromisoformat(dates[position]).replace(tzinfo=UTC)


def _overrides(path: Path | None) -> dict[str, Any]:
    import yaml

    if path is None:
        return {}
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not all(isinstance(section, dict) for section in document.values()):
        raise ParamsError(
            "wrong value in params", where=path, expected="sections of params.yaml", found=type(document).__name__, next_step=f"mend {path}"
        )
    return document


@contextmanager
def _watched_memory(up: Processes) -> Iterator[None]:
    """Sample the memory of all processes together while the block runs."""
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_S):
            up.sample_memory()

    thread = threading.Thread(target=sample, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
