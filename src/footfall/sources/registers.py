"""A shop's own tables of items and of users, read through a mapping's `items` and `users` as CATALOGUE and USERS.

Rows that say the same count once. Two that differ about one item or user are refused: nobody could say which is true.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import TIMESTAMP, C
from footfall.errors import SourceError
from footfall.sources.rules import Mapping, Register
from footfall.sources.translation import as_text, money_of, text_of, time_of

Fetch = Callable[[ir.Table], pa.Table]

YES, NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
"""Words of a flag, in small letters. A number is yes above zero, so that a column of stock will do."""
_FLAGS, _MOMENTS = (C.AVAILABLE, C.RECOMMENDABLE), (C.AVAILABLE_FROM, C.FIRST_SEEN_AT)
_ATTRIBUTE, _CONSENT, _UNREAD = "attribute_", "consent_", "unread_"


def items_of(table: ir.Table, register: Register, mapping: Mapping, fetch: Fetch) -> pa.Table:
    """The columns of CATALOGUE that the table of items gives, a row an item, in the order of their ids.

    Raises:
        SourceError: a flag cannot be read, or rows differ about an item.
    """
    price = {} if register.price is None else {C.PRICE_MINOR: money_of(table, register.price)}
    rows = _fetched(table, register, C.ITEM_ID, price, fetch, f"{mapping.where}, items")
    columns = {name: rows.column(name) for name in register.columns if name not in _FLAGS}
    columns |= {name: pc.fill_null(rows.column(name), True) for name in _FLAGS if name in register.columns}
    columns[C.ATTRIBUTES] = _objects(rows, register.attributes, _ATTRIBUTE)
    if register.price is not None:
        columns |= {C.PRICE_MINOR: rows.column(C.PRICE_MINOR), C.CURRENCY: pa.repeat(pa.scalar(mapping.currency, pa.string()), rows.num_rows)}
    return pa.table({name: column.cast(TIMESTAMP) if name in _MOMENTS else column for name, column in columns.items()})


def users_of(table: ir.Table, register: Register, mapping: Mapping, fetch: Fetch) -> pa.Table:
    """user_id, attributes, consent and, where the table of users says it, first_seen_at; a row a user. An empty consent is no word at all.

    Raises:
        SourceError: a consent cannot be read, or rows differ about a user.
    """
    rows = _fetched(table, register, C.USER_ID, {}, fetch, f"{mapping.where}, users")
    columns = {C.USER_ID: rows.column(C.USER_ID), C.ATTRIBUTES: _objects(rows, register.attributes, _ATTRIBUTE)}
    columns[C.CONSENT] = _objects(rows, tuple(register.consent), _CONSENT)
    if C.FIRST_SEEN_AT in register.columns:
        columns[C.FIRST_SEEN_AT] = rows.column(C.FIRST_SEEN_AT).cast(TIMESTAMP)
    return pa.table(columns)


def _fetched(table: ir.Table, register: Register, key: str, more: dict[str, Any], fetch: Fetch, where: str) -> pa.Table:
    flags = {name: table[register.columns[name].columns[0]] for name in _FLAGS if name in register.columns}
    flags |= {f"{_CONSENT}{purpose}": table[column] for purpose, column in register.consent.items()}
    columns = {name: _value(table, register, name) for name in register.columns if name not in _FLAGS} | more
    columns |= {name: _flag(column) for name, column in flags.items()}
    columns |= {f"{_ATTRIBUTE}{name}": table[name] for name in register.attributes}
    unread = {f"{_UNREAD}{name}": (as_text(column).notnull() & _flag(column).isnull()).sum() for name, column in flags.items()}
    if unread:
        (counted,) = fetch(table.aggregate(**unread)).to_pylist()
        for name, rows in counted.items():
            if rows:
                raise SourceError(
                    "a yes or no cannot be read",
                    where=f"{where}, {name.removeprefix(_UNREAD)}",
                    expected=f"one of {', '.join((*YES, *NO))}, or a number",
                    found=f"{int(rows):,} rows",
                    next_step="mend the table",
                )
    rows = table.select(**columns).distinct()
    found = fetch(rows.filter(rows[key].notnull()).order_by(key))
    twice = found.num_rows - pc.count_distinct(found.column(key)).as_py()
    if twice:
        raise SourceError(
            f"rows differ about one {key}", where=where, expected=f"one row for each {key}", found=f"{twice:,} rows more", next_step="mend the table"
        )
    return found


def _value(table: ir.Table, register: Register, name: str) -> Any:
    rule = register.columns[name]
    if name in _MOMENTS:
        return time_of(table[rule.columns[0]], rule)
    return text_of(table, rule, " > " if name == C.CATEGORY_PATH else " ")


def _flag(column: Any) -> Any:
    if column.type().is_boolean():
        return column
    word = as_text(column).lower()
    number = word.try_cast("float64")
    return ibis.cases((word.isin(YES), True), (word.isin(NO), False), (number.notnull(), number > 0), else_=ibis.null("boolean"))


def _objects(rows: pa.Table, names: tuple[str, ...], prefix: str) -> pa.Array:
    """JSON objects of several columns, what is missing left out."""
    columns = [rows.column(f"{prefix}{name}").to_pylist() for name in names]
    found = []
    for values in zip(*columns, strict=True) if columns else [()] * rows.num_rows:
        said = {name: _plain(value) for name, value in zip(names, values, strict=True) if value is not None}
        found.append(json.dumps(said, sort_keys=True, ensure_ascii=False, allow_nan=False))
    return pa.array(found, pa.string())


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int) or (isinstance(value, float) and value == value) else str(value)  # noqa: PLR0124 - not a NaN
