"""From a user's scores to a slate: what may stand on it, and how alike its items may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from footfall.core.exploration import Exploration, explore, request_stream
from footfall.core.item_facts import NO_PRICE, CatalogueFacts
from footfall.core.metrics import Bools, Float64, top_k
from footfall.core.related import Near
from footfall.core.rules import Ruling
from footfall.core.sequences import Int64
from footfall.errors import ContractError

MAX_K = 100
CANDIDATES = 200
"""Best items that compete for the positions of a diverse slate."""


NOTHING_PASSES = "nothing_passes"
"""Why a slate is empty: no item passes what was asked."""


class Line(NamedTuple):
    """One position of a slate; position 1 is the top."""

    position: int
    item_id: str
    score: float
    reason: str
    propensity: float = 1.0
    rules: tuple[str, ...] = ()
    probability: float | None = None


@dataclass(frozen=True)
class Slate:
    """What one user is shown. A diverse slate, or one with pins or draws, is not in the order of its scores.

    Attributes:
        items: best first; `propensity` is the chance that this item stands at this position, `rules` are those that touched it,
            `probability` is the chance that the user buys it within seven days, None where that cannot be told.
        policy: what made the scores.
        degraded: why it is not what was asked for; None where it is.
        kept_out: ids of the rules that kept an item off it.
    """

    items: list[Line]
    policy: str
    degraded: str | None = None
    kept_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Some positions are left to chance, so that other policies can be judged by what comes of it.

    Attributes:
        exploration: how many, and among what.
        request_id: of the slate; whoever knows it can draw the same again.
    """

    exploration: Exploration
    request_id: str


@dataclass(frozen=True)
class Filters:
    """What a slate's items must be, by the shop's facts. What is not stated is not asked; an item passes all that is.

    Attributes:
        categories: paths; an item lies in one of them or below.
        brands: an item is of one of them.
        price_from, price_to: in minor units, both ends included.
        currency: of the prices; None compares numbers of any currency.
        in_stock: only what can be had.
        recommendable: only what the shop calls recommendable.
    """

    categories: Sequence[str] = ()
    brands: Sequence[str] = ()
    price_from: int | None = None
    price_to: int | None = None
    currency: str | None = None
    in_stock: bool = False
    recommendable: bool = False

    def passing(self, facts: CatalogueFacts, at: int) -> Bools:
        """(V,) which items pass at a moment (microseconds). An item without a fact passes no filter that asks for it."""
        passes = np.ones(len(facts), np.bool_)
        if self.categories:
            passes &= np.logical_or.reduce([facts.in_category(path) for path in self.categories])
        if self.brands:
            passes &= np.logical_or.reduce([facts.of_brand(brand) for brand in self.brands])
        if self.price_from is not None or self.price_to is not None:
            passes &= facts.price_minor != NO_PRICE
            passes &= facts.price_minor >= (self.price_from if self.price_from is not None else NO_PRICE)
            passes &= facts.price_minor <= (self.price_to if self.price_to is not None else np.iinfo(np.int64).max)
        if self.currency is not None:
            passes &= facts.in_currency(self.currency)
        if self.in_stock:
            passes &= facts.to_be_had(at)
        if self.recommendable:
            passes &= facts.recommendable
        return passes


@dataclass(frozen=True)
class Wishes:
    """What one user's slate is asked to be.

    Attributes:
        k: positions, 1 to MAX_K.
        exclude: item ids that must not be shown; unknown ones are ignored.
        allowed: (V,) which items may be shown, by item_index - 1; None: all.
        unbought: leave out what the user's history says was bought.
        diversity: 0, the ranking as it is, to 1, as unlike as the best candidates allow.
        context: ids of the items that stand on the page already: they are not shown again, and the slate leans to what goes with them.
        cart: what lies in the user's cart is context too.
        ruling: the merchant's rules; None: none hold.
        drawing: None: nothing is left to chance.
        popular: (V,) what is popular with users of the same segments, in the place of what is popular overall; None: overall.

    Raises:
        ContractError: k or diversity is out of bounds, or one id stands where a collection of ids is expected.
    """

    k: int = 10
    exclude: Collection[str] = ()
    allowed: Bools | None = None
    unbought: bool = False
    diversity: float = 0.0
    context: Collection[str] = ()
    cart: bool = False
    ruling: Ruling | None = None
    drawing: Drawing | None = None
    popular: Float64 | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.k <= MAX_K:
            raise ContractError("k is out of bounds", where="k", expected=f"1 to {MAX_K}", found=self.k, next_step="ask for fewer positions")
        if not 0.0 <= self.diversity <= 1.0:
            raise ContractError("diversity is out of bounds", where="diversity", expected="0 to 1", found=self.diversity)
        for where, ids in (("exclude", self.exclude), ("context", self.context)):
            if isinstance(ids, str):
                raise ContractError(f"{where} is no collection", where=where, expected="item ids in a list", found="one text")


