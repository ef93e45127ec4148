"""Events that name a request, and the slates that they name, as `footfall.feedback` reads them; who refused `analyse` is left out of both.

Pages are short queries in the order of time, and nothing is held between two of them: the service writes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.contracts import ANALYSE, EVENTS, EXPOSURES, C
from footfall.store.engine import reading
from footfall.store.moments import to_us
from footfall.store.rows import to_table
from footfall.store.tables import consents, events, exposures

_PAGE, _IN_LIST = 2_000, 500
_READ = (C.EVENT_ID, C.USER_ID, C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.RECEIVED_AT, C.REQUEST_ID, C.POSITION, C.ORIGIN)
"""What feedback asks of an event: no search text, no words."""


class Shown(NamedTuple):
    """How much one policy of one release showed."""

    release: str
    arm: str
    policy: str
    slates: int
    lines: int


def _counted(table: sa.Table) -> sa.ColumnElement[bool]:
    refused = sa.select(sa.literal(1)).where(consents.c.user_id == table.c.user_id, consents.c.purpose == ANALYSE, consents.c.granted == 0)
    return ~refused.exists()


_EVENTS = sa.select(*[events.c[name] if name in _READ else sa.null().label(name) for name in EVENTS.schema.names]).where(
    events.c.request_id.is_not(None), events.c.withdrawn == 0, _counted(events)
)
_EXPOSURES = sa.select(*[exposures.c[name] for name in EXPOSURES.schema.names]).where(_counted(exposures))


def shown(engine: Engine, since: datetime) -> list[Shown]:
    """Slates and lines that were shown since a moment, by release, arm and policy, in this order."""
    names = [exposures.c[name] for name in (C.RELEASE, C.ARM, C.POLICY)]
    slates = sa.func.sum(sa.case((exposures.c.position == 1, 1), else_=0))
    query = sa.select(*names, slates, sa.func.count()).where(exposures.c.shown_at >= to_us(since), _counted(exposures)).group_by(*names)
    with reading(engine) as connection:
        return sorted(Shown(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in connection.execute(query))


def pages(engine: Engine, since: datetime, size: int = _PAGE) -> Iterator[tuple[pa.Table, pa.Table]]:
    """EXPOSURES and EVENTS: a page of events since a moment, in the order of time, and the whole slates that they name.

    Events that name a slate from before that moment are left out.
    """
    after, last = to_us(since), ""
    while rows := _page(engine, after, last, size):
        named, found = to_table(EXPOSURES, _slates(engine, sorted({row.request_id for row in rows}))), to_table(EVENTS, rows)
        earlier = pc.less(named[C.SHOWN_AT], pa.scalar(since, named.schema.field(C.SHOWN_AT).type))
        old = named.filter(earlier)[C.REQUEST_ID].unique()
        yield named.filter(pc.invert(earlier)), found.filter(pc.invert(pc.is_in(found[C.REQUEST_ID], value_set=old)))
        after, last = rows[-1].occurred_at, rows[-1].event_id


def period(engine: Engine, start: datetime, end: datetime, within: timedelta) -> tuple[pa.Table, pa.Table]:
    """EXPOSURES with start <= shown_at < end, and EVENTS up to `within` later that name any request: all in memory, for off-policy estimates."""
    slates = _EXPOSURES.where(exposures.c.shown_at >= to_us(start), exposures.c.shown_at < to_us(end))
    named = _EVENTS.where(events.c.occurred_at >= to_us(start), events.c.occurred_at < to_us(end + within))
    with reading(engine) as connection:
        return to_table(EXPOSURES, connection.execute(slates).all()), to_table(EVENTS, connection.execute(named).all())


def _page(engine: Engine, after: int, last: str, size: int) -> Sequence[sa.Row[Any]]:
    """The next events, from one moment and, at that moment, one id on; the database alone compares ids."""
    query = _EVENTS.where(events.c.occurred_at >= after, sa.or_(events.c.occurred_at > after, events.c.event_id > last))
    with reading(engine) as connection:
        return connection.execute(query.order_by(events.c.occurred_at, events.c.event_id).limit(size)).all()


def _slates(engine: Engine, request_ids: list[str]) -> list[sa.Row[Any]]:
    found: list[sa.Row[Any]] = []
    with reading(engine) as connection:
        for first in range(0, len(request_ids), _IN_LIST):
            found += connection.execute(_EXPOSURES.where(exposures.c.request_id.in_(request_ids[first : first + _IN_LIST]))).all()
    return found
