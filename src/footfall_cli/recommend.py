"""`footfall recommend --all`: a slate for every user, as one Parquet file, for whoever sends e-mail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from footfall_cli.console import progress, reporting, say, say_json, say_table, screen
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root, settings_of

if TYPE_CHECKING:
    import pyarrow as pa

    from bentos.slates.everybody import Row, Tally
    from footfall.settings import Settings
    from footfall.store import Engine

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
_SAY_EVERY_S = 10.0
_USERS_A_TABLE = 1000
_ROWS_A_WRITE = 50_000


class Place(StrEnum):
    """Where slates may stand: `footfall.rules.PLACES`."""

    HOME = "home"
    PRODUCT = "product"
    CART = "cart"
    EMAIL = "email"
    SEARCH = "search"


class _Asked(NamedTuple):
    place: str
    k: int
    at: datetime
    limit: int | None


@reporting
def run(
    everybody: Annotated[bool, typer.Option("--all", help="For all users who have not refused.")] = False,
    k: Annotated[int, typer.Option(min=1, max=100, help="Positions of each slate.")] = 10,
    place: Annotated[Place, typer.Option(help="Where the slates will stand, for merchant rules and consent.")] = Place.EMAIL,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write. Default: reports/slates/PLACE-MOMENT.parquet.", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many slates at most, by user id.", show_default=False)] = None,
    at: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="The moment to answer for (UTC). Default: now.", show_default=False)] = None,
    shown: Annotated[bool, typer.Option("--shown", help="They will be sent: log them as exposures, once the file is written.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the slates that POST /v1/recommend would give all users at one moment, by the champion."""
    if not everybody:
        raise typer.BadParameter("say --all; a single user's slate is POST /v1/recommend's")
    root = find_root(workspace)
    settings, engine = settings_of(root), engine_of(root)
    moment = datetime.now(UTC).replace(microsecond=0) if at is None else at.replace(tzinfo=UTC)
    path = out or settings.paths.slates / f"{place.value}-{moment:%Y%m%dT%H%M%SZ}.parquet"
    summary = _write(settings, engine, path, _Asked(place.value, k, moment, limit), quiet=as_json)
    if shown:
        _log(engine, path)
    summary["shown"] = shown
    if as_json:
        say_json(summary)
        return
    say_table("slates", ["what", "value"], summary.items())
    if not shown:
        say(f"not logged as exposures; when they are sent: the same with --shown --at {moment:%Y-%m-%dT%H:%M:%S}")


def _write(settings: Settings, engine: Engine, path: Path, asked: _Asked, *, quiet: bool) -> dict[str, Any]:
    """Write the file, and say what is in it."""
    from bentos.slates import everybody as service
    from bentos.slates.asking import Shelf
    from footfall.contracts import EXPOSURES
    from footfall.store import everybody as users
    from footfall.store.moments import to_us
    from footfall.tables import write_batches

    tally = service.Tally()
    with service.opened(settings) as answering:
        facts = {"place": asked.place, "k": asked.k, "at": asked.at.isoformat(), "release": answering.describe()["release"]}
        schema = EXPOSURES.schema.with_metadata({"footfall": json.dumps(facts, sort_keys=True)})
        begun = time.perf_counter()
        found = service.slates(answering, engine, Shelf(k=asked.k, place=asked.place), to_us(asked.at), tally, asked.limit)
        write_batches(path, schema, _tables(_watched(found, tally, users.count(engine), asked.limit, quiet=quiet), schema))
        seconds = time.perf_counter() - begun
    counts = {"users": tally.users, "refused": tally.refused, "slates": tally.slates, "rows": tally.rows, "degraded": dict(tally.degraded)}
    return {"file": str(path), **facts, **counts, "seconds": round(seconds, 2), "users_per_second": round(tally.users / seconds, 1)}


def _tables(slates: Iterator[list[Row]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Slates as tables of some thousand rows."""
    from bentos.slates.everybody import table_of

    held: list[Row] = []
    for number, rows in enumerate(slates, 1):
        held += rows
        if number % _USERS_A_TABLE == 0:
            yield table_of(held, schema)
            held = []
    yield table_of(held, schema)


def _watched(slates: Iterator[list[Row]], tally: Tally, users: int, limit: int | None, *, quiet: bool) -> Iterator[list[Row]]:
    """The same, with a bar on a terminal and a plain line every ten seconds elsewhere."""
    total = users if limit is None else min(users, limit)
    begun = said = time.monotonic()
    with progress(quiet=quiet) as bar:
        task = bar.add_task("users", total=total, rate="")
        for rows in slates:
            yield rows
            now = time.monotonic()
            done = tally.users if limit is None else tally.slates
            rate = done / max(now - begun, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:.0f}/s")
            if bar.disable and not quiet and now - said > _SAY_EVERY_S:
                said = now
                left = timedelta(seconds=round(max(total - done, 0) / rate))
                screen(error=True).print(f"  {done:,} of {total:,} users, {rate:.0f}/s, {left} left", markup=False)


def _log(engine: Engine, path: Path) -> None:
    """Append the file's rows to the exposures; those that are there already stay as they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from footfall.store import exposures

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_A_WRITE):
            exposures.append(engine, pa.Table.from_batches([batch]))
