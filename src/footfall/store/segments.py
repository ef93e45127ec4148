"""What segments of users bought, read in pages of users: each is a short query on the index that histories have, and nothing is held meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.contracts import ANALYSE, PERSONALISE, PURCHASE
from footfall.store.engine import reading
from footfall.store.tables import consents, events, users

_REFUSED = sa.select(sa.literal(1)).where(
    consents.c.user_id == users.c.user_id, consents.c.purpose.in_([PERSONALISE, ANALYSE]), consents.c.granted == 0
)
_TOLD = (
    sa.select(users.c.user_id, users.c.attributes)
    .where(users.c.user_id > sa.bindparam("after"), users.c.attributes != "{}", ~_REFUSED.exists())
    .order_by(users.c.user_id)
    .limit(sa.bindparam("size"))
)


def told(engine: Engine, after: str, size: int) -> list[tuple[str, dict[str, Any]]]:
    """The next users of whom the shop has told something, with their attributes, in the order of their ids.

    Who refused to be analysed or personalised is passed over: they count for no segment.

    Args:
        engine: the store.
        after: the last id of the page before; empty for the first.
        size: users at most.
    """
    with reading(engine) as connection:
        return [(row[0], json.loads(row[1])) for row in connection.execute(_TOLD, {"after": after, "size": size})]


def last_moment(engine: Engine, before_us: int) -> int:
    """When the newest event before a moment occurred, microseconds; 0 where there is none."""
    newest = sa.select(sa.func.max(events.c.occurred_at)).where(events.c.occurred_at < before_us)
    with reading(engine) as connection:
        return int(connection.execute(newest).scalar() or 0)


def bought(engine: Engine, user_ids: Sequence[str], since_us: int, before_us: int) -> dict[str, dict[str, int]]:
    """What some users bought with since <= occurred_at < before: user id -> item id -> purchases; withdrawn ones left out."""
    query = (
        sa.select(events.c.user_id, events.c.item_id, sa.func.count())
        .where(
            events.c.user_id.in_(list(user_ids)),
            events.c.occurred_at >= since_us,
            events.c.occurred_at < before_us,
            events.c.withdrawn == 0,
            events.c.event_type == PURCHASE,
            events.c.item_id.is_not(None),
        )
        .group_by(events.c.user_id, events.c.item_id)
    )
    found: dict[str, dict[str, int]] = {}
    with reading(engine) as connection:
        for user_id, item_id, number in connection.execute(query):
            found.setdefault(user_id, {})[item_id] = number
    return found
