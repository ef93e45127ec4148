"""`footfall status`: what is up, what serves, what waits for somebody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from footfall.errors import FootfallError
from footfall.paths import Paths
from footfall_cli.console import reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root

if TYPE_CHECKING:
    from footfall_cli.ledger import Entry


def running(root: Path) -> dict[str, Entry]:
    """The workspace's processes that run now, by name."""
    from footfall_cli.ledger import is_running, read_ledger

    return {entry.name: entry for entry in read_ledger(root) if is_running(entry)}


@reporting
def run(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """What is up, which release serves, and what waits for somebody."""
    root = find_root(workspace)
    store = _store(root)
    processes = _processes(root, serves=store.get("champion") is not None)
    document: dict[str, Any] = {"workspace": str(root), "processes": processes, "store": store, "data": _data(root), "runs": _runs(root)}
    if as_json:
        say_json(document)
        return
    say(f"workspace {root}")
    say_table(
        "processes",
        ["name", "state", "pid", "address", "log"],
        [(p["name"], p["state"], p["pid"], p["url"], p["log"]) for p in document["processes"]],
    )
    say_table("live store", ["what", "value"], document["store"].items())
    say_table("data", ["what", "value"], document["data"].items())
    if document["runs"]:
        say_table("newest flow runs", ["flow", "run", "state", "created by", "began"], [tuple(run.values()) for run in document["runs"]])


def _processes(root: Path, *, serves: bool) -> list[dict[str, Any]]:
    from footfall_cli.production import NAMES, PAGES, answers

    up = running(root)
    found: list[dict[str, Any]] = []
    for name in NAMES:
        entry = up.get(name)
        if entry is None:
            found.append({"name": name, "state": "down", "pid": None, "url": None, "log": None})
            continue
        ready = entry.url is None or answers(entry.url + PAGES[name])
        state = "up" if ready else "waits for a champion" if name == "service" and not serves else "starting"
        found.append({"name": name, "state": state, "pid": entry.pid, "url": entry.url, "log": entry.log})
    return found


def _store(root: Path) -> dict[str, Any]:
    from footfall_cli.root import settings_of

    url = settings_of(root).store_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return {"state": "none yet"}
    from footfall.store import arms, events, exposures, releases, reviews

    try:
        engine = engine_of(root)
        champion = releases.champion(engine)
        return {
            "state": "reachable",
            "champion": None if champion is None else champion.release_id,
            "champion_as_of": None if champion is None else champion.as_of.isoformat(),
            **{arm.arm: arm.release_id for arm in arms.list_all(engine)},
            "releases": len(releases.list_all(engine)),
            "events": events.count(engine),
            "slates": exposures.count_slates(engine),
            "open_reviews": sum(review.state == "open" for review in reviews.list_all(engine)),
        }
    except FootfallError as error:
        return {"state": str(error)}


def _data(root: Path) -> dict[str, Any]:
    from flows.lease import lease_is_held
    from footfall.params import load_params
    from footfall_cli.facts import ingested

    paths = Paths(root)
    return {"as_of": load_params(paths.params).data.as_of.isoformat(), **ingested(root), "retrain_runs_now": lease_is_held(paths.lease)}


def _runs(root: Path) -> list[dict[str, Any]]:
    from footfall_cli.orchestrator import Orchestrator

    entry = running(root).get("orchestrator")
    if entry is None:
        return []
    server, found = Orchestrator(f"{entry.url}/api"), []
    try:
        for flow in ("ingest", "retrain", "release", "monitor"):
            for run_ in server.begun(flow)[:2]:
                maker = "" if run_.created_by is None else " ".join(run_.created_by)
                found.append(
                    {
                        "flow": flow,
                        "run": run_.name,
                        "state": run_.state,
                        "created_by": maker,
                        "began": None if run_.start is None else run_.start.isoformat(),
                    }
                )
    except FootfallError:
        return found  # still starting; the processes' table says so
    return found
