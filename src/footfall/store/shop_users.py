"""Users as the shop tells them: attributes, and since when they are known. What they agree to is `consent`'s."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import C
from footfall.errors import ContractError
from footfall.store.engine import reading, writing
from footfall.store.erasures import erased_until
from footfall.store.moments import to_us
from footfall.store.revisions import take_turn
from footfall.store.tables import UPDATED_AT, users
from footfall.store.upserts import subject_of, upsert

_NAMES = (C.USER_ID, C.ATTRIBUTES, C.FIRST_SEEN_AT, UPDATED_AT)
_IN_LIST = 500


@dataclass(frozen=True)
class Told:
    """What the shop says of one user; what is None stays as it was known.

    Attributes:
        user_id: the pseudonym.
        attributes: the whole object that replaces the known one.
        first_seen_at: since when the shop knows the user; a user who is new without it was first seen now.
    """

    user_id: str
    attributes: dict[str, Any] | None = None
    first_seen_at: datetime | None = None


def put(engine: Engine, told: Sequence[Told], at: datetime) -> int:
    """Keep what the shop says, later words in the place of earlier ones; durable on return. Done again, it changes nothing.

    A word from before the user's erasure is passed over.

    Args:
        engine: the store.
        told: in the order in which it was said.
        at: when, for `updated_at`.

    Returns:
        How many users are new or have changed.

    Raises:
        ContractError: attributes that are no JSON.
        StoreError: the store cannot be reached; nothing is changed.
    """
    texts = [None if one.attributes is None else _to_json(one.attributes) for one in told]
    with writing(engine) as connection:
        take_turn(connection, subject_of(users))
        ids = sorted({one.user_id for one in told})
        erased, known = erased_until(connection, ids), _known(connection, ids)
        for one, text in zip(told, texts, strict=True):
            if erased.get(one.user_id, -1) >= to_us(at):
                continue
            attributes, first_seen_at = known.get(one.user_id, ("{}", to_us(at)))
            known[one.user_id] = (attributes if text is None else text, first_seen_at if one.first_seen_at is None else to_us(one.first_seen_at))
        return upsert(connection, users, _NAMES, [(user_id, *values, to_us(at)) for user_id, values in known.items()])


def attributes(engine: Engine, user_id: str) -> dict[str, Any]:
    """What the shop says of one user; empty for whom it never spoke of."""
    with reading(engine) as connection:
        return attributes_on(connection, user_id)


def attributes_on(connection: Connection, user_id: str) -> dict[str, Any]:
    """`attributes` on the caller's connection."""
    text = connection.execute(_ATTRIBUTES, {"user": user_id}).scalar()
    found: dict[str, Any] = {} if text is None else json.loads(text)
    return found


def count(engine: Engine) -> int:
    """How many users the shop has told of."""
    with reading(engine) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(users)).scalar_one()


_ATTRIBUTES = sa.select(users.c.attributes).where(users.c.user_id == sa.bindparam("user"))


def _to_json(found: dict[str, Any]) -> str:
    try:
        return json.dumps(found, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ContractError("attributes are no JSON", where="users.attributes", expected="a JSON object", found=type(error).__name__) from error


def _known(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    query = sa.select(users.c.user_id, users.c.attributes, users.c.first_seen_at)
    found: dict[str, tuple[str, int]] = {}
    for start in range(0, len(ids), _IN_LIST):
        rows = connection.execute(query.where(users.c.user_id.in_(list(ids[start : start + _IN_LIST]))))
        found |= {row[0]: (row[1], int(row[2])) for row in rows}
    return found
