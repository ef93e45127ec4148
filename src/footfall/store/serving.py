"""What one slate request needs of the store, on one connection."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.store.engine import reading
from footfall.store.events import UserHistory, history_on
from footfall.store.tables import consents

_REFUSED = sa.select(sa.literal(1)).where(consents.c.user_id == sa.bindparam("user"), consents.c.purpose == "personalise", consents.c.granted == 0)


def read_user(engine: Engine, user_id: str, before_us: int, limit: int, signals: bool = False) -> tuple[bool, UserHistory]:
    """Whether the user may be served personally, and if so the newest `limit` events strictly before `before_us`; see `history_on`."""
    with reading(engine) as connection:
        if connection.execute(_REFUSED, {"user": user_id}).first() is not None:
            return False, UserHistory([], [], [])
        return True, history_on(connection, user_id, before_us, limit, signals=signals)
