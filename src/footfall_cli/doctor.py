"""`footfall doctor`: what is wrong with this machine or workspace, each fault with the next thing to type."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.errors import FootfallError
from footfall.paths import Paths
from footfall_cli.console import REFUSED, as_plain, reporting, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, find_root

if TYPE_CHECKING:
    from sqlalchemy import Engine

FREE_GIB = 3.0
"""A demo writes about a gibibyte; less free space than this is a warning before it hurts."""

VERIFY_S = 20.0
"""How long an SQLite store may be held against itself: enough for some four million events."""

PINS = {
    "sqlalchemy": ((2, 0), (2, 1)),
    "fastapi": ((0, 139), (0, 151)),
    "pandas": ((2, 3), (3, 1)),
    "duckdb": ((1, 4), (2, 0)),
    "prefect": ((3, 8), (3, 9)),
}
"""Ranges [from, below) outside which a tool fails silently or late: with SQLAlchemy 2.1 Prefect's schedules never fire, and nothing says so."""


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is well, what was found, and what to do about it."""

    check: str
    ok: bool
    found: str
    next_step: str | None = None


app = typer.Typer(help="What is wrong here, and what to do about it.")


@app.callback(invoke_without_command=True)
@reporting
def run(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check interpreter, silent pins, disk, parameters, store, encryption and bundle; say what to do about each fault."""
    if context.invoked_subcommand is not None:
        return
    root = find_root(workspace)
    findings = [finding for check in (_python, _pins, _disk, _params, _store, _sealing, _bundle) for finding in _guarded(check, root)]
    if as_json:
        say_json({"workspace": str(root), "findings": [as_plain(finding) for finding in findings]})
    else:
        say_table(f"doctor: {root}", ["check", "", "found", "next"], [(f.check, "ok" if f.ok else "FAULT", f.found, f.next_step) for f in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(REFUSED)


@app.command()
@reporting
def mapping(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A mapping; docs/data.md explains its keys.")], as_json: JsonOption = False
) -> None:
    """Read a shop's log through its mapping and say what it gives, and what the gate will make of it; nothing is written."""
    from footfall.sources.mapped import MappedLog
    from footfall.sources.mapping import read_mapping
    from footfall.sources.survey import survey

    found = survey(MappedLog(read_mapping(file), None))
    if as_json:
        say_json(as_plain(found))
    else:
        say_table(f"{file}: what the log gives", ["what", "found", ""], [(line.what, line.found, line.advice) for line in found.lines])
    if not found.usable:
        raise typer.Exit(REFUSED)


@app.command()
@reporting
def cache(
    mend: Annotated[bool, typer.Option("--mend", help="Take damaged objects away and put whole copies in their place.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hash every object of DVC's cache: a damaged one is checked out as if it were whole, and nothing of DVC's says so."""
    from flows.lease import lease
    from flows.versions.cache import Mended, damaged_objects
    from flows.versions.cache import mend as mend_cache

    root = find_root(workspace)
    if mend:
        with lease(Paths(root).lease, "doctor cache"), lease(Paths(root).ingest_lease, "doctor cache"):
            found = mend_cache(root)
    else:
        found = Mended([f"{path.parent.name}{path.name}" for path in damaged_objects(root)])
    if as_json:
        say_json(as_plain(found))
    else:
        fate = "taken away" if mend else "footfall doctor cache --mend"
        rows = [("object", name, fate) for name in found.damaged] + [("file", name, "a whole copy is back") for name in found.restored]
        say_table(f"damaged in {root}", ["what", "name", "next"], rows + [("lost file", name, next_step) for name, next_step in found.lost.items()])
    if found.lost or (found.damaged and not mend):
        raise typer.Exit(REFUSED)


def _guarded(check: Callable[[Path], list[Finding]], root: Path) -> list[Finding]:
    try:
        return check(root)
    except FootfallError as error:
        return [
            Finding(
                check.__name__.removeprefix("_"), ok=False, found=error.what + (f": {error.found}" if error.found else ""), next_step=error.next_step
            )
        ]


def _python(_root: Path) -> list[Finding]:
    ok = (3, 11) <= sys.version_info[:2] < (3, 13)
    return [Finding("python", ok, sys.version.split()[0], None if ok else "make clean && make setup PYTHON=python3.11")]


def _pins(_root: Path) -> list[Finding]:
    findings = []
    for name, (low, high) in PINS.items():
        span = f"{'.'.join(map(str, low))} to below {'.'.join(map(str, high))}"
        try:
            found = version(name)
        except PackageNotFoundError:
            findings.append(Finding(name, ok=name not in ("sqlalchemy", "duckdb"), found="not installed", next_step="make setup"))
            continue
        ok = low <= tuple(int(part) for part in found.split(".")[:2]) < high
        findings.append(Finding(name, ok, found, None if ok else f"pip install -c constraints.txt '{name}' ({span})"))
    return findings


def _disk(root: Path) -> list[Finding]:
    free = shutil.disk_usage(root).free / 2**30
    ok = free >= FREE_GIB
    return [Finding("free disk", ok, f"{free:.1f} GiB", None if ok else f"free {FREE_GIB:.0f} GiB, or dvc gc --workspace")]


def _params(root: Path) -> list[Finding]:
    from footfall.params import load_params

    params = load_params(Paths(root).params)
    limits = len(params.monitor.limits)
    return [
        Finding(
            "params",
            bool(limits),
            f"as_of {params.data.as_of.date()}, {limits} monitor limits",
            None if limits else "PYTHONPATH=src python -m monitoring calibrate",
        )
    ]


def _store(root: Path) -> list[Finding]:
    from footfall.sources.landing import list_batches
    from footfall.store.engine import sqlite_path
    from footfall_cli.root import engine_of, settings_of

    path = sqlite_path(settings_of(root).store_url)
    if path is not None and not path.exists():
        if batches := len(list_batches(Paths(root), "events")):
            return [Finding("live store", ok=False, found=f"no file, and {batches} raw batches of events", next_step="footfall restore --from-raw")]
        return [Finding("live store", ok=True, found="none yet", next_step="footfall ingest makes it")]
    engine = engine_of(root)
    try:
        return [_look_at(engine, path)]
    finally:
        engine.dispose()


def _look_at(engine: Engine, path: Path | None) -> Finding:
    from footfall.store import events, releases, sessions
    from footfall.store.engine import reading
    from footfall.store.sqlite_file import verify

    with reading(engine) as connection:
        weak = sessions.weakness(connection)
    if weak is not None:
        next_step = "set innodb_flush_log_at_trx_commit = 1 in the server's configuration: a power cut can take acknowledged events"
        return Finding("live store", ok=False, found=weak, next_step=next_step)
    checked = ""
    if path is not None:
        checked = ", file checked" if verify(path, VERIFY_S) else f", file checked as far as {VERIFY_S:.0f} s reach"
    champion = releases.champion(engine)
    return Finding("live store", ok=True, found=f"{events.count(engine):,} events, champion {champion.release_id if champion else None}{checked}")


def _sealing(root: Path) -> list[Finding]:
    from footfall.sealing import MAKE_A_KEY, VARIABLE, is_sealed, key_id
    from footfall_cli.root import settings_of

    paths, keys = Paths(root), settings_of(root).encryption_keys
    files = [*paths.raw.glob("*/*/rows.parquet"), *paths.quarantine.glob("held/*/*/rows.parquet"), *paths.quarantine.glob("rows/*/[!.]*.parquet")]
    sealed = sum(map(is_sealed, files))
    if keys:
        return [Finding("encryption", ok=True, found=f"key {key_id(keys[0])}; {sealed} of {len(files)} files of rows are sealed")]
    if sealed:
        return [
            Finding("encryption", ok=False, found=f"no key, and {sealed} sealed files of rows", next_step=f"export {VARIABLE}, the key of before")
        ]
    return [Finding("encryption", ok=True, found="off", next_step=f"to turn it on: {MAKE_A_KEY}")]


def _bundle(root: Path) -> list[Finding]:
    paths = Paths(root)
    if not paths.bundle.exists():
        return [Finding("bundle", ok=True, found="none yet", next_step="dvc repro makes it")]
    from footfall.bundle import open_bundle, release_id

    open_bundle(paths.bundle)
    return [Finding("bundle", ok=True, found=f"{release_id(paths.bundle)} verified")]
