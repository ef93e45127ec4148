"""The truth of the simulated shop: how users would answer any slate, the best slate there is, and what every account really is.

A policy is compared with the truth by `respond`, without noise, or by `draw`, as a shop would see it. Every answer says that it is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.errors import SourceError
from footfall.sources.simulator import response, tables
from footfall.sources.simulator.draws import Bools, Float64, Int64, stream
from footfall.sources.simulator.people import DAY_US
from footfall.sources.simulator.world import Standing, World

Goal = Literal["click", "purchase"]
_CELLS = 4_000_000  # users times items that are ranked at once


@dataclass(frozen=True)
class Response:
    """True chances for B slates of K positions.

    Attributes:
        click: (B, K) that the item of a position is clicked.
        purchase: (B, K) that it is bought in the same visit.
        simulated: always true: no user has ever answered so.
    """

    click: Float64
    purchase: Float64
    simulated: bool = True


@dataclass(frozen=True)
class Answers:
    """What B users did with slates of K positions: one draw from their `Response`."""

    clicked: Bools
    purchased: Bools
    simulated: bool = True


class Truth:
    """What only a simulated shop knows."""

    def __init__(self, world: World, names: pa.Array, ids: pa.Array) -> None:
        """Answer for `world`, whose accounts are called `names` and whose items `ids`."""
        self._world, self._names = world, names
        self._ids = ids.slice(0, len(world.assortment))

    def users(self) -> pa.Table:
        """A row an account, with what is hidden from a shop.

        user_id, kind (person, bot, click_farm), joined_at, left_at (the true moment of churn, null for none), churned (whether that lies in the
        scenario), household, circle (of like mind), visits_a_day, thrift (logits lost by a price e times the usual), taste, taste_after_shift.
        """
        return tables.truth(self._world, self._names)

    def respond(self, user_ids: Sequence[str], slates: Sequence[Sequence[str]], at: datetime) -> Response:
        """The true chances that these users, with these slates before them at a moment, click and buy.

        All positions count as having come into sight, as an impression says. A user need not be in the shop at that moment; an item that is off
        the shelf, or that the shop does not have, is neither clicked nor bought.

        Args:
            user_ids: (B,) people.
            slates: (B, K) item ids from the top; all of one length.
            at: on which day; prices, campaign, season and drifts follow from it.

        Raises:
            SourceError: a user is unknown or no person, or the slates do not fit.
        """
        users, standing = self._people(user_ids), self._standing(at)
        items = self._items(slates, len(users))
        known = np.maximum(items, 0)
        liked = response.liking(self._world, standing, users.repeat(items.shape[1]), known.reshape(-1)).reshape(items.shape)
        looked = response.examination(np.arange(1, items.shape[1] + 1))
        click = np.where((items >= 0) & standing.on_shelf[known], response.attraction(liked).astype(np.float64) * looked, 0.0)
        return Response(click, click * response.purchase_given_click(liked))

    def draw(self, user_ids: Sequence[str], slates: Sequence[Sequence[str]], at: datetime, *, seed: int) -> Answers:
        """One draw from `respond`: the same seed and arguments give the same answers.

        Raises:
            SourceError: as in `respond`.
        """
        chances, rng = self.respond(user_ids, slates, at), stream(seed, "answers")
        luck = rng.random(chances.click.shape)
        return Answers(luck < chances.click, luck < chances.purchase)

    def optimal_slate(self, user_ids: Sequence[str], k: int, at: datetime, *, goal: Goal = "purchase") -> list[list[str]]:
        """The slate of k distinct items that gives each user the most expected clicks or purchases.

        Attention only falls from the top and items do not influence each other, so it is the best k items in order.

        Raises:
            SourceError: a user is unknown or no person, or fewer than k items are on the shelf.
        """
        users, standing = self._people(user_ids), self._standing(at)
        if not 1 <= k <= int(standing.on_shelf.sum()):
            raise _unusable("slate cannot be filled", f"1 to {int(standing.on_shelf.sum())} items", k)
        slates: list[list[str]] = []
        block = max(1, _CELLS // len(self._ids))
        for begin in range(0, len(users), block):
            liked = response.likings(self._world, standing, users[begin : begin + block])
            worth = response.attraction(liked).astype(np.float64)
            worth *= response.purchase_given_click(liked) if goal == "purchase" else 1.0
            worth[:, ~standing.on_shelf] = -1.0
            best = np.argsort(-worth, axis=1, kind="stable")[:, :k]
            found = self._ids.take(pa.array(best.reshape(-1))).to_pylist()
            slates += [found[start : start + k] for start in range(0, len(found), k)]
        return slates

    def _standing(self, at: datetime) -> Standing:
        return self._world.standing(round(at.timestamp() * 1_000_000) // DAY_US)

    def _people(self, user_ids: Sequence[str]) -> Int64:
        found = pc.fill_null(pc.index_in(pa.array(user_ids, pa.string()), value_set=self._names), -1).to_numpy()
        strangers = int(((found < 0) | (found >= self._world.people.people)).sum())
        if strangers:
            raise _unusable("users are not people of this shop", "ids from users(), and no bots", f"{strangers} of {len(found)}")
        return np.asarray(found, np.int64)

    def _items(self, slates: Sequence[Sequence[str]], count: int) -> Int64:
        lengths = {len(slate) for slate in slates}
        if len(slates) != count or len(lengths) > 1:
            raise _unusable("slates do not fit the users", f"{count} slates of one length", f"{len(slates)} of lengths {sorted(lengths)}")
        flat = pa.array([item for slate in slates for item in slate], pa.string())
        found = pc.fill_null(pc.index_in(flat, value_set=self._ids), -1).to_numpy()
        return np.asarray(found, np.int64).reshape(count, -1 if count else 0)


def _unusable(what: str, expected: str, found: object) -> SourceError:
    return SourceError(what, where="simulator", expected=expected, found=found, next_step="see docs/data.md, The simulator")
