"""A shop's own log as a source, read through a mapping a month at a time.

Rows that break a rule of content go on to the gate as they are. Only rows without a user or a moment cannot: they are left out where the mapping
says so, and refused otherwise. Where the log lies, in files or in a database, makes no difference here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CATALOGUE, EVENTS, EXPOSURES, TIMESTAMP, USERS, C, Contract
from footfall.sources import registers
from footfall.sources.files import LogFiles
from footfall.sources.months import month_batches
from footfall.sources.query import LogQuery
from footfall.sources.refusals import refuse_lost, refuse_mixed_zones
from footfall.sources.rules import Mapping
from footfall.sources.translation import events_of, moment_of, with_ids

SEARCH = "search"
"""The one kind of event that needs no item."""
NO_CATEGORY = "all"
"""Category of every item of a log that has none; where a log has some, an item without stays without, and the gate counts it."""
LOGGED = "logged"
"""Arm of exposures that another system made and a log tells of."""
_FIRST = "first_seen"


class Log(Protocol):
    """Raw rows as they lie, but for their users, who are pseudonyms already."""

    @property
    def table(self) -> ir.Table:
        """All of them."""
        ...

    @property
    def items(self) -> ir.Table | None:
        """A table of items of its own, None where the log itself tells."""
        ...

    @property
    def users(self) -> ir.Table | None:
        """A table of users of its own, None where the log itself tells."""
        ...

    @property
    def windowed(self) -> bool:
        """Whether `between` reads less than `table` does."""
        ...

    def between(self, start: datetime, end: datetime) -> ir.Table:
        """At least the rows with start <= occurred_at < end."""
        ...

    def fetch(self, expression: ir.Table) -> pa.Table:
        """The rows of an expression over these tables."""
        ...


class MappedLog:
    """The source that a mapping describes; see `sources.Source`."""

    def __init__(self, mapping: Mapping, key: bytes | None) -> None:
        """Remember; nothing is opened yet."""
        self.name = mapping.name
        self.mapping = mapping
        self._log: Log = LogFiles(mapping, key) if mapping.sql is None else LogQuery(mapping, mapping.sql, key)

    def catalogue(self) -> pa.Table:
        """The shop's own table of items; without one every item that the log names, with the words that it has most often there.

        Raises:
            SourceError: the table contradicts itself, or cannot be read.
        """
        if self._log.items is not None and self.mapping.items is not None:
            table = registers.items_of(self._log.items, self.mapping.items, self.mapping, self.fetch)
            columns = dict(zip(table.column_names, table.columns, strict=True))
            item_ids = table.column(C.ITEM_ID).combine_chunks()
        else:
            items = self._whole.filter(self._whole[C.ITEM_ID].notnull())
            item_ids = self.fetch(items.select(C.ITEM_ID).distinct().order_by(C.ITEM_ID)).column(C.ITEM_ID).combine_chunks()
            columns = {name: self._usual(items, name, item_ids) for name in self.mapping.catalogue}
        nowhere = _constant("" if C.CATEGORY_PATH in columns else NO_CATEGORY, len(item_ids))
        wanted = pc.invert(pc.is_in(item_ids, value_set=pa.array(self.mapping.not_recommendable, pa.string())))
        columns |= {
            C.ITEM_ID: item_ids,
            C.TITLE: pc.coalesce(columns[C.TITLE], item_ids) if C.TITLE in columns else item_ids,
            C.CATEGORY_PATH: pc.coalesce(columns[C.CATEGORY_PATH], nowhere) if C.CATEGORY_PATH in columns else nowhere,
            C.RECOMMENDABLE: pc.and_(columns[C.RECOMMENDABLE], wanted) if C.RECOMMENDABLE in columns else wanted,
        }
        columns.setdefault(C.ATTRIBUTES, _constant("{}", len(item_ids)))
        columns.setdefault(C.AVAILABLE, pa.repeat(pa.scalar(True), len(item_ids)))
        return CATALOGUE.sort(CATALOGUE.check(pa.table(columns), where=self.name))

    def users(self, until: datetime) -> pa.Table:
        """Users first seen before `until`: those of the shop's own table where it says since when, else those of the log.

        A log alone says nothing of consent: nobody has been asked, and nobody has objected.

        Raises:
            SourceError: the table contradicts itself, or cannot be read.
        """
        said = None
        if self._log.users is not None and self.mapping.users is not None:
            said = registers.users_of(self._log.users, self.mapping.users, self.mapping, self.fetch)
        if said is not None and C.FIRST_SEEN_AT in said.column_names:
            seen = said  # then the log need not be read for it
        else:
            seen = self._first_seen() if said is None else self._first_seen().join(said, C.USER_ID, join_type="left outer")
        seen = seen.filter(pc.less(seen.column(C.FIRST_SEEN_AT), pa.scalar(until, TIMESTAMP)))
        columns = {name: seen.column(name) for name in (C.USER_ID, C.FIRST_SEEN_AT)}
        for name in (C.ATTRIBUTES, C.CONSENT):
            columns[name] = pc.fill_null(seen.column(name), "{}") if name in seen.column_names else _constant("{}", seen.num_rows)
        return USERS.sort(USERS.check(pa.table(columns), where=self.name))

    def _first_seen(self) -> pa.Table:
        """user_id and first_seen_at of everybody whom the log names."""
        if self.mapping.anonymous:
            rows = self._named(self.fetch(with_ids(self._events(self._whole))))
            return rows.select([C.USER_ID, C.OCCURRED_AT]).rename_columns([C.USER_ID, C.FIRST_SEEN_AT])
        named = self._whole.filter(self._whole[C.USER_ID].notnull())
        first = self.fetch(named.group_by(C.USER_ID).aggregate(**{C.FIRST_SEEN_AT: named[C.OCCURRED_AT].min()}))
        return first.set_column(1, C.FIRST_SEEN_AT, first.column(C.FIRST_SEEN_AT).cast(TIMESTAMP))

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """Events with since <= occurred_at < until, month by month; bad rows are in.

        Raises:
            SourceError: rows have no readable time or no user, and the mapping does not leave such rows out.
        """
        return ((batch_id, _checked(EVENTS, rows, self.name)) for batch_id, rows in self._months(since, until))

    def exposures(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """What the log says was shown (EXPOSURES), a batch a month like `events`; nothing unless the mapping has `exposures`.

        Raises:
            ContractError: two rows of one request share a position.
        """
        if self.mapping.exposures is None:
            return
        for batch_id, rows in self._months(since, until):
            same = {C.SCORE: pa.repeat(0.0, rows.num_rows), C.REASON: rows.column(C.POLICY), C.SHOWN_AT: rows.column(C.OCCURRED_AT)}
            same |= {C.RELEASE: _constant(self.name, rows.num_rows), C.ARM: _constant(LOGGED, rows.num_rows)}
            columns = dict(zip(rows.column_names, rows.columns, strict=True)) | same
            columns.pop(C.USER_ID)  # estimates ask who was shown what how often, never to whom
            shown = _checked(EXPOSURES, pa.table(columns), self.name)
            EXPOSURES.check_key(shown, where=f"{self.name}: a request has one item at a position")
            yield batch_id, shown

    def fetch(self, expression: ir.Table) -> pa.Table:
        """The rows of an expression over `rows`.

        Raises:
            SourceError: the log cannot be read to its end.
        """
        return self._log.fetch(expression)

    @cached_property
    def rows(self) -> ir.Table:
        """Every row of the log in our columns, whatever it lacks; moments in UTC."""
        return events_of(self._log.table, self.mapping)

    @cached_property
    def _whole(self) -> ir.Table:
        return self._usable(self.rows)

    def _usable(self, rows: ir.Table) -> ir.Table:
        """The rows that name a user and a moment; of those without an item only what the mapping does not leave out."""
        usable = rows.filter(rows[C.OCCURRED_AT].notnull())
        if not self.mapping.anonymous:
            usable = usable.filter(usable[C.USER_ID].notnull())
        return usable.filter(usable[C.ITEM_ID].notnull() | (usable[C.EVENT_TYPE] == SEARCH)) if "without_item" in self.mapping.leave_out else usable

    def _events(self, rows: ir.Table) -> ir.Table:
        """The columns that make an event or an exposure; the catalogue's words are no part of its id."""
        return rows.select([name for name in rows.columns if name in EVENTS.schema.names or name in (C.POLICY, C.PROPENSITY)])

    def _months(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """The complete rows of each month, with what every row of this source has in common."""
        begin = since if since is not None and self._log.windowed else self._first_moment()
        if begin is None:
            return
        for batch in month_batches(self.name, max(since or begin, begin), until):
            rows = events_of(self._log.between(batch.start, batch.end), self.mapping)
            if self._log.windowed:
                refuse_lost(rows, self.mapping, self.fetch)
            events = self._events(self._usable(rows))
            moment = events[C.OCCURRED_AT]
            found = self.fetch(with_ids(events.filter((moment >= moment_of(batch.start)) & (moment < moment_of(batch.end)))))
            if found.num_rows:
                yield batch.batch_id, self._named(found)

    def _first_moment(self) -> datetime | None:
        """The beginning of the month of the log's first moment, None in an empty log; raises for rows that would be lost unsaid."""
        refuse_mixed_zones(self._log.table, self.mapping, self.fetch)
        refuse_lost(self.rows, self.mapping, self.fetch)
        (first,) = self.fetch(self._whole.aggregate(**{_FIRST: self._whole[C.OCCURRED_AT].min()})).to_pylist()
        found: datetime | None = first[_FIRST]
        return None if found is None else found.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    def _named(self, rows: pa.Table) -> pa.Table:
        """Fetched rows with origin and currency; of an anonymous log each row is a request and a user of its own."""
        moment = rows.column(C.OCCURRED_AT).cast(TIMESTAMP)
        same = {C.OCCURRED_AT: moment, C.RECEIVED_AT: moment, C.ORIGIN: _constant(self.name, rows.num_rows)}
        if self.mapping.price is not None:
            same[C.CURRENCY] = _constant(str(self.mapping.currency), rows.num_rows)
        if self.mapping.anonymous:
            ids = rows.column(C.EVENT_ID)
            same[C.REQUEST_ID] = ids
            same[C.USER_ID] = pa.array(["u" + hashlib.sha256(name.encode()).hexdigest()[:30] for name in ids.to_pylist()], pa.string())
        return pa.table(dict(zip(rows.column_names, rows.columns, strict=True)) | same)

    def _usual(self, items: ir.Table, column: str, item_ids: pa.Array) -> pa.Array:
        """For each item the value of `column` that it has most often, the first in the alphabet among equals; null where it has none."""
        counted = items.filter(items[column].notnull()).group_by([C.ITEM_ID, column]).aggregate(times=ibis._.count())
        rank = ibis.row_number().over(group_by=counted[C.ITEM_ID], order_by=[counted["times"].desc(), counted[column]])
        found = self.fetch(counted.mutate(rank=rank).filter(ibis._.rank == 0).select(C.ITEM_ID, column))
        return found.column(column).combine_chunks().take(pc.index_in(item_ids, value_set=found.column(C.ITEM_ID).combine_chunks()))


def _checked(contract: Contract, rows: pa.Table, where: str) -> pa.Table:
    """The columns of `rows` that the contract knows, in its order."""
    return contract.sort(contract.check(rows.select([name for name in rows.column_names if name in contract.schema.names]), where=where))


def _constant(value: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), rows)
