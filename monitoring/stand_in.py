"""Stand-in slates for windows in which no service ran: personal frequency with live histories, for every trip.

Calibration needs logged slates in quiet windows, and the shop's past has none. Personal frequency needs no training, so its slates can be
made for any trip from the history before it. They stand in for the release's own: the limits drawn from them are those of this policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import EXPOSURES, TIMESTAMP, C

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
POLICY = "personal_frequency"
LENGTH = 10
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class _Slate:
    user: int
    moment: int
    items: Int64
    scores: Floats


def stand_in_slates(bought: pa.Table, vocabulary: pa.Array, start: datetime, end: datetime, half_life_days: float) -> pa.Table:
    """EXPOSURES of one slate a trip in [start, end), each from what its user bought strictly before it.

    Args:
        bought: purchases (EVENTS) of recommendable items from the beginning to `end`.
        vocabulary: item_ids that may be shown; what a user's history cannot fill is filled by the most bought before `start`.
        start, end: UTC; `end` is not inside.
        half_life_days: a purchase counts half as much after this time, counted to the user's newest purchase before the trip.
    """
    users = pc.unique(bought[C.USER_ID])
    user = pc.index_in(bought[C.USER_ID], value_set=users).to_numpy().astype(np.int64)
    moment = bought[C.OCCURRED_AT].cast(pa.int64()).to_numpy()
    item = pc.fill_null(pc.index_in(bought[C.ITEM_ID], value_set=vocabulary), -1).to_numpy().astype(np.int64)
    first, last = (int(end_.timestamp() * 1_000_000) for end_ in (start, end))
    popular = np.argsort(-np.bincount(item[(moment < first) & (item >= 0)], minlength=len(vocabulary)), kind="stable")[: 2 * LENGTH]
    order = np.lexsort((item, moment, user))
    order = order[moment[order] < last]
    bounds = np.searchsorted(user[order], np.arange(len(users) + 1))
    slates: list[_Slate] = []
    for who in range(len(users)):
        mine = order[bounds[who] : bounds[who + 1]]
        slates.extend(_slates_of_user(who, moment[mine], item[mine], first, popular, half_life_days * _DAY_US))
    return _exposures(slates, users, vocabulary)


def _slates_of_user(who: int, moment: Int64, item: Int64, first: int, popular: Int64, half_life: float) -> Iterator[_Slate]:
    """One user's slates, a trip at a time; `moment` ascends."""
    trips, starts = np.unique(moment, return_index=True)
    if not len(trips) or trips[-1] < first:
        return
    known = item >= 0
    mine, code = np.unique(item[known], return_inverse=True)
    # Weights grow with time instead of decaying, so that a total never has to be touched again; a division at the request undoes it.
    weight = np.exp2((moment[known] - moment[0]) / half_life)
    upto = np.concatenate([[0], np.cumsum(known)])[np.append(starts, len(moment))]
    totals = np.zeros(len(mine))
    for trip, now in enumerate(trips):
        if now >= first:
            newest = upto[trip] - 1
            yield _slate(who, int(now), mine, totals / (weight[newest] if newest >= 0 else 1.0), popular)
        lines = slice(upto[trip], upto[trip + 1])
        np.add.at(totals, code[lines], weight[lines])


def _slate(who: int, now: int, mine: Int64, scores: Floats, popular: Int64) -> _Slate:
    best = np.argsort(-scores, kind="stable")[:LENGTH]
    best = best[scores[best] > 0]
    items, values = mine[best], scores[best]
    if len(items) < LENGTH:
        others = popular[~np.isin(popular, items)][: LENGTH - len(items)]
        items, values = np.concatenate([items, others]), np.concatenate([values, np.zeros(len(others))])
    return _Slate(who, now, items, values)


def _exposures(slates: list[_Slate], users: pa.Array, vocabulary: pa.Array) -> pa.Table:
    lengths = np.array([len(slate.items) for slate in slates], np.int64)
    rows = int(lengths.sum())
    owner = np.repeat(np.arange(len(slates)), lengths)
    position = np.arange(rows) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
    constant = {C.POLICY: POLICY, C.REASON: POLICY, C.RELEASE: "stand-in", C.ARM: "stand-in"}
    columns = {
        C.REQUEST_ID: pa.array(owner).cast(pa.string()),
        C.POSITION: pa.array(position, pa.int32()),
        C.ITEM_ID: vocabulary.take(pa.array(np.concatenate([slate.items for slate in slates]))) if slates else pa.array([], pa.string()),
        C.SCORE: pa.array(np.concatenate([slate.scores for slate in slates]) if slates else np.zeros(0)),
        C.PROPENSITY: pa.repeat(1.0, rows),
        C.USER_ID: users.take(pa.array(np.array([slate.user for slate in slates], np.int64)[owner])),
        C.SHOWN_AT: pa.array(np.array([slate.moment for slate in slates], np.int64)[owner]).cast(TIMESTAMP),
        **{name: pa.repeat(pa.scalar(value, pa.string()), rows) for name, value in constant.items()},
    }
    return EXPOSURES.check(pa.table(columns), where="stand-in slates")
