"""Rows of erased users: recognised by the digests on record, and left out of whatever a source brings.

An erased user is known here by `store.erasures.subject_of` alone. What they did at or before their erasure is theirs to have gone; a row that
says it happened in the future is as old as the erasure, because nothing happens in the future; everything else is new business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import TIMESTAMP, C
from footfall.sources import Source
from footfall.store.erasures import Erasure, subject_of
from footfall.store.moments import from_us, to_us

_AHEAD = timedelta(days=1)
PEOPLE = (C.USER_ID, C.OTHER_USER_ID)
_MOMENTS = (C.OCCURRED_AT, C.RECEIVED_AT, C.FIRST_SEEN_AT, C.SINCE, C.SHOWN_AT)
ASKED = (*PEOPLE, *_MOMENTS)
"""Columns that decide whether a row is erased."""


class Erased:
    """Who was erased, and until when.

    Attributes:
        until: subject -> microseconds.
    """

    def __init__(self, records: Iterable[Erasure]) -> None:
        """Take the erasures on record, oldest first; users that are asked about are remembered, so that a hash is made once."""
        latest = {record.subject: record for record in records}
        self.until = {subject: to_us(record.requested_at) for subject, record in latest.items()}
        self._names = {subject: record.erasure_id for subject, record in latest.items()}
        self._subjects: dict[str, str | None] = {}

    def __bool__(self) -> bool:
        """Whether anybody was erased."""
        return bool(self.until)

    def name(self, subject: str) -> str:
        """The id of a subject's latest erasure."""
        return self._names[subject]

    def among(self, users: pa.ChunkedArray | pa.Array) -> dict[str, str]:
        """Of these user ids the erased ones, each with its subject."""
        if not self.until:
            return {}
        found = {}
        for user in pc.unique(users).to_pylist():
            if user is not None and (subject := self._subject(user)) is not None:
                found[user] = subject
        return found

    def split(self, table: pa.Table) -> tuple[pa.Table, Counter[str]]:
        """`table` (EVENTS, USERS, RELATIONS, EXPOSURES, or bad rows of them) without erased rows, and how many of them there were, by subject."""
        removed = Counter[str]()
        gone = None
        for name in [name for name in PEOPLE if name in table.column_names]:
            for user, subject in self.among(table.column(name)).items():
                mine = pc.fill_null(pc.and_(pc.equal(table.column(name), user), self._is_old(table, self.until[subject])), False)
                if count := pc.sum(mine).as_py():
                    removed[subject] += count
                    gone = mine if gone is None else pc.or_(gone, mine)
        return (table if gone is None else table.filter(pc.invert(gone))), removed

    def _subject(self, user: str) -> str | None:
        if user not in self._subjects:
            subject = subject_of(user)
            self._subjects[user] = subject if subject in self.until else None
        return self._subjects[user]

    def _is_old(self, table: pa.Table, until_us: int) -> pa.ChunkedArray:
        end = pa.scalar(from_us(until_us), TIMESTAMP)
        moments = [table.column(name) for name in _MOMENTS if name in table.column_names]
        old = pc.greater(moments[0], pa.scalar(datetime.now(UTC) + _AHEAD, TIMESTAMP))
        for moment in moments:
            old = pc.or_(old, pc.fill_null(pc.less_equal(moment, end), False))
        return old


class WithoutErased:
    """A source whose erased rows do not leave it. `left_out` counts them.

    Args:
        source: the shop's own data, which may still hold everybody.
        erased: who was erased.
        first_events: asked for erased users in a users table; gives the moment of the oldest event of those who came back.
    """

    def __init__(self, source: Source, erased: Erased, first_events: Callable[[list[str]], Mapping[str, int]]) -> None:
        """Remember; nothing is read yet."""
        self._source, self._erased, self._first_events = source, erased, first_events
        self.left_out = 0

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    def catalogue(self) -> pa.Table:
        """The source's items."""
        return self._source.catalogue()

    def users(self, until: datetime) -> pa.Table:
        """The source's users; somebody who came back after an erasure was first seen then, and what they say of consent counts."""
        table = self._source.users(until)
        moments = table.column(C.FIRST_SEEN_AT).cast(pa.int64()).to_pylist()
        names = table.column(C.USER_ID).to_pylist()
        among = self._erased.among(table.column(C.USER_ID))
        back = self._first_events(sorted(among)) if among else {}
        for row, user in enumerate(names):
            if user in back and moments[row] <= self._erased.until[among[user]] and back[user] < to_us(until):
                moments[row] = back[user]
        if back:
            place = table.schema.get_field_index(C.FIRST_SEEN_AT)
            table = table.set_column(place, table.schema.field(place), pa.array(moments, pa.int64()).cast(table.schema.field(place).type))
        return self._without(table)

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """The source's events; a batch of which nothing is left is not landed at all."""
        for batch_id, table in self._source.events(since, until):
            kept = self._without(table)
            if kept.num_rows or not table.num_rows:
                yield batch_id, kept

    def _without(self, table: pa.Table) -> pa.Table:
        kept, removed = self._erased.split(table)
        self.left_out += sum(removed.values())
        return kept
