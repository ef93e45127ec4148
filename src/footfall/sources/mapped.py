"""A shop's own log as a source, read through a mapping a month at a time.

Rows that break a rule of content go on to the gate as they are. Only rows without a user or a moment cannot: they are left out where the mapping
says so, and refused otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CATALOGUE, EVENTS, TIMESTAMP, USERS, C
from footfall.errors import SourceError
from footfall.pseudonyms import pseudonym
from footfall.sources.files import LogFiles
from footfall.sources.mapping import NEGATIVE_QUANTITY, Mapping, Rule
from footfall.sources.months import month_batches

_MOMENT = "timestamp('UTC')"
SEARCH = "search"
"""The one kind of event that needs no item."""
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_RAW_USER, _PSEUDONYM, _KIND, _FIRST = "raw_user", "pseudonym", "kind", "first_seen"
NO_CATEGORY = "all"
"""Category of every item of a log that has none; where a log has some, an item without stays without, and the gate counts it."""
_SEPARATOR, _NOTHING = "\x1f", "\x1e"


@ibis.udf.scalar.builtin(signature=((dt.float64,), dt.Timestamp("UTC")))  # type: ignore[untyped-decorator]  # Ibis ships no types
def to_timestamp(_seconds: float) -> datetime:
    """DuckDB's: the moment so many seconds after 1970."""
    raise AssertionError("DuckDB computes it")


@ibis.udf.scalar.builtin(signature=((dt.string, dt.string), dt.timestamp))  # type: ignore[untyped-decorator]  # Ibis ships no types
def try_strptime(_text: str, _format: str) -> datetime:
    """DuckDB's: the time that a text says, null where it says none; without a zone, so that the session's zone applies."""
    raise AssertionError("DuckDB computes it")


