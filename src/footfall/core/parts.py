"""The parts of which every policy is made, from one user's history or from many: the model, habits, personal frequency and item-to-item."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from footfall.core.baselines import ItemToItem, personal_frequency
from footfall.core.fusion import HABITS, ITEM_TO_ITEM, MODEL, PERSONAL, odds_of_best, share_of_best
from footfall.core.habits import Habits
from footfall.core.metrics import Bools, Float64
from footfall.core.sequences import Int64, Sequences

NO_HISTORY = "no_history"
SCORES_NOT_FINITE = "scores_not_finite"


class Scorer(Protocol):
    """What is needed of a sequence model."""

    def scores(self, sequences: Sequences) -> npt.NDArray[np.float32]:
        """(U, V) logits; column j is item_index j + 1."""
        ...


@runtime_checkable
class RememberingScorer(Protocol):
    """A scorer that keeps something of the histories that it has read."""

    def forget(self) -> None:
        """Keep nothing of anybody any more."""
        ...


@runtime_checkable
class VariantScorer(Protocol):
    """A scorer that reads the variants of a history quicker than as many histories."""

    def scores_of_variants(self, history: Sequences, variants: Sequences) -> npt.NDArray[np.float32]:
        """(U, V) logits as `scores` of the variants, which differ in a few events from the one user's history."""
        ...


@dataclass(frozen=True)
class Parts:
    """Scores of U users by part.

    Attributes:
        scores: part -> (U, V): the model, habits and item-to-item in 0..1 within each user, personal frequency in decayed purchases.
        degraded: (U,) None, or why this user cannot be scored: no known item or query before the moment, or a model that gives no numbers.
    """

    scores: dict[str, Float64]
    degraded: list[str | None]

    def of(self, user: int) -> Parts:
        """The parts of one user alone."""
        return Parts({name: rows[user : user + 1] for name, rows in self.scores.items()}, self.degraded[user : user + 1])


def knows_anything(history: Sequences) -> Bools:
    """(U,) whether a history has an item or a query that is known."""
    told = history.item_index > 0 if history.query_index is None else (history.item_index > 0) | (history.query_index > 0)
    return np.asarray(history.count(told) > 0)


@dataclass(frozen=True)
class PartReader:
    """Turns histories into parts; the bundle stage chooses weights with it, and the recommender serves with it.

    Attributes:
        scorer: the sequence model.
        item_to_item: its neighbours; their number of rows is the size V of the vocabulary.
        half_life_days: of a purchase in personal frequency.
        history_events: newest events of a history that are read.
        temperature: of the model's logits.
        habits: None where nothing was learnt of them; personal frequency then stands in.
    """

    scorer: Scorer
    item_to_item: ItemToItem
    half_life_days: float
    history_events: int
    temperature: float
    habits: Habits | None = None

    @property
    def memories(self) -> tuple[str, ...]:
        """Parts that can stand for what a user bought before, the simplest first."""
        return (PERSONAL,) if self.habits is None else (PERSONAL, HABITS)

    def read(self, sequences: Sequences, at: int | Int64, needed: Collection[str], variants_of: Sequences | None = None) -> Parts:
        """The needed parts, from what happened before `at` (microseconds; one for all or (U,) one a user).

        `variants_of` is one user's history from which all differ in a few events: it changes no number, only how soon they are there.
        """
        history = sequences.before(at).last(self.history_events)
        degraded: list[str | None] = [None if known else NO_HISTORY for known in knows_anything(history)]
        scores: dict[str, Float64] = {}
        if MODEL in needed:
            logits = self._logits(history, variants_of)
            finite: Bools = np.asarray(np.isfinite(logits).all(axis=1))
            for user in np.flatnonzero(~finite):
                degraded[user] = degraded[user] or SCORES_NOT_FINITE
            scores[MODEL] = odds_of_best(logits if finite.all() else np.where(finite[:, None], logits, 0), self.temperature)
        if HABITS in needed and self.habits is not None:
            scores[HABITS] = self.habits.scores(history)
        if {PERSONAL, ITEM_TO_ITEM, HABITS} - scores.keys() & set(needed):
            frequency = personal_frequency(history, len(self.item_to_item.neighbours), self.half_life_days)
            if ITEM_TO_ITEM in needed:
                scores[ITEM_TO_ITEM] = share_of_best(self.item_to_item.scores(frequency))
            if PERSONAL in needed:
                scores[PERSONAL] = frequency
            if HABITS in needed and self.habits is None:
                scores[HABITS] = share_of_best(frequency)
        return Parts(scores, degraded)

    def _logits(self, history: Sequences, variants_of: Sequences | None) -> npt.NDArray[np.float32]:
        if variants_of is None or not isinstance(self.scorer, VariantScorer):
            return self.scorer.scores(history)
        return self.scorer.scores_of_variants(variants_of, history)
