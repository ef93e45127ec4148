"""What a batch holds, counted: rows by day and hour, event types, missing values, prices.

A receipt keeps it, so that later batches are held against it without anybody reading these rows again.
Whole numbers only (counts, nearest-rank quantiles in minor units), so that equal batches give equal profiles. No user, no text.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CONTRACTS, EVENT_TYPES, EVENTS, USERS, C

Profile = dict[str, Any]
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
_CENTURY = 36_525
"""Days: what lies further from 1970 is no day of a shop, and the suite says so."""
_CURRENCY = re.compile(r"[A-Z]{3}")
_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}


def profile(contract_name: str, table: pa.Table, covers: tuple[str, str] | None = None) -> Profile:
    """Count one batch.

    Args:
        covers: first day (ISO) that the batch stands for and the first that it does not; None where nobody knows.
    """
    counted: Profile = {"rows": table.num_rows, "covers": list(covers) if covers else None, "groups": _groups(contract_name, table)}
    if contract_name != USERS.name:
        counted["prices"] = _prices(contract_name, table)
    if contract_name == EVENTS.name:
        moments = table.column(C.OCCURRED_AT).cast(pa.int64())
        hours = _count(pc.divide(pc.subtract(moments, pc.multiply(_floor(moments), _DAY_US)), _HOUR_US))
        counted |= {
            "days": {_iso(day): rows for day, rows in sorted(_count(_floor(moments)).items()) if abs(day) < _CENTURY},
            "hours": [hours.get(hour, 0) for hour in range(24)],
            "sessions": _sessions(table),
        }
    return counted


def _groups(contract_name: str, table: pa.Table) -> dict[str, Any]:
    """Rows and missing values of each event type; of all rows together where there are no event types."""
    optional = [field.name for field in CONTRACTS[contract_name].schema if field.nullable]
    if contract_name != EVENTS.name:
        return {contract_name: {"rows": table.num_rows, "nulls": _nulls(table, optional)}}
    found = pc.unique(table.column(C.EVENT_TYPE)).to_pylist()
    parts = {kind: table.filter(pc.equal(table.column(C.EVENT_TYPE), kind)) for kind in EVENT_TYPES if kind in found}
    return {kind: {"rows": part.num_rows, "nulls": _nulls(part, optional)} for kind, part in parts.items()}


def _nulls(table: pa.Table, columns: list[str]) -> dict[str, int]:
    return {name: table.column(name).null_count for name in columns if table.column(name).null_count}


def _prices(contract_name: str, table: pa.Table) -> dict[str, Any]:
    """Prices by currency, and in events by event type as well: how many, and their nearest-rank quantiles in minor units."""
    keys = [C.CURRENCY, C.EVENT_TYPE] if contract_name == EVENTS.name else [C.CURRENCY]
    priced = table.select([*keys, C.PRICE_MINOR]).filter(pc.is_valid(table.column(C.PRICE_MINOR)))
    found = priced.group_by(keys).aggregate([(C.PRICE_MINOR, "list")])
    prices = {}
    for row in found.to_pylist():
        values = sorted(row[f"{C.PRICE_MINOR}_list"])
        if C.EVENT_TYPE in row and row[C.EVENT_TYPE] not in EVENT_TYPES:
            continue  # the suite says what is wrong with it; its words stay out of receipts
        currency = row[C.CURRENCY] if _CURRENCY.fullmatch(row[C.CURRENCY] or "") else "no currency"
        named = " ".join([currency, *([row[C.EVENT_TYPE]] if C.EVENT_TYPE in row else [])])
        prices[named] = {"rows": len(values), **{name: values[round(share * (len(values) - 1))] for name, share in _QUANTILES.items()}}
    return dict(sorted(prices.items()))


def _sessions(table: pa.Table) -> dict[str, int]:
    named = table.column(C.SESSION_ID).drop_null()
    return {"rows": len(named), "sessions": pc.count_distinct(named).as_py()}


def _count(values: pa.ChunkedArray) -> dict[int, int]:
    return {int(row["values"]): int(row["counts"]) for row in pc.value_counts(values.combine_chunks()).to_pylist()}


def _floor(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Days since 1970, rounded down (Arrow's division of integers rounds towards zero)."""
    days = pc.divide(moments, _DAY_US)
    return pc.if_else(pc.less(moments, pc.multiply(days, _DAY_US)), pc.subtract(days, 1), days)


def _iso(day: int) -> str:
    return str(pa.scalar(day, pa.int32()).cast(pa.date32()).as_py())
