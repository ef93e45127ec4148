"""The rows of a log as Ibis expressions in our columns: words, zones, units and money by a mapping's rules; moments in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from footfall.contracts import EVENTS, C
from footfall.sources.rules import NEGATIVE_QUANTITY, Mapping, Price, Rule

_MOMENT = "timestamp('UTC')"
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_KIND = "kind"
_SEPARATOR, _NOTHING = "\x1f", "\x1e"


@ibis.udf.scalar.builtin(signature=((dt.float64,), dt.Timestamp("UTC")))  # type: ignore[untyped-decorator]  # Ibis ships no types
def to_timestamp(_seconds: float) -> datetime:
    """DuckDB's: the moment so many seconds after 1970."""
    raise AssertionError("DuckDB computes it")


@ibis.udf.scalar.builtin(signature=((dt.string, dt.string), dt.timestamp))  # type: ignore[untyped-decorator]  # Ibis ships no types
def try_strptime(_text: str, _format: str) -> datetime:
    """DuckDB's: the time that a text says, null where it says none; without a zone, so that the session's zone applies."""
    raise AssertionError("DuckDB computes it")


def events_of(log: ir.Table, mapping: Mapping) -> ir.Table:
    """Every row of the log in our columns, whatever it lacks, with the words of the catalogue and of the exposures beside them."""
    columns = {name: _value(log, rule, name) for name, rule in mapping.events.items()}
    for name in (C.ITEM_ID, C.USER_ID):
        columns.setdefault(name, ibis.null("string"))
    columns[C.EVENT_TYPE], quantity = _event_type(log, mapping), columns.get(C.QUANTITY)
    if mapping.price is not None:
        columns[C.PRICE_MINOR] = money_of(log, mapping.price, quantity)
    if mapping.returns == NEGATIVE_QUANTITY and quantity is not None:
        back = (quantity < 0).fill_null(False)
        columns[C.EVENT_TYPE] = back.ifelse("return", columns[C.EVENT_TYPE])
        columns |= {name: back.ifelse(columns[name].abs(), columns[name]) for name in (C.QUANTITY, C.PRICE_MINOR) if name in columns}
    if mapping.exposures is not None:
        columns[C.POLICY] = text_of(log, mapping.exposures.policy, "-")
        columns[C.PROPENSITY] = _number(log[mapping.exposures.propensity.columns[0]])
    return log.select(**columns, **_words(log, mapping))


def with_ids(events: ir.Table) -> ir.Table:
    """Give each row an id made of its values and its number among equal rows, unless the log has ids.

    So the same log gives the same ids in whatever order its rows stand, and repeats stay.
    """
    if C.EVENT_ID in events.columns:
        return events
    values = [events[name].cast("string").fill_null(_NOTHING) for name in sorted(events.columns)]
    kinds = events.mutate(**{_KIND: ibis.literal(_SEPARATOR).join(values).hexdigest("sha256").substr(0, 32)})
    number = ibis.row_number().over(group_by=kinds[_KIND])
    return kinds.mutate(**{C.EVENT_ID: kinds[_KIND] + "-" + number.cast("string")}).drop(_KIND)


def as_text(column: Any) -> Any:
    """Text without blanks around it, null when empty; a number that reads 17850.0 is the id 17850."""
    whole = column.cast("int64") if column.type().is_floating() else column
    return whole.cast("string").strip().nullif("")


def money_of(log: ir.Table, price: Price, quantity: Any = None) -> Any:
    """A price in minor units; that of one unit times the quantity, where there is one."""
    amount = _number(log[price.column]) * price.minor_units
    return (amount * quantity if price.of == "unit" and quantity is not None else amount).round().cast("int64")


def moment_of(moment: datetime) -> Any:
    """A moment as a literal."""
    return ibis.literal(moment.astimezone(UTC), type=_MOMENT)


def _words(log: ir.Table, mapping: Mapping) -> dict[str, Any]:
    return {name: text_of(log, rule, " > " if name == C.CATEGORY_PATH else " ") for name, rule in mapping.catalogue.items()}


def _value(log: ir.Table, rule: Rule, name: str) -> Any:
    kind = EVENTS.schema.field(name).type
    if name == C.OCCURRED_AT:
        return time_of(log[rule.columns[0]], rule)
    if pa.types.is_string(kind):
        return text_of(log, rule, "-")
    number = ibis.literal(rule.value).cast("float64") if rule.value is not None else _number(log[rule.columns[0]])
    if rule.fill is not None:
        number = number.fill_null(float(rule.fill))
    return number if pa.types.is_floating(kind) else number.round().cast("int64")


def text_of(log: ir.Table, rule: Rule, separator: str) -> Any:
    """The columns of a rule as one text, null where one of them is."""
    if rule.value is not None:
        return ibis.literal(str(rule.value))
    text, *others = (as_text(log[name]) for name in rule.columns)
    for other in others:
        text = text + separator + other
    return text if rule.fill is None else text.fill_null(str(rule.fill))


def time_of(column: Any, rule: Rule) -> Any:
    """A column as a moment, null where it says none."""
    if rule.unit is not None:
        return to_timestamp(_number(column) / _PER_SECOND[rule.unit])
    if rule.format is not None:
        return try_strptime(column.cast("string"), rule.format).cast(_MOMENT)
    return column.try_cast(_MOMENT)


def _event_type(log: ir.Table, mapping: Mapping) -> Any:
    kind = mapping.event_type
    if kind.column is None:
        return ibis.literal(kind.value)
    word = log[kind.column].cast("string").strip()
    return word.cases(*kind.words.items(), else_=word)


def _number(column: Any) -> Any:
    return column.try_cast("float64") if column.type().is_string() else column.cast("float64")
