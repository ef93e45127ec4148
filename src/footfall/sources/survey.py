"""What a mapped log gives, counted before anything is landed: `footfall doctor mapping FILE`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.compute as pc

from footfall.contracts import EVENT_TYPES, C
from footfall.sources.mapped import SEARCH, MappedLog
from footfall.sources.rules import Mapping


@dataclass(frozen=True)
class Line:
    """One figure; `advice` says what to do about it, where something is to be done, and `stops` that nothing can be ingested before."""

    what: str
    found: str
    advice: str | None = None
    stops: bool = False


@dataclass(frozen=True)
class Survey:
    """All figures of one log."""

    lines: list[Line]

    @property
    def usable(self) -> bool:
        """Whether an ingest can go on."""
        return not any(line.stops for line in self.lines)


def survey(log: MappedLog) -> Survey:
    """Count the rows of a log by what they have and lack.

    Raises:
        SourceError: the files cannot be read, or lack a column.
    """
    rows, mapping = log.rows, log.mapping
    (counted,) = log.fetch(rows.aggregate(**_counts(rows))).to_pylist()
    total = int(counted["rows"])
    if not total:
        return Survey([Line("rows", "0", "the files hold no row", stops=True)])
    return Survey([*_sizes(counted, total, mapping), *_kinds(log, rows, total), *_faults(counted, total, mapping), *_beside(log, rows, total)])


def _sizes(counted: dict[str, Any], total: int, mapping: Mapping) -> list[Line]:
    """How much there is, from when to when, and what no ingest can go on with."""
    lines = [
        Line("rows", f"{total:,}"),
        Line("users", "each row is one", "nothing to train on; good for off-policy estimates")
        if mapping.anonymous
        else Line("users", f"{counted['users']:,}"),
        Line("items", f"{counted['items']:,}"),
        Line("first moment, UTC", _said(counted["first"]), "years off? give the time's format or unit" if _odd(counted["first"]) else None),
        Line("last moment, UTC", _said(counted["last"]), "years off? give the time's format or unit" if _odd(counted["last"]) else None),
    ]
    for column, rule in ((C.USER_ID, "without_user"), (C.OCCURRED_AT, "without_time")):
        lost = 0 if mapping.anonymous and column == C.USER_ID else int(counted[f"no_{column}"])
        if lost:
            left_out = rule in mapping.leave_out
            advice = "left out, as the mapping says" if left_out else f"mend the column, or say leave_out: [{rule}]"
            lines.append(Line(f"rows without {column}", _share(lost, total), advice, stops=not left_out))
    return lines


def _kinds(log: MappedLog, rows: ir.Table, total: int) -> list[Line]:
    """The event types; one that is none of ours stops everything."""
    found = log.fetch(rows.group_by(C.EVENT_TYPE).aggregate(n=ibis._.count()).order_by(ibis.desc("n"))).to_pylist()
    return [
        Line(f"event type {kind[C.EVENT_TYPE]}", _share(kind["n"], total))
        if kind[C.EVENT_TYPE] in EVENT_TYPES
        else Line(f"event type {kind[C.EVENT_TYPE]}", _share(kind["n"], total), "translate it under event_type.words", stops=True)
        for kind in found
    ]


def _faults(counted: dict[str, Any], total: int, mapping: Mapping) -> list[Line]:
    """Rows that the gate would set aside."""
    without_item = "left out, as the mapping says" if "without_item" in mapping.leave_out else "quarantine"
    known = (
        ("rows without item_id, but searches", "no_item", without_item),
        ("quantities of zero or less", "no_quantity", "quarantine; are they returns? say returns: negative_quantity"),
        ("negative prices", "no_price", "quarantine"),
    )
    return [Line(what, _share(int(counted[name]), total), advice) for what, name, advice in known if counted.get(name)]


def _beside(log: MappedLog, rows: ir.Table, total: int) -> list[Line]:
    """What the shop's own tables of items and users give, where there are any."""
    lines = []
    if log.mapping.items is not None:
        items = log.catalogue().column(C.ITEM_ID)
        counts = log.fetch(rows.filter(rows[C.ITEM_ID].notnull()).group_by(C.ITEM_ID).aggregate(n=ibis._.count()))
        unknown = int(pc.sum(counts.filter(pc.invert(pc.is_in(counts.column(C.ITEM_ID), value_set=items.combine_chunks()))).column("n")).as_py() or 0)
        lines.append(Line("items in their own table", f"{len(items):,}"))
        if unknown:
            lines.append(Line("rows of items that the table lacks", _share(unknown, total), "quarantine"))
    if log.mapping.users is not None:
        users = log.users(datetime.now(UTC))
        spoken = sum(consent != "{}" for consent in users.column(C.CONSENT).to_pylist())
        lines.append(Line("users, with their own table", f"{users.num_rows:,}, of whom {spoken:,} have said something of consent"))
    return lines


def _counts(rows: ir.Table) -> dict[str, Any]:
    counts = {
        "rows": rows.count(),
        "users": rows[C.USER_ID].nunique(),
        "items": rows[C.ITEM_ID].nunique(),
        "first": rows[C.OCCURRED_AT].min(),
        "last": rows[C.OCCURRED_AT].max(),
        f"no_{C.USER_ID}": rows[C.USER_ID].isnull().sum(),
        f"no_{C.OCCURRED_AT}": rows[C.OCCURRED_AT].isnull().sum(),
        "no_item": (rows[C.ITEM_ID].isnull() & (rows[C.EVENT_TYPE] != SEARCH)).sum(),
    }
    if C.QUANTITY in rows.columns:
        counts["no_quantity"] = (rows[C.QUANTITY] <= 0).sum()
    if C.PRICE_MINOR in rows.columns:
        counts["no_price"] = (rows[C.PRICE_MINOR] < 0).sum()
    return counts


def _said(moment: datetime | None) -> str:
    return "none" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _odd(moment: datetime | None) -> bool:
    return moment is not None and not 1990 <= moment.year <= 2100


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})"
