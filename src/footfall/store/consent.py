"""Consent per user and purpose. A user without a record has not been asked and has not objected."""

from __future__ import annotations

import json

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import CONSENT_PURPOSES, USERS, C
from footfall.errors import ContractError
from footfall.store.engine import reading, writing
from footfall.store.rows import insert_new
from footfall.store.tables import consents

_CHUNK = 200


def record(engine: Engine, table: pa.Table) -> None:
    """Keep what the rows of a USERS table say of consent; it replaces what was known of these users.

    Raises:
        ContractError: the table is no USERS table, or its consent is no JSON object of known purposes.
    """
    table = USERS.check(table, where="store consent")
    said = dict(zip(table.column(C.USER_ID).to_pylist(), map(_purposes, table.column(C.CONSENT).to_pylist()), strict=True))
    users = sorted(said)
    with writing(engine) as connection:
        for start in range(0, len(users), _CHUNK):
            _replace(connection, {user: said[user] for user in users[start : start + _CHUNK]})


def granted(engine: Engine, user_id: str, purpose: str) -> bool:
    """Whether the user may be treated for this purpose: False only after a refusal."""
    query = sa.select(consents.c.granted).where(consents.c.user_id == user_id, consents.c.purpose == purpose)
    with reading(engine) as connection:
        return connection.execute(query).scalar() != 0


def refusals(engine: Engine, purpose: str) -> set[str]:
    """The users who refused a purpose."""
    query = sa.select(consents.c.user_id).where(consents.c.purpose == purpose, consents.c.granted == 0)
    with reading(engine) as connection:
        return set(connection.execute(query).scalars())


def _purposes(text: str) -> dict[str, bool]:
    try:
        purposes = json.loads(text)
    except ValueError as error:
        raise ContractError("consent is no JSON", where="users.consent", expected="a JSON object", found=type(error).__name__) from error
    if not isinstance(purposes, dict) or not all(key in CONSENT_PURPOSES and isinstance(value, bool) for key, value in purposes.items()):
        raise ContractError("consent is unusable", where="users.consent", expected=f"true or false for {', '.join(CONSENT_PURPOSES)}")
    return purposes


def _replace(connection: Connection, said: dict[str, dict[str, bool]]) -> None:
    connection.execute(sa.delete(consents).where(consents.c.user_id.in_(list(said))))
    rows = [(user, purpose, int(value)) for user, purposes in said.items() for purpose, value in sorted(purposes.items())]
    if rows:
        insert_new(connection, consents, [C.USER_ID, "purpose", "granted"], rows)
