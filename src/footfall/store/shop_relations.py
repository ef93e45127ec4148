"""Relations as the shop tells them: who belongs to whom. Either kind is mutual, so the store keeps a row in each direction, whichever was told."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.contracts import RELATIONS, C
from footfall.errors import ContractError
from footfall.store.engine import reading, writing
from footfall.store.erasures import erased_until
from footfall.store.moments import to_us
from footfall.store.rows import check_text, to_rows, to_table
from footfall.store.tables import UPDATED_AT, relations
from footfall.store.upserts import upsert

KINDS = ("household", "friend")
_NAMES = (*RELATIONS.schema.names, UPDATED_AT)


def put(engine: Engine, table: pa.Table, at: datetime) -> int:
    """Keep relations, each in both directions; durable on return. Done again, it changes nothing.

    A relation with a user who was erased after it was told is passed over.

    Args:
        engine: the store.
        table: RELATIONS; of two rows of the same two users and kind the later one counts, whichever way round.
        at: now, for `updated_at`.

    Returns:
        How many rows are new or have changed: two a relation.

    Raises:
        ContractError: the table is no RELATIONS table, a kind is unknown, or a user is related to themselves.
        StoreError: the store cannot be reached, or a value cannot be stored; nothing is changed.
    """
    table = RELATIONS.check(table, where="store relations")
    check_text(table, relations)
    rows = [(*row, to_us(at)) for user, other, kind, since in to_rows(table, _NAMES[:-1]) for row in _both_ways(user, other, kind, since)]
    with writing(engine) as connection:
        erased = erased_until(connection, {row[0] for row in rows})
        kept = [row for row in rows if max(erased.get(row[0], -1), erased.get(row[1], -1)) < to_us(at)] if erased else rows
        return upsert(connection, relations, _NAMES, kept)


def of(engine: Engine, user_id: str) -> pa.Table:
    """RELATIONS of one user, seen from that user."""
    query = sa.select(*[relations.c[name] for name in RELATIONS.schema.names]).where(relations.c.user_id == user_id)
    with reading(engine) as connection:
        return to_table(RELATIONS, connection.execute(query).all())


def everyone(engine: Engine) -> pa.Table:
    """RELATIONS of all users, in the contract's order."""
    with reading(engine) as connection:
        return to_table(RELATIONS, connection.execute(sa.select(*[relations.c[name] for name in RELATIONS.schema.names])).all())


def _both_ways(user: str, other: str, kind: str, since: int) -> list[tuple[str, str, str, int]]:
    if kind not in KINDS:
        raise ContractError("kind of relation is unknown", where=f"relations.{C.KIND}", expected=", ".join(KINDS), found="another word")
    if user == other:
        raise ContractError("a user is related to themselves", where=f"relations.{C.OTHER_USER_ID}", expected="another user", found="the same user")
    return [(user, other, kind, since), (other, user, kind, since)]
