"""`footfall backup`, `footfall restore`, `footfall retain`: the live store saved, brought back, and kept from growing for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footfall.errors import StoreDamageError
from footfall.paths import Paths
from footfall_cli.console import as_plain, progress, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root, settings_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

INGEST_WAIT_S = 60.0
"""How long a verb that reads or counts on raw batches waits for a running ingest."""


@reporting
def save(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write it; an earlier backup of that name is replaced.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save the whole live store as one file, while it is used; sealed when FOOTFALL_ENCRYPTION_KEY is set."""
    from footfall.sealing import key_id
    from footfall.store import backup

    root = find_root(workspace)
    keys = settings_of(root).encryption_keys
    with _open(root) as engine, _rows("saving", quiet=as_json) as report:
        made = backup.save(engine, file, keys, datetime.now(UTC), report=report)
    size, sealed = file.stat().st_size, key_id(keys[0]) if keys else None
    if as_json:
        say_json({"file": str(file), "bytes": size, "sealed_by": sealed, "revision": made.revision, "tables": made.tables})
        return
    say(f"{file}: {sum(made.tables.values()):,} rows, {size / 2**20:,.1f} MiB, {f'sealed by key {sealed}' if sealed else 'not sealed'}")
    say_table("rows", ["table", "rows"], made.tables.items())


@reporting
def restore(
    file: Annotated[Path | None, typer.Argument(dir_okay=False, help="A file of `footfall backup`.", show_default=False)] = None,
    from_raw: Annotated[
        bool, typer.Option("--from-raw", help="Put the events of all accepted raw batches back, after the backup if there is one.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Give up what the store holds; a damaged SQLite file is set aside.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the live store back: from a backup, from the accepted raw batches, or both. Stop the service first."""
    from flows.lease import lease
    from footfall.sources.rebuilding import rebuild
    from footfall.store import backup, backup_file

    if file is None and not from_raw:
        raise typer.BadParameter("name a backup, or give --from-raw")
    root = find_root(workspace)
    paths, keys = Paths(root), settings_of(root).encryption_keys
    found: dict[str, Any] = {}
    if file is not None:
        found["backup"] = as_plain(backup_file.check(file, keys))
    with lease(paths.ingest_lease, "restore of the store", wait_s=INGEST_WAIT_S):
        found["set_aside"] = _set_damaged_aside(root, replace=replace)
        with _open(root) as engine, _rows("restoring", quiet=as_json) as report:
            if file is not None:
                found["erased_since"] = backup.restore(engine, file, keys, replace=replace, report=report)
            if from_raw:
                found["from_raw"] = as_plain(rebuild(paths, engine, report=report))
    if as_json:
        say_json(found)
        return
    _say_restored(found)


@reporting
def retain(
    keep_months: Annotated[int, typer.Option("--keep-months", min=1, help="Whole months that stay, besides the present one.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and drop nothing.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop whole months of events that raw batches hold, and of exposures, from the live store."""
    from flows.lease import lease
    from footfall.sources.landing import ROWS
    from footfall.store import retention

    root = find_root(workspace)
    paths = Paths(root)
    first = retention.first_kept(datetime.now(UTC).date(), keep_months)
    with lease(paths.ingest_lease, "retention", wait_s=INGEST_WAIT_S), _open(root) as engine:
        work = retention.droppable if dry_run else retention.drop_before
        gone = work(engine, first, lambda batch_id: (paths.raw / "events" / batch_id / ROWS).exists())
    if as_json:
        say_json({"first_kept": first.isoformat(), "dry_run": dry_run, **as_plain(gone)})
        return
    say_table(
        f"{'would drop' if dry_run else 'dropped'}: all before {first}",
        ["month", "events", "exposures"],
        [(month, gone.events.get(month, 0), gone.exposures.get(month, 0)) for month in sorted(gone.events.keys() | gone.exposures)],
        empty="nothing",
    )
    if gone.kept:
        say(f"{gone.kept:,} older events stay, because no raw batch holds them: footfall ingest, footfall quarantine list")
    if gone.bytes_freed:
        say(f"{gone.bytes_freed / 2**20:,.1f} MiB given back to the disk")


def _set_damaged_aside(root: Path, *, replace: bool) -> str | None:
    """Where a damaged SQLite file has gone; None when there is none."""
    from footfall.store.engine import sqlite_path
    from footfall.store.sqlite_file import prepare, set_aside, verify

    path = sqlite_path(settings_of(root).store_url)
    if path is None or not path.exists():
        return None
    try:
        prepare(path)
        verify(path)
    except StoreDamageError:
        if not replace:
            raise
        return str(set_aside(path))
    return None


def _say_restored(found: dict[str, Any]) -> None:
    if found["set_aside"]:
        say(f"the damaged file is {found['set_aside']} now")
    if "backup" in found:
        say(f"restored what the store held at {found['backup']['taken_at']}: {sum(found['backup']['tables'].values()):,} rows")
        if gone := sum(found["erased_since"].values()):
            say(f"{gone:,} rows of people who were erased since then have left again")
    if "from_raw" in found:
        say(f"{found['from_raw']['events']:,} events came back from {found['from_raw']['batches']} raw batches")
        if "backup" not in found:
            say("releases, reviews, exposures, erasures and events that no raw batch holds come back by a backup only")


@contextmanager
def _open(root: Path) -> Iterator[Engine]:
    engine = engine_of(root)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _rows(what: str, *, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """A bar that counts rows."""
    with progress(quiet=quiet) as bar:
        task = bar.add_task(what, total=None, rate="")

        def report(part: str, rows: int) -> None:
            bar.update(task, advance=rows, description=f"{what} {part}")

        yield report
