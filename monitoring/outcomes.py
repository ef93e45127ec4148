"""Slates against what their users bought next: the join of exposures and purchases by user and time.

A slate's outcome is its user's first basket at or after `shown_at` inside the window; a slate without one has no outcome and does not count.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import C

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Slates:
    """S slates, a row a slate.

    Attributes:
        release: (S,) the release that answered.
        user: (S,) position of the user among the window's users, -1 for an anonymous request.
        shown_at: (S,) microseconds since the epoch.
        top_score, mean_score: (S,) of the slate's items.
        hits: (S,) items of the slate that were in the next basket; nan without an outcome.
        recall: (S,) hits / min(slate length, items in the basket); nan without an outcome.
    """

    release: npt.NDArray[np.object_]
    user: Int64
    shown_at: Int64
    top_score: Floats
    mean_score: Floats
    hits: Floats
    recall: Floats

    def __len__(self) -> int:
        """Number of slates."""
        return len(self.user)

    def keep(self, mask: npt.NDArray[np.bool_]) -> Slates:
        """Only the slates where `mask` (S,) holds."""
        return Slates(*(getattr(self, field.name)[mask] for field in dataclasses.fields(self)))

    @property
    def with_outcome(self) -> Slates:
        """Only the slates whose user bought something afterwards."""
        return self.keep(~np.isnan(self.hits))

    @property
    def hit_rate(self) -> float | None:
        """Share of slates with at least one hit, averaged within a user first, so that each user counts once; None without outcomes."""
        judged = self.with_outcome
        return None if not len(judged) else float(_user_means(judged.user, (judged.hits > 0).astype(np.float64)).mean())

    def first_hit_rate(self, since: datetime, days: int) -> float | None:
        """Share of users whose first slate in the `days` days from `since` had a hit, as an offline evaluation counts; None without outcomes."""
        first, last = (int(moment.timestamp() * 1_000_000) for moment in (since, since + timedelta(days=days)))
        judged = self.with_outcome
        judged = judged.keep((judged.shown_at >= first) & (judged.shown_at < last) & (judged.user >= 0))
        order = np.lexsort((judged.shown_at, judged.user))
        opening = order[np.unique(judged.user[order], return_index=True)[1]]
        return float((judged.hits[opening] > 0).mean()) if len(opening) else None


def judge_slates(exposures: pa.Table | None, bought: pa.Table) -> Slates:
    """Put each slate of `exposures` (EXPOSURES) beside its user's next basket in `bought` (purchases of recommendable items)."""
    if exposures is None or not exposures.num_rows:
        empty = np.zeros(0)
        return Slates(np.zeros(0, object), np.zeros(0, np.int64), np.zeros(0, np.int64), empty, empty, empty, empty)
    request = exposures[C.REQUEST_ID].combine_chunks().dictionary_encode()
    slate_of_row = request.indices.to_numpy().astype(np.int64)
    count = len(request.dictionary)
    first = np.unique(slate_of_row, return_index=True)[1]
    score = exposures[C.SCORE].to_numpy()
    top = np.full(count, -np.inf)
    np.maximum.at(top, slate_of_row, score)
    lengths = np.bincount(slate_of_row, minlength=count)
    slate_user_ids = exposures[C.USER_ID].take(pa.array(first))
    users = pc.unique(pa.chunked_array([*slate_user_ids.chunks, *bought[C.USER_ID].chunks], pa.string()).drop_null())
    user = pc.fill_null(pc.index_in(slate_user_ids, value_set=users), -1).to_numpy().astype(np.int64)
    shown = exposures[C.SHOWN_AT].cast(pa.int64()).to_numpy()[first]
    hits, recall = _hits(slate_of_row, exposures[C.ITEM_ID], user, shown, lengths, _Baskets.of(bought, users))
    release = np.asarray(exposures[C.RELEASE].take(pa.array(first)).to_pylist(), dtype=object)
    return Slates(release, user, shown, top, np.bincount(slate_of_row, weights=score, minlength=count) / lengths, hits, recall)


@dataclass(frozen=True)
class _Baskets:
    """B baskets in order of (user, moment): who, when, and the pairs (basket, item) sorted."""

    user: Int64
    moment: Int64
    row_basket: Int64
    row_item: pa.ChunkedArray

    @classmethod
    def of(cls, bought: pa.Table, users: pa.Array) -> _Baskets:
        """Group purchases into baskets: one session, or without sessions what one user bought at one moment."""
        moment = bought[C.OCCURRED_AT].cast(pa.int64())
        session = pc.coalesce(bought[C.SESSION_ID], moment.cast(pa.string()))
        user = pc.index_in(bought[C.USER_ID], value_set=users).to_numpy().astype(np.int64)
        code = session.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        _, first, row_basket = np.unique(user * (len(code) + 1) + code, return_index=True, return_inverse=True)
        basket_moment = np.full(len(first), np.iinfo(np.int64).max)
        np.minimum.at(basket_moment, row_basket, moment.to_numpy())
        order = np.lexsort((basket_moment, user[first]))
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(user[first][order], basket_moment[order], rank[row_basket], bought[C.ITEM_ID])


def _hits(slate_of_row: Int64, items: pa.ChunkedArray, user: Int64, shown: Int64, lengths: Int64, baskets: _Baskets) -> tuple[Floats, Floats]:
    """(S,) hits and (S,) recall; nan where the user has no basket at or after `shown`."""
    count = len(user)
    hits, recall = np.full(count, np.nan), np.full(count, np.nan)
    if not len(baskets.user):
        return hits, recall
    following = _next_basket(user, shown, baskets)
    known = pc.unique(baskets.row_item)
    width = len(known) + 1
    pairs = np.unique(baskets.row_basket * width + pc.index_in(baskets.row_item, value_set=known).to_numpy())
    sizes = np.bincount(pairs // width, minlength=len(baskets.user))
    item = pc.fill_null(pc.index_in(items, value_set=known), len(known)).to_numpy().astype(np.int64)
    hit = np.isin(following[slate_of_row] * width + item, pairs) & (following[slate_of_row] >= 0)
    judged = following >= 0
    hits[judged] = np.bincount(slate_of_row, weights=hit, minlength=count)[judged]
    recall[judged] = hits[judged] / np.minimum(lengths[judged], sizes[following[judged]])
    return hits, recall


def _next_basket(user: Int64, shown: Int64, baskets: _Baskets) -> Int64:
    """(S,) the first basket of `user` at or after `shown`; -1 for none."""
    # One sort puts every slate among the baskets: at equal moments the slate comes before the basket that it was shown for.
    users, moments = np.concatenate([baskets.user, user]), np.concatenate([baskets.moment, shown])
    is_basket = np.concatenate([np.ones(len(baskets.user), np.int64), np.zeros(len(user), np.int64)])
    order = np.lexsort((is_basket, moments, users))
    before = np.cumsum(is_basket[order])
    candidate = np.empty(len(order), np.int64)
    candidate[order] = before
    following = candidate[len(baskets.user) :]
    last = len(baskets.user) - 1
    same_user = (following <= last) & (baskets.user[np.minimum(following, last)] == user) & (user >= 0)
    return np.where(same_user, following, -1)


def _user_means(user: Int64, value: Floats) -> Floats:
    """Mean of `value` for each user that occurs."""
    codes = np.unique(user, return_inverse=True)[1]
    return np.bincount(codes, weights=value) / np.bincount(codes)
