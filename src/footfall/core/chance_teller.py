"""From item ids to chances of a purchase and back: on the lines of slates, and beside the scores of items that were asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from footfall.core.chances import ChanceModel
from footfall.core.metrics import Float64
from footfall.core.parts import knows_anything
from footfall.core.sequences import Int64, Sequences
from footfall.core.slates import Slate
from footfall.core.vocabulary import Vocabulary


@dataclass(frozen=True)
class Scored:
    """How the items that were asked for stand with a user.

    Attributes:
        scores: in the order of asking; None for an item that the release does not know.
        degraded: as in `Slate`.
        chances: that the user buys each within seven days; None where that cannot be told, and empty where of none it can.
    """

    scores: list[float | None]
    degraded: str | None
    chances: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class ChanceTeller:
    """What one release needs to say how likely a purchase is.

    Everywhere `sequences` are U histories, `at` is the moment of asking (microseconds; one for all or (U,) one a user), and `rows` are the (U, V)
    fused scores of the same, before anything is taken out or moved.

    Attributes:
        model: the fitted chance; None where the bundle was made without chances.
        vocabulary: V items.
        history_events: newest events of a history that are read.
    """

    model: ChanceModel | None
    vocabulary: Vocabulary
    history_events: int

    def of_columns(self, sequences: Sequences, at: int | Int64, rows: Float64, columns: Int64) -> Float64 | None:
        """(U, K) chances of the items of `columns` (U, K; item_index - 1), as `ChanceModel.of_users` tells them; None without a model."""
        if self.model is None:
            return None
        history = sequences.before(at).last(self.history_events)
        return self.model.of_users(history, at, rows, columns, knows_anything(history))

    def of_items(self, sequences: Sequences, at: int | Int64, rows: Float64, item_ids: Sequence[Sequence[str]]) -> list[list[float | None]]:
        """Chances of the items of each user, in their order; None where it cannot be told, and for an item that the release does not know."""
        index = np.zeros((len(item_ids), max(map(len, item_ids), default=0)), np.int64)
        for user, wanted in enumerate(item_ids):
            index[user, : len(wanted)] = self.vocabulary.encode(list(wanted))
        chances = self.of_columns(sequences, at, rows, np.maximum(index - 1, 0))
        told = np.full(index.shape, np.nan) if chances is None else np.where(index > 0, chances, np.nan)
        return [
            [chance if math.isfinite(chance) else None for chance in row[: len(wanted)]] for row, wanted in zip(told.tolist(), item_ids, strict=True)
        ]

    def on_slates(self, slates: Sequence[Slate], sequences: Sequences, at: int | Int64, rows: Float64) -> list[Slate]:
        """The same slates, one a user, with each item's chance to be bought."""
        told = self.of_items(sequences, at, rows, [[line.item_id for line in slate.items] for slate in slates])
        return [
            replace(slate, items=[line._replace(probability=chance) for line, chance in zip(slate.items, row, strict=True)])
            for slate, row in zip(slates, told, strict=True)
        ]
