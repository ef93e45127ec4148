"""EASE and item-kNN, read with recency, as policies beside the model. How fast a history fades is chosen on validation, as fusion weights are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footfall.core.baselines import TIE_BREAK
from footfall.core.closed_form import Linear
from footfall.core.factored import Factored, fit_within
from footfall.core.metrics import Float64, top_k, user_metrics
from footfall.core.sequences import Int32, Int64, Sequences

_USERS = 256


@dataclass(frozen=True)
class Labels:
    """Histories of U users, and flat targets of what came next."""

    history: Sequences
    offsets: Int64
    targets: Int32

    def take(self, users: int) -> Labels:
        """The first users."""
        return Labels(
            self.history.take(np.arange(min(users, len(self.history)))), self.offsets[: users + 1], self.targets[: self.offsets[: users + 1][-1]]
        )


def fit_linear(
    history: Sequences,
    items: int,
    validation: Labels,
    after: Float64,
    *,
    regularisation: float,
    decays: Sequence[float],
    cells: int,
    seed: int,
    k: int,
) -> dict[str, Linear | Factored]:
    """Both as "ease_recency" and "item_knn_recency", each with the decay that ranks best on validation; nothing where the shop is too large.

    Args:
        history: all users' events, of what may be learnt from.
        items: V.
        validation: on which the decay is chosen.
        after: (V,) popularity, which orders what is otherwise equal.
        regularisation: of EASE.
        decays: weights of a moment relative to the next newer one, to choose from; the earlier wins a tie.
        cells, seed: see `factored.fit_within`.
        k: cut-off of the ndcg that is chosen by.
    """
    fitted = fit_within(history, items, regularisation, decays[0], cells, seed)

    def ndcg(linear: Linear | Factored) -> float:
        return float(user_metrics(slates_of(linear, validation.history, after, k), validation.offsets, validation.targets, k).ndcg.mean())

    return {f"{name}_recency": max((dataclasses.replace(linear, decay=decay) for decay in decays), key=ndcg) for name, linear in fitted.items()}


def slates_of(linear: Linear | Factored, history: Sequences, after: Float64, k: int) -> Int64:
    """(U, k) item_index, best first; what is popular comes after what the policy knows."""
    last = TIE_BREAK * after / max(float(after.max(initial=0)), 1.0)
    blocks = (np.arange(first, min(first + _USERS, len(history))) for first in range(0, len(history), _USERS))
    return np.concatenate([top_k(linear.scores(history.take(users)) + last, k) + 1 for users in blocks])
