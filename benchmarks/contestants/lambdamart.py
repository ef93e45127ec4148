"""`python lambdamart.py TASK OUT THREADS`: LightGBM's LambdaMART on pairs that somebody else described.

Needs LightGBM and numpy alone. TASK (npz) holds `figures`, `hit` and `sizes` (pairs a list) of train_, validation_ and, without hits, test_. The
numbers of leaves and of trees are chosen by ndcg@10 on validation. OUT (npz) gets a score for every pair of test_ and what was chosen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lightgbm
import numpy as np

LEAVES = (15, 63)
_MOST_TREES, _PATIENCE = 300, 30
_SETTINGS = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.08,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 7,
    "verbose": -1,
}


def main() -> int:
    """Train with each number of leaves, keep the better one, score."""
    task, out, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    given = np.load(task, allow_pickle=False)
    tried = []
    for leaves in LEAVES:
        train, check = (
            lightgbm.Dataset(given[f"{name}_figures"], given[f"{name}_hit"].astype(int), group=given[f"{name}_sizes"])
            for name in ("train", "validation")
        )
        settings = _SETTINGS | {"num_leaves": leaves, "num_threads": threads}
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        model = lightgbm.train(settings, train, _MOST_TREES, valid_sets=[check], callbacks=[stop])
        tried.append((float(model.best_score["valid_0"]["ndcg@10"]), leaves, model))
    _, leaves, model = max(tried, key=lambda one: one[0])
    chosen = {"leaves": leaves, "trees": model.best_iteration, "version": lightgbm.__version__}
    np.savez(out, scores=model.predict(given["test_figures"]), chosen=np.array(json.dumps(chosen)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
