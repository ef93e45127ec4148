"""`python -m monitoring calibrate`: limits of the drift report from the quiet months of a source.

Prints the table, writes monitoring/calibration.json, and puts the limits into params.yaml. Run it when a source or a measure changes, and
commit what it wrote; it never reads the windows of the demonstration (from 2017-10-01).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import track
from rich.table import Table

from footfall.contracts import C
from footfall.errors import FootfallError
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.pseudonyms import DEMO_KEY
from footfall.settings import TELEMETRY_OFF
from footfall.sources import SOURCE_NAMES, open_source
from footfall.tables import write_text
from monitoring.calibrate import Calibration, calibrate
from monitoring.limits_file import write_limits

CALIBRATION = Path("monitoring") / "calibration.json"


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 done, 1 refused with a reason, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m monitoring", description="Calibrate the drift report's limits on quiet windows.")
    verb = parser.add_subparsers(required=True).add_parser("calibrate", help="compare the neighbouring quiet windows and write the limits")
    verb.add_argument("--source", choices=SOURCE_NAMES, default=SOURCE_NAMES[0])
    verb.add_argument("--from", dest="first", type=_moment, default="2017-02-01", help="first quiet day (default %(default)s)")
    verb.add_argument("--until", type=_moment, default="2017-10-01", help="the day after the last quiet one (default %(default)s)")
    verb.add_argument("--step-days", type=int, default=7, help="days between neighbouring pairs (default %(default)s)")
    asked = parser.parse_args(arguments)
    console = Console()
    try:
        _calibrate(console, Paths(Path.cwd()), asked.source, (asked.first, asked.until), asked.step_days)
    except FootfallError as error:
        Console(stderr=True).print(str(error), markup=False)
        return 1
    return 0


def _calibrate(console: Console, paths: Paths, source: str, quiet: tuple[datetime, datetime], step_days: int) -> None:
    params = load_params(paths.params)
    events, catalogue = _read(source, quiet[1])
    calibration = calibrate(
        source, events, catalogue, quiet, step_days, params,
        follow=lambda starts: track(starts, description="quiet pairs", console=console, disable=not console.is_terminal),
    )  # fmt: skip
    write_text(paths.root / CALIBRATION, json.dumps(calibration.as_dict(), indent=1, sort_keys=True) + "\n")
    write_limits(paths.params, calibration.limits, {name: calibration.summary(name)["largest"] for name in calibration.limits})
    console.print(_table(calibration, params))
    console.print(f"{len(calibration.pairs)} pairs; limits written to {paths.params.name}, values to {CALIBRATION}")


def _read(source: str, until: datetime) -> tuple[pa.Table, pa.Table]:
    """Events before `until` that the gate would pass, and the catalogue."""
    opened = open_source(source, DEMO_KEY)
    catalogue = opened.catalogue()
    events = pa.concat_tables([table for _, table in opened.events(None, until)])
    good = pc.and_(pc.greater(pc.fill_null(events[C.QUANTITY], 1), 0), pc.is_in(events[C.ITEM_ID], value_set=catalogue[C.ITEM_ID].combine_chunks()))
    return events.filter(good), catalogue


def _table(calibration: Calibration, params: Params) -> Table:
    first, last = calibration.pairs[0].start, calibration.pairs[-1].end
    table = Table(title=f"{calibration.source}, {first:%Y-%m-%d} to {last:%Y-%m-%d}: neighbouring {params.monitor.window_days}-day windows")
    table.add_column("measure", no_wrap=True)
    for column in ("pairs", "smallest", "median", "largest", "limit", "held-out\nalarms"):
        table.add_column(column, justify="right")
    for name in calibration.measures:
        quiet = calibration.summary(name)
        limit = calibration.limits.get(name)
        figures = [f"{quiet[key]:.4f}" for key in ("smallest", "median", "largest")]
        alarms = "" if limit is None else f"{calibration.held_out_alarms(name):.0%}"
        table.add_row(name, f"{quiet['pairs']:.0f}", *figures, "no vote" if limit is None else f"{limit:.4f}", alarms)
    return table


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


if __name__ == "__main__":
    os.environ.update(TELEMETRY_OFF)
    sys.exit(main())
