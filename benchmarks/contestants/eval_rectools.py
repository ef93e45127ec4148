"""RecTools on vectors: `recommend(filter_viewed=True)` of a vector model, as its ALS, PureSVD, LightFM and DSSM have it, then `calc_metrics`.

`VectorModel` is what its users subclass for vectors of their own; no encoder runs, so the time is that of ranking and metrics alone.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset, IdMap, Interactions
from rectools.metrics import MRR, NDCG, HitRate, Recall, calc_metrics
from rectools.models.rank import Distance
from rectools.models.vector import Factors, VectorModel

from benchmarks.contestants.eval_task import CUTOFFS, Evaluation, Task

LIBRARY = f"RecTools {version('rectools')}"
VERSION = f"{LIBRARY}, as ALS"


class FixedVectors(VectorModel):  # type: ignore[misc]
    """A vector model that is given its vectors."""

    u2i_dist = Distance.DOT
    i2i_dist = Distance.DOT

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.recommend_n_threads = 0  # all cores
        self.recommend_use_gpu_ranking = False
        self.task = task

    def _fit(self, dataset: Dataset) -> None:
        pass

    def _get_users_factors(self, _dataset: Dataset) -> Factors:
        return Factors(self.task.users)

    def _get_items_factors(self, _dataset: Dataset) -> Factors:
        return Factors(self.task.items)


def prepare(task: Task, _folder: Path, model_of: type[FixedVectors] = FixedVectors) -> Evaluation:
    """A dataset of the histories, a frame of the targets, a model of the vectors."""
    users = np.arange(len(task.targets))
    dataset = Dataset(IdMap(users), IdMap(np.arange(1, len(task.items) + 1)), Interactions(_interactions(task.owners, task.history - 1)))
    targets = _interactions(users, task.targets)
    model = model_of(task).fit(dataset)
    metrics: dict[str, Any] = {}
    for k in CUTOFFS:
        metrics |= {f"recall@{k}": Recall(k), f"ndcg@{k}": NDCG(k, divide_by_achievable=True), f"mrr@{k}": MRR(k), f"hit_rate@{k}": HitRate(k)}

    def evaluate() -> dict[str, float]:
        slates = model.recommend(users, dataset, k=max(CUTOFFS), filter_viewed=True)
        return {name: float(value) for name, value in calc_metrics(metrics, slates, interactions=targets).items()}

    return evaluate


def _interactions(users: Any, items: Any) -> pd.DataFrame:
    return pd.DataFrame({Columns.User: users, Columns.Item: items, Columns.Weight: 1.0, Columns.Datetime: pd.Timestamp("2020-01-01")})
