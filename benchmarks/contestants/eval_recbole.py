"""RecBole on vectors: `Trainer.evaluate`, full sort, of its BPR with the weights put in.

Its general models mask histories; its sequential ones cannot.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import BPR
from recbole.trainer import Trainer

from benchmarks.contestants.eval_task import CUTOFFS, DIM, Evaluation, Task

VERSION = f"RecBole {version('recbole')}"
_USERS = 256
"""Users a step. RecBole's own 4,096 means scores here, which is one user a step."""
_THEIRS = {"recall": "recall", "ndcg": "ndcg", "mrr": "mrr", "hit_rate": "hit"}
_SETTINGS: dict[str, Any] = {
    "use_gpu": False,
    "gpu_id": "",
    "state": "WARNING",
    "show_progress": False,
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "embedding_size": DIM,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "metrics": ["Recall", "NDCG", "MRR", "Hit"],
    "topk": list(CUTOFFS),
    "valid_metric": "NDCG@10",
    "metric_decimal_place": 15,
}


def prepare(task: Task, folder: Path) -> Evaluation:
    """Its own file of events below `folder`, its own loaders, its own model."""
    _write_events(task, folder / "race" / "race.inter")
    os.chdir(folder)  # it writes logs where it stands
    config = Config(
        model="BPR", dataset="race", config_dict={**_SETTINGS, "data_path": str(folder), "eval_batch_size": _USERS * (len(task.items) + 1)}
    )
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = BPR(config, train.dataset)
    _put(model.user_embedding, dataset.token2id("user_id", [str(user) for user in range(len(task.users))]), task.users)
    _put(model.item_embedding, dataset.token2id("item_id", [str(item) for item in range(1, len(task.items) + 1)]), task.items)
    trainer = Trainer(config, model)

    def evaluate() -> dict[str, float]:
        found = trainer.evaluate(test, load_best_model=False)
        return {f"{ours}@{k}": float(found[f"{theirs}@{k}"]) for k in CUTOFFS for ours, theirs in _THEIRS.items()}

    return evaluate


def _put(embedding: Any, rows: Any, vectors: Any) -> None:
    embedding.weight.data.numpy()[np.asarray(rows)] = vectors


def _write_events(task: Task, path: Path) -> None:
    """User, item and position, the target last."""
    path.parent.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user, target in enumerate(task.targets):
        items = [*task.history[task.offsets[user] : task.offsets[user + 1]].tolist(), target]
        lines += [f"{user}\t{item}\t{position}" for position, item in enumerate(items)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
