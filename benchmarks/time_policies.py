"""The policies of the time split, each fitted before its cut: the shop's own model and fused policy, by params.yaml, and all baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.event_table import Cut
from benchmarks.moments import Asked, blocks, figures, slates, without_seen
from footfall.core.baselines import TIE_BREAK, fit_item_to_item, popularity
from footfall.core.closed_form import Linear
from footfall.core.factored import Factored
from footfall.core.fusion import COMPONENTS, HABITS, ITEM_TO_ITEM, PERSONAL, Grid, choose_fused, fuse, join, pool
from footfall.core.linear_baselines import Labels, fit_linear
from footfall.core.metrics import Floats
from footfall.core.parts import PartReader
from footfall.core.sequences import Int64, Sequences
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from footfall.params import Params
from footfall.stages.habits import fit_habits

MODEL, FUSED, FUSED_WITHOUT_MODEL = "transformer", "fused", "fused_without_transformer"
BASELINES = ("popularity_7d", "popularity_28d", "personal_frequency", "item_to_item", "item_knn_recency", "ease_recency")
EVENTS_SEEN, PATIENCE = 2_500_000, 2
"""Events that training reads at most, in whole epochs from 2 to 16; epochs without a better validation after which it stops."""


@dataclass(frozen=True)
class Shop:
    """Everything that was learnt before the cut.

    Attributes:
        reader: the parts of the fused policies, at the chosen temperature.
        weights: of the fused policies.
        linear: EASE and item-kNN with recency.
        popular: "popularity_7d" and "popularity_28d" -> (V,) events before the cut of the test.
        counts: (V,) events before the training cut.
        chosen: what validation chose, JSON-ready.
    """

    reader: PartReader
    weights: Mapping[str, Mapping[str, float]]
    linear: Mapping[str, Linear | Factored]
    popular: Mapping[str, Int64]
    counts: Int64
    chosen: dict[str, Any]

    def policies(self, history: Sequences, at: Int64) -> dict[str, Floats]:
        """(U, V) scores of every policy; what is popular orders what is otherwise equal."""
        parts = self.reader.read(history, at, COMPONENTS).scores
        last = TIE_BREAK * self.popular["popularity_28d"] / max(float(self.popular["popularity_28d"].max()), 1.0)
        found: dict[str, Floats] = {name: np.tile(row, (len(history), 1)).astype(np.float64) for name, row in self.popular.items()}
        found |= {"personal_frequency": parts[PERSONAL] + last, "item_to_item": parts[ITEM_TO_ITEM] + last, MODEL: parts["model"]}
        found |= {} if self.reader.habits is None else {HABITS: parts[HABITS] + last}
        found |= {name: linear.scores(history) + last for name, linear in self.linear.items()}
        return found | {name: fuse(dict(parts), weights) + last for name, weights in self.weights.items()}


def fit(sequences: Sequences, items: int, cut: Cut, validation: Asked, params: Params, *, epochs: int | None, masked: bool) -> Shop:
    """Learn everything from what lies before the validation cut, and choose on validation.

    Args:
        sequences: of everybody, whole.
        items: V.
        cut: in time.
        validation: moments between the cuts.
        params: the shop's own.
        epochs: of training; None: by the number of events.
        masked: rank without what is in the history.
    """
    learnt = sequences.before(cut.validation)
    scorer, by_epoch = _train(learnt, items, validation, params, epochs, masked=masked)
    neighbours = fit_item_to_item(learnt, items, params.baselines.neighbours)
    alone = np.repeat(np.arange(items, dtype=np.int32)[:, None], 2, axis=1)  # the table has no categories: each item is a group of its own
    read = params.baselines.history_events
    habits = None if masked else fit_habits(learnt, cut.validation, alone, params.habits, read)
    reader = PartReader(scorer, neighbours, params.baselines.half_life_days, read, temperature=1.0, habits=habits)
    popular = {f"popularity_{days}d": popularity(sequences, items, cut.test, days).astype(np.int64) for days in (7, 28)}
    chosen = _choose(reader, validation, params, masked=masked)
    labels = Labels(validation.history(np.arange(len(validation))), validation.offsets, validation.targets)
    asked = params.evaluate
    linear = fit_linear(
        learnt,
        items,
        labels,
        popularity(sequences, items, cut.validation, 28),
        regularisation=asked.regularisation,
        decays=asked.decays,
        cells=asked.linear_cells,
        seed=asked.seed,
        k=asked.k,
    )
    said = {name: {"weights": choice.weights, "temperature": choice.temperature} for name, choice in chosen.items()}
    return Shop(
        dataclasses.replace(reader, temperature=chosen[FUSED].temperature),
        {name: choice.weights for name, choice in chosen.items()},
        linear,
        popular,
        np.bincount(learnt.item_index, minlength=items + 1)[1:],
        {**said, "decays": {name: one.decay for name, one in linear.items()}, "transformer_validation_ndcg@10_by_epoch": by_epoch},
    )


def _train(learnt: Sequences, items: int, validation: Asked, params: Params, epochs: int | None, *, masked: bool) -> tuple[Scorer, list[float]]:
    """The epoch with the best ndcg@10 on validation."""
    config = SequenceConfig.of(params.model, items)
    planned = epochs or int(np.clip(round(EVENTS_SEEN / max(len(learnt.item_index), 1)), 2, 16))

    def on_epoch(network: SequenceModel) -> float:
        scorer = Scorer.of(network)
        found = slates(validation, lambda history, _: {MODEL: scorer.scores(history)}, masked=masked)
        return float(figures(found[MODEL], validation)["ndcg@10"].mean())

    settings = dataclasses.replace(params.train, epochs=planned, patience=PATIENCE)
    trained = train(learnt, np.iinfo(np.int64).max, config, settings, on_epoch=on_epoch)
    return Scorer.of(trained.model), [round(figure, 4) for figure in trained.figures]


def _choose(reader: PartReader, validation: Asked, params: Params, *, masked: bool) -> dict[str, Any]:
    """Weights and temperature of both fused policies."""
    pools = []
    for moments in blocks(validation):
        history = validation.history(moments)
        parts = reader.read(history, validation.at[moments], COMPONENTS).scores
        pools.append(pool({name: without_seen(rows, history).astype(np.float64) if masked else rows for name, rows in parts.items()}))
    weights = params.fusion
    grid = Grid(weights.model_weights, weights.item_to_item_weights, weights.temperatures, reader.memories)
    chosen = choose_fused(join(pools), validation.offsets, validation.targets, grid, params.evaluate.k)
    return dict(zip((FUSED, FUSED_WITHOUT_MODEL), chosen, strict=True))
