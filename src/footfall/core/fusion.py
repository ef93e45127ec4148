"""The fused policy: a weighted sum of parts of each user's scores.

What a user bought before is remembered by habits (`core.habits`) or, where those bring nothing, by personal frequency. That memory has weight 1 and
the other none. Habits, the model and item-to-item are in 0..1 within the user: a weight says what the best item of another part is worth beside
the likeliest own item. Personal frequency stays what it is, decayed purchases: a long history outweighs the other parts and a short one does not.
No part looks at another user or at the clock: a request and a batch agree. Weights are chosen on validation labels alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from footfall.core.metrics import Float64, Floats, top_k, user_metrics
from footfall.core.sequences import Int32, Int64

MODEL = "model"
PERSONAL = "personal_frequency"
ITEM_TO_ITEM = "item_to_item"
HABITS = "habits"
COMPONENTS = (MODEL, PERSONAL, ITEM_TO_ITEM, HABITS)
"""Names of the parts, in the order in which they are added."""

POOL = 50
"""Best items of each part that compete while weights are chosen."""


def share_of_best(scores: Float64) -> Float64:
    """(U, V) non-negative scores divided by the user's best; a user with none stays 0."""
    best = scores.max(axis=1, keepdims=True)
    shares: Float64 = scores / np.where(best > 0, best, 1.0)
    return shares


def odds_of_best(logits: Floats, temperature: float) -> Float64:
    """(U, V) exp((logit - best logit) / temperature): 1 for the user's likeliest item; a higher temperature keeps more of the others."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    wide /= temperature
    odds: Float64 = np.exp(wide, out=wide)
    return odds


def fuse(parts: Mapping[str, Float64], weights: Mapping[str, float]) -> Float64:
    """Weighted sum of the named parts; a part of weight 0 is not read."""
    used = [name for name in COMPONENTS if weights.get(name, 0.0)]
    if not used:
        raise ValueError("every weight is 0")
    total = parts[used[0]] * weights[used[0]]
    for name in used[1:]:
        total += parts[name] * weights[name]
    return total


@dataclass(frozen=True)
class Pool:
    """What competes for the slates of U users while weights are chosen: each part's best items.

    Attributes:
        items: (U, P) item indices, ascending; 0 where a row has fewer.
        parts: name -> (U, P) scores; -inf where `items` is 0.
    """

    items: Int64
    parts: dict[str, Float64]


def pool(parts: Mapping[str, Float64], size: int = POOL) -> Pool:
    """Keep each part's `size` best items of each user.

    The best slate of a weighted sum could in principle hold an item that is in no part's best fifty; the weights hardly notice,
    and a whole grid costs a second instead of minutes. Figures that are reported rank the whole vocabulary.
    """
    columns = np.sort(np.concatenate([top_k(parts[name], size) for name in parts], axis=1), axis=1)
    repeated = np.zeros(columns.shape, dtype=np.bool_)
    repeated[:, 1:] = columns[:, 1:] == columns[:, :-1]
    kept = {name: np.where(repeated, -np.inf, np.take_along_axis(scores, columns, axis=1)) for name, scores in parts.items()}
    return Pool(np.where(repeated, 0, columns + 1), kept)


def join(pools: Sequence[Pool]) -> Pool:
    """One pool of all users, in order."""
    parts = {name: np.concatenate([part.parts[name] for part in pools]) for name in pools[0].parts}
    return Pool(np.concatenate([part.items for part in pools]), parts)


@dataclass(frozen=True)
class Choice:
    """The weights and the temperature that validation chose, their ndcg there, and how many combinations were tried."""

    weights: dict[str, float]
    temperature: float
    ndcg: float
    tried: int


@dataclass(frozen=True)
class Grid:
    """What validation chooses from; the memory that it takes has weight 1. The simpler memory comes first, and so wins a tie."""

    model: Sequence[float]
    item_to_item: Sequence[float]
    temperatures: Sequence[float]
    memories: Sequence[str] = (PERSONAL,)

    def combinations(self) -> Iterator[tuple[dict[str, float], float]]:
        """Weights and temperature, the smaller weights first; without the model there is nothing to heat."""
        for memory, model_weight in itertools.product(self.memories, self.model):
            remembered = {PERSONAL: 1.0} if memory == PERSONAL else {PERSONAL: 0.0, memory: 1.0}
            for temperature in self.temperatures if model_weight else self.temperatures[:1]:
                for neighbour_weight in self.item_to_item:
                    yield {MODEL: float(model_weight), ITEM_TO_ITEM: float(neighbour_weight), **remembered}, float(temperature)


def choose_weights(candidates: Pool, offsets: Int64, targets: Int32, grid: Grid, k: int) -> Choice:
    """The combination with the best mean ndcg@k on these (validation) targets; the earlier in the grid wins a tie.

    Args:
        candidates: what competes; the model's odds at temperature 1.
        offsets, targets: flat targets of the same users.
        grid: what to try.
        k: cut-off.

    Raises:
        ValueError: the grid is empty.
    """
    taken = candidates.items > 0
    best: Choice | None = None
    tried = 0
    for weights, temperature in grid.combinations():
        parts = candidates.parts
        if weights[MODEL] and temperature != 1.0:
            heated = np.where(taken, np.maximum(parts[MODEL], 0.0) ** (1 / temperature), -np.inf)
            parts = parts | {MODEL: heated}
        order = np.argsort(-fuse(parts, weights), axis=1, kind="stable")[:, :k]
        ndcg = float(user_metrics(np.take_along_axis(candidates.items, order, axis=1), offsets, targets, k).ndcg.mean())
        tried += 1
        if best is None or ndcg > best.ndcg:
            best = Choice(weights, temperature, ndcg, tried)
    if best is None:
        raise ValueError("the grid is empty")
    return replace(best, tried=tried)


def choose_fused(candidates: Pool, offsets: Int64, targets: Int32, grid: Grid, k: int) -> tuple[Choice, Choice]:
    """The weights of the fused policy, and those without the model, as `choose_weights` does.

    Which memory a shop has, personal frequency or habits, is asked once, without the model: in one grid with its weights and temperatures
    a hundred noisy figures would decide it.
    """
    without = choose_weights(candidates, offsets, targets, replace(grid, model=[0.0], temperatures=[1.0]), k)
    memory = next(name for name in grid.memories if without.weights.get(name))
    return choose_weights(candidates, offsets, targets, replace(grid, memories=(memory,)), k), without
