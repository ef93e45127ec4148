"""Consent per user and purpose, with when it was said and where. A user without a record has not been asked and has not objected.

The newest word about a purpose counts, whoever brings it: the shop's users feed, the HTTP service, or somebody at support.
A word without a moment (from before moments were kept) is older than any other. Of two words of one moment the one recorded last counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import CONSENT_PURPOSES, USERS, C
from footfall.errors import ContractError
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.rows import insert_new
from footfall.store.tables import consents

FEED = "users"
"""Source of a word that a users table brought, unless it is said otherwise."""
_CHUNK = 200
_COLUMNS = (C.USER_ID, "purpose", "granted", "recorded_at", "source")


@dataclass(frozen=True)
class Word:
    """What one user said about one purpose; `recorded_at` and `source` are None where nobody kept them."""

    purpose: str
    granted: bool
    recorded_at: datetime | None
    source: str | None


def record(engine: Engine, table: pa.Table, *, recorded_at: datetime | None = None, source: str = FEED) -> int:
    """Keep what the rows of a USERS table say of consent, as far as nothing newer is known. Purposes that a row does not name stay as they are.

    Args:
        engine: the store.
        table: USERS.
        recorded_at: when it was said; None means when each user was first seen.
        source: who brings it.

    Returns:
        How many words are new.

    Raises:
        ContractError: the table is no USERS table, or its consent is no JSON object of known purposes.
    """
    table = USERS.check(table, where="store consent")
    moments = [to_us(recorded_at)] * table.num_rows if recorded_at else table.column(C.FIRST_SEEN_AT).cast(pa.int64()).to_pylist()
    said = zip(table.column(C.USER_ID).to_pylist(), map(_purposes, table.column(C.CONSENT).to_pylist()), moments, strict=True)
    return _keep(engine, [(user, purpose, granted, at, source) for user, purposes, at in said for purpose, granted in sorted(purposes.items())])


def say(engine: Engine, user_id: str, purposes: Mapping[str, bool], *, recorded_at: datetime, source: str) -> int:
    """Keep what one user said; durable on return. Returns how many words are new: fewer than given where something newer is known.

    Raises:
        ContractError: an unknown purpose.
    """
    _purposes(json.dumps(dict(purposes)))
    return _keep(engine, [(user_id, purpose, granted, to_us(recorded_at), source) for purpose, granted in sorted(purposes.items())])


def words(engine: Engine, user_id: str) -> list[Word]:
    """Everything on record of one user, by purpose."""
    query = sa.select(*[consents.c[name] for name in _COLUMNS[1:]]).where(consents.c.user_id == user_id).order_by(consents.c.purpose)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [Word(row[0], bool(row[1]), None if row[2] is None else from_us(row[2]), row[3]) for row in rows]


def everyone(engine: Engine) -> dict[str, dict[str, bool]]:
    """What is on record of all users: user id -> purpose -> granted."""
    found: dict[str, dict[str, bool]] = {}
    query = sa.select(consents.c.user_id, consents.c.purpose, consents.c.granted).order_by(consents.c.user_id, consents.c.purpose)
    with reading(engine) as connection:
        for user, purpose, granted in connection.execute(query):
            found.setdefault(user, {})[purpose] = bool(granted)
    return found


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


def refusing(engine: Engine, user_ids: Sequence[str], purposes: Collection[str]) -> set[str]:
    """Those of `user_ids` who refused at least one of the purposes."""
    query = sa.select(consents.c.user_id).where(consents.c.purpose.in_(sorted(purposes)), consents.c.granted == 0)
    found: set[str] = set()
    with reading(engine) as connection:
        for start in range(0, len(user_ids), _CHUNK):
            found.update(connection.execute(query.where(consents.c.user_id.in_(list(user_ids[start : start + _CHUNK])))).scalars())
    return found


_Said = tuple[str, str, bool, int, str]


def _purposes(text: str) -> dict[str, bool]:
    try:
        purposes = json.loads(text)
    except ValueError as error:
        raise ContractError("consent is no JSON", where="users.consent", expected="a JSON object", found=type(error).__name__) from error
    if not isinstance(purposes, dict) or not all(key in CONSENT_PURPOSES and isinstance(value, bool) for key, value in purposes.items()):
        raise ContractError("consent is unusable", where="users.consent", expected=f"true or false for {', '.join(CONSENT_PURPOSES)}")
    return purposes


def _keep(engine: Engine, said: list[_Said]) -> int:
    newest: dict[tuple[str, str], _Said] = {}
    for word in said:
        if (known := newest.get(word[:2])) is None or known[3] <= word[3]:
            newest[word[:2]] = word
    ordered, kept = [newest[key] for key in sorted(newest)], 0
    with writing(engine) as connection:
        for start in range(0, len(ordered), _CHUNK):
            kept += _keep_some(connection, ordered[start : start + _CHUNK])
    return kept


def _keep_some(connection: Connection, said: list[_Said]) -> int:
    known = _known(connection, sorted({word[0] for word in said}))
    news = [word for word in said if (at := known.get(word[:2], -1)) is None or at <= word[3]]
    for user, purpose, *_ in news:
        if (user, purpose) in known:
            connection.execute(sa.delete(consents).where(consents.c.user_id == user, consents.c.purpose == purpose))
    if news:
        insert_new(connection, consents, list(_COLUMNS), [(user, purpose, int(value), at, source) for user, purpose, value, at, source in news])
    return len(news)


def _known(connection: Connection, users: Iterable[str]) -> dict[tuple[str, str], int | None]:
    """When the words on record about these users were said."""
    query = sa.select(consents.c.user_id, consents.c.purpose, consents.c.recorded_at).where(consents.c.user_id.in_(list(users)))
    if connection.dialect.name != "sqlite":  # a writer of SQLite is alone
        query = query.with_for_update()
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}
