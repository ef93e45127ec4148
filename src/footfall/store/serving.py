"""What one slate request needs of the store, on one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.store.engine import reading
from footfall.store.events import UserHistory, history_on
from footfall.store.shop_users import attributes_on
from footfall.store.tables import consents

_REFUSED = sa.select(sa.literal(1)).where(consents.c.user_id == sa.bindparam("user"), consents.c.purpose == "personalise", consents.c.granted == 0)


@dataclass(frozen=True)
class StoredUser:
    """One user as the store knows it.

    Attributes:
        consented: whether the user may be served personally; where not, nothing else is read.
        history: the newest events, oldest first.
        attributes: what the shop says of the user; empty where nobody asked for it.
    """

    consented: bool
    history: UserHistory
    attributes: dict[str, Any] = field(default_factory=dict)


def read_user(engine: Engine, user_id: str, before_us: int, limit: int, *, signals: bool = False, attributes: bool = False) -> StoredUser:
    """The newest `limit` events strictly before `before_us`, see `history_on`, and with `attributes` those too."""
    with reading(engine) as connection:
        if connection.execute(_REFUSED, {"user": user_id}).first() is not None:
            return StoredUser(False, UserHistory([], [], []))
        history = history_on(connection, user_id, before_us, limit, signals=signals)
        return StoredUser(True, history, attributes_on(connection, user_id) if attributes else {})
