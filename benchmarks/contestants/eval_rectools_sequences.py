"""RecTools on vectors as its sequence models rank them: `recommend(filter_viewed=True)` by TorchRanker, as in SASRec, then `calc_metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rectools.dataset import Dataset
from rectools.models.rank import Distance, TorchRanker

from benchmarks.contestants import eval_rectools
from benchmarks.contestants.eval_task import Evaluation, Task

VERSION = f"{eval_rectools.LIBRARY}, as SASRec"


class SequenceVectors(eval_rectools.FixedVectors):
    """Vectors that are ranked as those of a sequence model."""

    def _recommend_u2i(self, user_ids: Any, dataset: Dataset, k: int, filter_viewed: bool, sorted_item_ids_to_recommend: Any) -> tuple[Any, Any, Any]:
        seen = dataset.get_user_item_matrix(include_weights=False)[user_ids] if filter_viewed else None
        items = np.arange(len(self.task.items)) if sorted_item_ids_to_recommend is None else sorted_item_ids_to_recommend
        ranker = TorchRanker(Distance.DOT, "cpu", self.task.users, self.task.items)
        found: tuple[Any, Any, Any] = ranker.rank(user_ids, k, seen, items)
        return found


def prepare(task: Task, folder: Path) -> Evaluation:
    """As the other, with another ranker."""
    return eval_rectools.prepare(task, folder, SequenceVectors)