class MappedLog:
    """The source that a mapping describes; see `sources.Source`."""

    def __init__(self, mapping: Mapping, key: bytes | None) -> None:
        """Remember; no file is opened yet."""
        self.name = mapping.name
        self.mapping = mapping
        self._key, self._files = key, LogFiles(mapping)

    def catalogue(self) -> pa.Table:
        """Every item that the log names, with the words that it has most often there."""
        items = self._whole.filter(self._whole[C.ITEM_ID].notnull())
        item_ids = self.fetch(items.select(C.ITEM_ID).distinct().order_by(C.ITEM_ID)).column(C.ITEM_ID).combine_chunks()
        columns = {name: self._usual(items, name, item_ids) for name in self.mapping.catalogue}
        nowhere = _constant("" if C.CATEGORY_PATH in columns else NO_CATEGORY, len(item_ids))
        columns[C.TITLE] = pc.coalesce(columns[C.TITLE], item_ids) if C.TITLE in columns else item_ids
        columns[C.CATEGORY_PATH] = pc.coalesce(columns[C.CATEGORY_PATH], nowhere) if C.CATEGORY_PATH in columns else nowhere
        columns |= {
            C.ITEM_ID: item_ids,
            C.ATTRIBUTES: _constant("{}", len(item_ids)),
            C.AVAILABLE: pa.repeat(pa.scalar(True), len(item_ids)),
            C.RECOMMENDABLE: pc.invert(pc.is_in(item_ids, value_set=pa.array(self.mapping.not_recommendable, pa.string()))),
        }
        return CATALOGUE.sort(CATALOGUE.check(pa.table(columns), where=self.name))

    def users(self, until: datetime) -> pa.Table:
        """Users first seen before `until`. A log says nothing of consent: nobody has been asked, and nobody has objected."""
        seen = self._whole.group_by(C.USER_ID).aggregate(**{_FIRST: self._whole[C.OCCURRED_AT].min()})
        found = self.fetch(seen.filter(seen[_FIRST] < _moment(until)))
        table = pa.table(
            {
                C.USER_ID: found.column(C.USER_ID),
                C.ATTRIBUTES: _constant("{}", found.num_rows),
                C.CONSENT: _constant("{}", found.num_rows),
                C.FIRST_SEEN_AT: found.column(_FIRST).cast(TIMESTAMP),
            }
        )
        return USERS.sort(USERS.check(table, where=self.name))

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """Events with since <= occurred_at < until, month by month; bad rows are in.

        Raises:
            SourceError: rows have no readable time or no user, and the mapping does not leave such rows out.
        """
        first = self._first_moment()
        if first is None:
            return
        begin = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        events = self._whole.select([name for name in self._whole.columns if name in EVENTS.schema.names])
        for batch in month_batches(self.name, max(since or begin, begin), until):
            moment = events[C.OCCURRED_AT]
            rows = self.fetch(_with_ids(events.filter((moment >= _moment(batch.start)) & (moment < _moment(batch.end)))))
            if rows.num_rows:
                yield batch.batch_id, self._complete(rows)

    def fetch(self, expression: ir.Table) -> pa.Table:
        """The rows of an expression over `rows`.

        Raises:
            SourceError: the files cannot be read to their end.
        """
        return self._files.fetch(expression)

    @cached_property
    def rows(self) -> ir.Table:
        """Every row of the log in our columns, whatever it lacks; moments in UTC."""
        mapping = self.mapping
        columns = {name: self._value(rule, name) for name, rule in mapping.events.items()}
        columns.setdefault(C.ITEM_ID, ibis.null("string"))
        columns[C.EVENT_TYPE], quantity = self._event_type(), columns.get(C.QUANTITY)
        if mapping.price is not None:
            amount = _number(self._log[mapping.price.column]) * mapping.price.minor_units
            columns[C.PRICE_MINOR] = (amount * quantity if mapping.price.of == "unit" and quantity is not None else amount).round().cast("int64")
        if mapping.returns == NEGATIVE_QUANTITY and quantity is not None:
            back = (quantity < 0).fill_null(False)
            columns[C.EVENT_TYPE] = back.ifelse("return", columns[C.EVENT_TYPE])
            columns |= {name: back.ifelse(columns[name].abs(), columns[name]) for name in (C.QUANTITY, C.PRICE_MINOR) if name in columns}
        words = {name: self._text(rule, " > " if name == C.CATEGORY_PATH else " ") for name, rule in mapping.catalogue.items()}
        return self._log.select(**columns, **words)

    @cached_property
    def _whole(self) -> ir.Table:
        """The rows that name a user and a moment; of those without an item only what the mapping does not leave out."""
        rows = self.rows.filter(self.rows[C.USER_ID].notnull() & self.rows[C.OCCURRED_AT].notnull())
        return rows.filter(rows[C.ITEM_ID].notnull() | (rows[C.EVENT_TYPE] == SEARCH)) if "without_item" in self.mapping.leave_out else rows

    @cached_property
    def _log(self) -> ir.Table:
        """The files with pseudonyms in the user column: what is made of it, a session's name or an event's id, gives nobody away."""
        table, column = self._files.table, self.mapping.events[C.USER_ID].columns[0]
        if self._key is None:
            return table
        named = table.mutate(**{_RAW_USER: _as_text(table[column])})
        users = self.fetch(named.filter(named[_RAW_USER].notnull()).select(_RAW_USER).distinct()).column(_RAW_USER)
        names = pa.table({_RAW_USER: users, _PSEUDONYM: pa.array([pseudonym(user, self._key) for user in users.to_pylist()], pa.string())})
        joined = named.drop(column).left_join(ibis.memtable(names), _RAW_USER)
        return joined.select(*[name for name in table.columns if name != column], **{column: joined[_PSEUDONYM]})

    def _value(self, rule: Rule, name: str) -> Any:
        kind = EVENTS.schema.field(name).type
        if name == C.OCCURRED_AT:
            return self._time(rule)
        if pa.types.is_string(kind):
            return self._text(rule, "-")
        number = ibis.literal(rule.value).cast("float64") if rule.value is not None else _number(self._log[rule.columns[0]])
        return number if pa.types.is_floating(kind) else number.round().cast("int64")

    def _text(self, rule: Rule, separator: str) -> Any:
        """The columns as one text, null where one of them is."""
        if rule.value is not None:
            return ibis.literal(str(rule.value))
        text, *others = (_as_text(self._log[name]) for name in rule.columns)
        for other in others:
            text = text + separator + other
        return text

    def _time(self, rule: Rule) -> Any:
        column = self._log[rule.columns[0]]
        if rule.unit is not None:
            return to_timestamp(_number(column) / _PER_SECOND[rule.unit])
        if rule.format is not None:
            return try_strptime(column.cast("string"), rule.format).cast(_MOMENT)
        return column.try_cast(_MOMENT)

    def _event_type(self) -> Any:
        kind = self.mapping.event_type
        if kind.column is None:
            return ibis.literal(kind.value)
        word = self._log[kind.column].cast("string").strip()
        return word.cases(*kind.words.items(), else_=word)

    def _first_moment(self) -> datetime | None:
        """The first moment of the log, None in an empty one; raises for rows that would be lost unsaid."""
        columns, moment = {"without_user": C.USER_ID, "without_time": C.OCCURRED_AT}, self._whole[C.OCCURRED_AT]
        lost = {name: self.rows[column].isnull().sum() for name, column in columns.items()}
        (counted,) = self.fetch(self.rows.aggregate(**lost)).to_pylist()
        for name, column in columns.items():
            if counted[name] and name not in self.mapping.leave_out:
                raise SourceError(
                    f"rows have no readable {column}",
                    where=self.mapping.files,
                    expected=f"one in every row, or 'leave_out: [{name}]' in the mapping",
                    found=f"{int(counted[name]):,} rows without",
                    next_step=f"footfall doctor mapping {self.mapping.path}",
                )
        (first,) = self.fetch(self._whole.aggregate(**{_FIRST: moment.min()})).to_pylist()
        found: datetime | None = first[_FIRST]
        return None if found is None else found.astimezone(UTC)

    def _complete(self, rows: pa.Table) -> pa.Table:
        """EVENTS of fetched rows: with what every row of this source has in common."""
        moment = rows.column(C.OCCURRED_AT).cast(TIMESTAMP)
        same = {C.ORIGIN: _constant(self.name, rows.num_rows)}
        if self.mapping.price is not None:
            same[C.CURRENCY] = _constant(str(self.mapping.currency), rows.num_rows)
        columns = dict(zip(rows.column_names, rows.columns, strict=True)) | {C.OCCURRED_AT: moment, C.RECEIVED_AT: moment} | same
        return EVENTS.sort(EVENTS.check(pa.table(columns), where=self.name))

    def _usual(self, items: ir.Table, column: str, item_ids: pa.Array) -> pa.Array:
        """For each item the value of `column` that it has most often, the first in the alphabet among equals; null where it has none."""
        counted = items.filter(items[column].notnull()).group_by([C.ITEM_ID, column]).aggregate(times=ibis._.count())
        rank = ibis.row_number().over(group_by=counted[C.ITEM_ID], order_by=[counted["times"].desc(), counted[column]])
        found = self.fetch(counted.mutate(rank=rank).filter(ibis._.rank == 0).select(C.ITEM_ID, column))
        return found.column(column).combine_chunks().take(pc.index_in(item_ids, value_set=found.column(C.ITEM_ID).combine_chunks()))


def _with_ids(events: ir.Table) -> ir.Table:
    """Give each row an id made of its values and its number among equal rows, unless the log has ids.

    So the same log gives the same ids in whatever order its rows stand, and repeats stay.
    """
    if C.EVENT_ID in events.columns:
        return events
    values = [events[name].cast("string").fill_null(_NOTHING) for name in sorted(events.columns)]
    kinds = events.mutate(**{_KIND: ibis.literal(_SEPARATOR).join(values).hexdigest("sha256").substr(0, 32)})
    number = ibis.row_number().over(group_by=kinds[_KIND])
    return kinds.mutate(**{C.EVENT_ID: kinds[_KIND] + "-" + number.cast("string")}).drop(_KIND)


def _number(column: Any) -> Any:
    return column.try_cast("float64") if column.type().is_string() else column.cast("float64")


def _as_text(column: Any) -> Any:
    """Text without blanks around it, null when empty; a number that reads 17850.0 is the id 17850."""
    whole = column.cast("int64") if column.type().is_floating() else column
    return whole.cast("string").strip().nullif("")


def _moment(moment: datetime) -> Any:
    return ibis.literal(moment.astimezone(UTC), type=_MOMENT)


def _constant(value: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), rows)