def lean(scores: Float64, towards: Float64) -> Float64:
    """(V,) what to add so that a slate leans to what goes with something: what goes best with it gains as much as the user's best item has.

    Args:
        scores: (V,) of one user, finite.
        towards: (V,) how much each item goes with it, 0 and more; where all are 0 nothing gains.
    """
    most = towards.max(initial=0.0)
    return towards * (scores.max() / most if most > 0 else 0.0)


class Chosen(NamedTuple):
    """What stands on a slate: (n,) columns and the chance of each to stand where it does, the rules that touched each, those that kept others off."""

    columns: Int64
    propensities: Float64
    touched: list[tuple[str, ...]]
    kept_out: tuple[str, ...]


def compose(scores: Float64, wishes: Wishes, near: Callable[[Int64], Near]) -> Chosen:
    """The slate that the wishes make of one user's scores: rules, then the ranking, diverse or not, then pins, then chance.

    Args:
        scores: (V,), -inf for what may not be shown; the rules change them in place.
        wishes: k, diversity, rules and draws of them count here.
        near: as in `choose`.
    """
    ruled = None if wishes.ruling is None else wishes.ruling.apply(scores)
    if ruled is not None:
        scores[:] = ruled.scores
    pool = 0 if wishes.drawing is None else wishes.drawing.exploration.pool
    columns = choose(scores, wishes.k + pool, wishes.diversity, near)
    if ruled is not None:
        placed, _ = ruled.finish(columns, wishes.k)
        columns = np.concatenate([placed, columns[~np.isin(columns, placed)]])
    k = min(wishes.k, len(columns))
    chances = np.ones(k)
    if wishes.drawing is not None and k:
        held = np.zeros(k, np.bool_) if ruled is None else np.isin(columns[:k], ruled.held(wishes.k))
        stream = request_stream(wishes.drawing.request_id)
        columns, chances = explore(columns, scores[columns], k, wishes.drawing.exploration, stream, held)
    columns = columns[:k].astype(np.int64)
    if ruled is None:
        return Chosen(columns, chances, [()] * k, ())
    return Chosen(columns, chances, ruled.touching(columns, wishes.k), ruled.kept_out(wishes.k))


def choose(scores: Float64, k: int, diversity: float, near: Callable[[Int64], Near]) -> Int64:
    """The columns of one slate, best first: k of them, or as many as may be shown.

    Args:
        scores: (V,), -inf for what may not be shown.
        k: positions.
        diversity: 0 leaves the ranking as it is; above, `diversify` picks among the best CANDIDATES.
        near: columns of the candidates -> how near each is to the others; called where diversity is above 0.
    """
    best: Int64 = top_k(scores[None, :], k if diversity == 0 else max(k, CANDIDATES))[0]
    best = best[np.isfinite(scores[best])]
    if diversity == 0 or not len(best):
        return best
    picked: Int64 = best[diversify(scores[best], near(best), diversity, k)]
    return picked


def diversify(scores: Float64, near: Near, diversity: float, k: int) -> Int64:
    """Maximal marginal relevance: each position takes the candidate with the highest (1 - diversity) * relevance - diversity * nearness.

    Relevance is the score's place between the worst candidate (0) and the best (1); nearness is that to the nearest item taken before.
    Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking". Relevance by rank in the place of score was tried: for the same
    diversity it lost more ndcg.

    Args:
        scores: (N,), best first, finite.
        near: position -> (N,) nearness to every candidate.
        diversity: 0 to 1; the first position is the best candidate's at any.
        k: positions.

    Returns:
        (min(k, N),) positions among the candidates, no one twice.
    """
    span = scores[0] - scores[-1]
    gain = (1.0 - diversity) * ((scores - scores[-1]) / span if span > 0 else np.zeros(len(scores)))
    nearest = np.zeros(len(scores))
    picked = np.empty(min(k, len(scores)), np.int64)
    for position in range(len(picked)):
        if position:
            np.maximum(nearest, near(int(picked[position - 1])), out=nearest)
        picked[position] = np.argmax(gain - diversity * nearest)
        gain[picked[position]] = -np.inf
    return picked
