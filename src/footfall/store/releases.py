"""Release records: what is known of a bundle only after it was made, and which release is champion.

States: candidate -> champion or refused; champion -> retired; retired -> champion again. One champion at most, which the
database itself enforces. A candidate or retired release may be shadow or canary too (`arms`), until it is promoted or refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from footfall.errors import ReleaseError
from footfall.paths import is_release_id
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.tables import arms, releases

CANDIDATE, CHAMPION, RETIRED, REFUSED = "candidate", "champion", "retired", "refused"


@dataclass(frozen=True)
class Release:
    """A bundle with an id and a state.

    Attributes:
        release_id: "r" and twelve hexadecimal digits of the bundle's digest.
        model_tag: where the bundle lies in the BentoML model store.
        created_at, as_of: UTC; when it was added, and the last moment its training could read.
        metrics: reports/metrics.json, or what of it is worth keeping.
        decision: the gate's DECISION as a dictionary; None until it has spoken.
        parent: the release that was champion when this one was promoted.
        bento_tag: the bento that was built with it.
    """

    release_id: str
    model_tag: str
    state: str
    created_at: datetime
    as_of: datetime
    git_revision: str | None = None
    dvc_lock_digest: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    decision: dict[str, Any] | None = None
    parent: str | None = None
    bento_tag: str | None = None


def add(engine: Engine, release: Release) -> Release:
    """Record a candidate. The same bundle added again is the same release: what stands in the store is returned, unchanged.

    Raises:
        ReleaseError: the state is not "candidate"; champions are made by `promote`.
    """
    if release.state != CANDIDATE:
        raise ReleaseError("a release begins as a candidate", where=release.release_id, expected=CANDIDATE, found=release.state)
    with writing(engine) as connection:
        known = _find(connection, release.release_id)
        if known is not None:
            return known
        connection.execute(sa.insert(releases).values(**_values(release)))
    return release


def get(engine: Engine, release_id: str) -> Release:
    """One release.

    Raises:
        ReleaseError: it is unknown.
    """
    with reading(engine) as connection:
        return get_on(connection, release_id)


def list_all(engine: Engine) -> list[Release]:
    """All releases, oldest first."""
    with reading(engine) as connection:
        rows = connection.execute(sa.select(releases).order_by(releases.c.created_at, releases.c.release_id))
        return [_release(row) for row in rows]


def champion(engine: Engine) -> Release | None:
    """The release that serves; None before the first promotion."""
    with reading(engine) as connection:
        return _champion(connection)


def promote(engine: Engine, release_id: str, decision: dict[str, Any] | None = None) -> Release:
    """Make a candidate or retired release the champion, and retire the one before it, in one transaction.

    Promoting the champion changes nothing.

    Raises:
        ReleaseError: the release is unknown or was refused.
    """
    with writing(engine) as connection:
        release = get_on(connection, release_id)
        if release.state == REFUSED:
            raise ReleaseError("a refused release cannot be promoted", where=release_id, expected="candidate or retired", found=REFUSED)
        if release.state == CHAMPION:
            return release
        before = _champion(connection, lock=True)
        parent = None if before is None else before.release_id
        return _enthrone(connection, replace(release, parent=parent, decision=decision or release.decision), before)


def refuse(engine: Engine, release_id: str, decision: dict[str, Any] | None = None) -> Release:
    """Keep a candidate from serving, with the gate's decision.

    Raises:
        ReleaseError: the release is unknown, or not a candidate.
    """
    with writing(engine) as connection:
        release = get_on(connection, release_id)
        if release.state == REFUSED:
            return release
        if release.state != CANDIDATE:
            raise ReleaseError("only a candidate can be refused", where=release_id, expected=CANDIDATE, found=release.state)
        refused = replace(release, state=REFUSED, decision=decision or release.decision)
        _update(connection, refused)
        _end_arm(connection, release_id)
        return refused


def rollback(engine: Engine) -> Release:
    """Make the champion's parent champion again; returns it.

    Raises:
        ReleaseError: there is no champion, or it has no parent.
    """
    with writing(engine) as connection:
        now = _champion(connection, lock=True)
        if now is None or now.parent is None:
            found = "no champion" if now is None else f"{now.release_id} has no parent"
            raise ReleaseError("nothing to roll back to", expected="a champion with a parent", found=found, next_step="footfall release list")
        return _enthrone(connection, get_on(connection, now.parent), now)


def set_bento_tag(engine: Engine, release_id: str, bento_tag: str) -> Release:
    """Note which bento was built with a release.

    Raises:
        ReleaseError: the release is unknown.
    """
    with writing(engine) as connection:
        release = replace(get_on(connection, release_id), bento_tag=bento_tag)
        _update(connection, release)
        return release


def _enthrone(connection: Connection, release: Release, before: Release | None) -> Release:
    if before is not None:
        _update(connection, replace(before, state=RETIRED))
    promoted = replace(release, state=CHAMPION)
    _update(connection, promoted)
    _end_arm(connection, release.release_id)
    return promoted


def _end_arm(connection: Connection, release_id: str) -> None:
    """After the release's own row was written, which whoever gives it an arm has locked: their row is seen here, or ours there."""
    connection.execute(sa.delete(arms).where(arms.c.release_id == release_id))


def _champion(connection: Connection, *, lock: bool = False) -> Release | None:
    query = sa.select(releases).where(releases.c.champion_slot == 1)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _release(row)


def _find(connection: Connection, release_id: str, *, lock: bool = False) -> Release | None:
    query = sa.select(releases).where(releases.c.release_id == release_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _release(row)


def get_on(connection: Connection, release_id: str, *, lock: bool = False) -> Release:
    """`get` inside the caller's transaction; with `lock` nobody else changes it until that ends."""
    release = _find(connection, release_id, lock=lock) if is_release_id(release_id) else None
    if release is None:
        found = f"{release_id!a:.80}"  # what came from outside must not move the cursor of a terminal
        raise ReleaseError("release is unknown", where="store", expected="an id from the list", found=found, next_step="footfall release list")
    return release


def _update(connection: Connection, release: Release) -> None:
    connection.execute(sa.update(releases).where(releases.c.release_id == release.release_id).values(**_values(release)))


def _values(release: Release) -> dict[str, Any]:
    return {
        "release_id": release.release_id,
        "model_tag": release.model_tag,
        "state": release.state,
        "champion_slot": 1 if release.state == CHAMPION else None,
        "created_at": to_us(release.created_at),
        "as_of": to_us(release.as_of),
        "git_revision": release.git_revision,
        "dvc_lock_digest": release.dvc_lock_digest,
        "metrics": _json(release.metrics),
        "decision": None if release.decision is None else _json(release.decision),
        "parent": release.parent,
        "bento_tag": release.bento_tag,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _release(row: Row[Any]) -> Release:
    return Release(
        release_id=row.release_id,
        model_tag=row.model_tag,
        state=row.state,
        created_at=from_us(row.created_at),
        as_of=from_us(row.as_of),
        git_revision=row.git_revision,
        dvc_lock_digest=row.dvc_lock_digest,
        metrics=json.loads(row.metrics),
        decision=None if row.decision is None else json.loads(row.decision),
        parent=row.parent,
        bento_tag=row.bento_tag,
    )
