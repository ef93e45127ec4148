"""Shadow and canary: the releases that stand beside the champion, one of each at most.

A release holds one arm at most. Promoting or refusing a release ends its arm in the same transaction (`releases`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.errors import ReleaseError
from footfall.store import releases
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.tables import arms
from footfall.store.tables import releases as _releases

CHAMPION, SHADOW, CANARY = "champion", "shadow", "canary"
BESIDE: Final = (CANARY, SHADOW)
"""The arms that a release can be given beside the champion."""

EVERYBODY = 1.0
"""The share of all arms but the canary: nobody is drawn for them."""


@dataclass(frozen=True)
class Arm:
    """A release beside the champion.

    Attributes:
        arm: SHADOW or CANARY.
        release_id: which release.
        share: of the users that the canary answers, between 0 and 1; EVERYBODY for a shadow.
        since: UTC; when the release was given the arm. Another share does not begin it anew.
    """

    arm: str
    release_id: str
    share: float
    since: datetime


@dataclass(frozen=True)
class Pointer:
    """What a service needs of an arm, the champion's too: which release, where its bundle lies, and for what share of the users."""

    arm: str
    release_id: str
    model_tag: str
    share: float = EVERYBODY


def begin_shadow(engine: Engine, release_id: str, at: datetime) -> Arm:
    """Let a release answer unseen.

    Raises:
        ReleaseError: the release is unknown, champion or refused, or another one is the shadow.
    """
    return _begin(engine, Arm(SHADOW, release_id, EVERYBODY, at))


def begin_canary(engine: Engine, release_id: str, share: float, at: datetime) -> Arm:
    """Let a release answer a share of the users; of the canary itself, change the share.

    Raises:
        ReleaseError: the release is unknown, champion or refused, another one is the canary, or the share is not between 0 and 1.
    """
    if not 0.0 < share < 1.0:
        raise ReleaseError("share is no share of the users", where="share", expected="a number between 0 and 1, like 0.05", found=share)
    return _begin(engine, Arm(CANARY, release_id, share, at))


def end(engine: Engine, arm: str) -> Arm:
    """Take an arm from its release; returns what it was.

    Raises:
        ReleaseError: no release holds it.
    """
    with writing(engine) as connection:
        found = _find(connection, arms.c.arm == arm)
        if found is None:
            raise ReleaseError(f"there is no {arm}", where="store", expected=f"a release that is {arm}", next_step="footfall release list")
        connection.execute(sa.delete(arms).where(arms.c.arm == arm))
        return found


def list_all(engine: Engine) -> list[Arm]:
    """The arms beside the champion that are held, by name."""
    with reading(engine) as connection:
        return [_arm(row) for row in connection.execute(sa.select(arms).order_by(arms.c.arm))]


def pointers(engine: Engine) -> dict[str, Pointer]:
    """Arm -> where it points, the champion among them; one statement, so that it sees one moment, and cheap enough for every second."""
    champion = sa.select(sa.literal(CHAMPION), _releases.c.release_id, _releases.c.model_tag, sa.literal(EVERYBODY))
    beside = sa.select(arms.c.arm, arms.c.release_id, _releases.c.model_tag, arms.c.share)
    query = sa.union_all(
        champion.where(_releases.c.champion_slot == 1),
        beside.join_from(arms, _releases, arms.c.release_id == _releases.c.release_id),
    )
    with reading(engine) as connection:
        return {arm: Pointer(arm, release_id, tag, share) for arm, release_id, tag, share in connection.execute(query)}


def _begin(engine: Engine, wanted: Arm) -> Arm:
    with writing(engine) as connection:
        # locked: whoever promotes or refuses it meanwhile waits, and then ends the arm
        state = releases.get_on(connection, wanted.release_id, lock=True).state
        if state not in (releases.CANDIDATE, releases.RETIRED):
            expected = "a candidate or retired release"
            raise ReleaseError(f"release cannot be {wanted.arm}", where=wanted.release_id, expected=expected, found=state)
        before = _find(connection, arms.c.arm == wanted.arm)
        if before is not None and before.release_id != wanted.release_id:
            next_step = f"footfall release end {wanted.arm}"
            raise ReleaseError(f"another release is {wanted.arm}", where="store", expected="none", found=before.release_id, next_step=next_step)
        if before is not None:
            connection.execute(sa.update(arms).where(arms.c.arm == wanted.arm).values(share=wanted.share))
            return Arm(wanted.arm, wanted.release_id, wanted.share, before.since)
        connection.execute(sa.delete(arms).where(arms.c.release_id == wanted.release_id))  # a shadow that becomes canary is shadow no more
        values = {"arm": wanted.arm, "release_id": wanted.release_id, "share": wanted.share, "since": to_us(wanted.since)}
        connection.execute(sa.insert(arms).values(**values))
        return wanted


def _find(connection: Connection, condition: sa.ColumnElement[bool]) -> Arm | None:
    row = connection.execute(sa.select(arms).where(condition)).first()
    return None if row is None else _arm(row)


def _arm(row: sa.Row[tuple[str, str, float, int]]) -> Arm:
    return Arm(row.arm, row.release_id, row.share, from_us(row.since))
