"""All users that the store knows: whoever has an event, or was told of by the shop."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.store.engine import reading
from footfall.store.tables import events, users

_SHOPPED = sa.select(events.c.user_id).where(events.c.withdrawn == 0)
_TOLD = sa.select(users.c.user_id)


def count(engine: Engine) -> int:
    """How many users there are."""
    everybody = sa.union(_SHOPPED, _TOLD).subquery()
    with reading(engine) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(everybody)).scalar_one()


def pages(engine: Engine, size: int) -> Iterator[list[str]]:
    """Their ids in order, `size` at a time; no connection is held between two pages.

    Whoever comes or goes meanwhile may or may not be among them; everybody else is, once.
    """
    after = ""
    while page := _page(engine, after, size):
        yield page
        after = page[-1]


def _page(engine: Engine, after: str, size: int) -> list[str]:
    """Each table is read in the order of its index, as far as it must be. The database alone compares ids: it may have an order of its own."""
    parts = []
    for query in (_SHOPPED, _TOLD):
        column = query.selected_columns[0]
        part = query.where(column > after).distinct().order_by(column).limit(size).subquery()
        parts.append(sa.select(part.c.user_id))
    page = sa.union(*parts).subquery()
    with reading(engine) as connection:
        return list(connection.execute(sa.select(page.c.user_id).order_by(page.c.user_id).limit(size)).scalars())
