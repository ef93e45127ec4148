"""Rows of a mapped log with which no ingest can go on: they would be lost unsaid, or nobody could say how to read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import ibis.expr.types as ir
import pyarrow as pa

from footfall.contracts import C
from footfall.errors import SourceError
from footfall.sources.rules import Mapping
from footfall.sources.translation import moment_of

_CLOCKS = timedelta(days=1)
"""How far the clock of whoever wrote the log may run ahead."""
_CLOCK = r"\d:\d\d"
_ZONED = r"\d:\d\d.*([zZ]|[+-]\d\d(:?\d\d)?|UTC|GMT)$"
"""A time of day, and one that names its zone."""


def refuse_lost(rows: ir.Table, mapping: Mapping, fetch: Callable[[ir.Table], pa.Table]) -> None:
    """Raise for rows (in our columns) that no rule of the mapping leaves out and that cannot go on."""
    columns = {"without_time": C.OCCURRED_AT} if mapping.anonymous else {"without_user": C.USER_ID, "without_time": C.OCCURRED_AT}
    lost = {name: rows[column].isnull().sum() for name, column in columns.items()}
    said = {name: f"rows have no readable {column}" for name, column in columns.items()}
    # an ingest up to today would lose what is yet to come unsaid, and a later one would take it for true
    lost["in_future"] = (rows[C.OCCURRED_AT] > moment_of(datetime.now(UTC) + _CLOCKS)).sum()
    said["in_future"] = f"rows have an {C.OCCURRED_AT} that is yet to come"
    (counted,) = fetch(rows.aggregate(**lost)).to_pylist()
    for name, what in said.items():
        if counted[name] and name not in mapping.leave_out:
            raise SourceError(
                what,
                where=mapping.where,
                expected=f"no such row, or 'leave_out: [{name}]' in the mapping",
                found=f"{int(counted[name]):,} rows{'' if name == 'in_future' else ' without'}",
                next_step=f"footfall doctor mapping {mapping.path}",
            )


def refuse_mixed_zones(log: ir.Table, mapping: Mapping, fetch: Callable[[ir.Table], pa.Table]) -> None:
    """Raise where some times of the log name their zone and others do not: half of them would be hours off, and nobody could say which."""
    rule = mapping.events[C.OCCURRED_AT]
    column = log[rule.columns[0]] if rule.columns else None
    if column is None or rule.unit or rule.format or not column.type().is_string():
        return
    timed = log.filter(column.re_search(_CLOCK))
    counts = timed.aggregate(all=timed.count(), zoned=timed[rule.columns[0]].strip().re_search(_ZONED).sum())
    (counted,) = fetch(counts).to_pylist()
    if counted["zoned"] and counted["zoned"] < counted["all"]:
        raise SourceError(
            "some times name their zone and others do not",
            where=f"{mapping.where}, column {rule.columns[0]}",
            expected="a zone in all of them or in none",
            found=f"{int(counted['zoned']):,} of {counted['all']:,} with one",
            next_step=f"write the log in one way, or two logs with a mapping each; then: footfall doctor mapping {mapping.path}",
        )
