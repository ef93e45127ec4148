"""Whether the chance of a purchase comes true: section `purchase_chance` of reports/metrics.json.

Asked at the first moment of the test window of users with a history, of the lines that a slate can show; what counts is a purchase within seven days.
Most lines are never bought, so every figure stands beside that of the base rate: one chance for all of these lines, and the best such one, for it is
the share of them that was bought. Computes; stage `evaluate` reads and writes. Users who refuse to be analysed are not among them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from footfall.arrays.windows import Split
from footfall.core import chances
from footfall.core.bootstrap import interval
from footfall.core.classification import auc, calibration, equal_parts, log_losses
from footfall.core.metrics import Bools, Float64, top_k
from footfall.core.sequences import DAY_US, Int64, Sequences
from footfall.params import Evaluate
from footfall.recommender import Recommender

MOST_USERS = 1200
"""Users who are asked about, evenly spaced among all: 120,000 lines, in a second or two."""
_USERS_A_CHUNK = 256


def chance_figures(recommender: Recommender, analysed: Sequences, split: Split, params: Evaluate) -> dict[str, Any]:
    """Calibration, log loss and AUC of all lines and of each user's first k.

    Args:
        recommender: the opened bundle.
        analysed: all events of the users who may be counted.
        split: where the test window lies.
        params: k, and resamples.
    """
    learnt, at = recommender.bundle.chances, split.test_start
    if learnt is None:
        return {"reason": "the bundle was made without chances: validation could not tell"}
    if at + chances.DAYS * DAY_US > split.as_of:
        return {"reason": f"the test window is shorter than {chances.DAYS} days"}
    users = chances.evenly(np.flatnonzero(analysed.before(at).lengths), MOST_USERS)
    said, bought = _lines(recommender, analysed, users, at)
    if not len(said):
        return {"reason": "nobody has a history before the test window"}
    of = f"the {said.shape[1]} best items of users with a history, of the fused policy"
    facts = {"days": chances.DAYS, "lines_are": of, "users": len(said), "base_rate_of_validation": learnt.bought}
    first = slice(params.k)
    return facts | {
        "all": _figures(said, bought, params),
        f"first_{params.k}": _figures(said[:, first], bought[:, first], params),
    }


def _lines(recommender: Recommender, analysed: Sequences, users: Int64, at: int) -> tuple[Float64, Bools]:
    """(A, D) what is said of the best items of those users who can be scored, and whether they were bought."""
    said, bought = [np.zeros((0, 1))], [np.zeros((0, 1), np.bool_)]
    for first in range(0, len(users), _USERS_A_CHUNK):
        some = users[first : first + _USERS_A_CHUNK]
        histories = analysed.take(some)
        rows = recommender.scores(histories, at)
        columns = top_k(rows, chances.DEPTH)
        found = recommender.purchase_chance(histories, at, rows, columns)
        if found is None:
            break
        known = np.isfinite(found).all(axis=1)
        said.append(found[known])
        bought.append(chances.bought_within(analysed, some, at, columns)[known])
    width = said[-1].shape[1]
    return np.concatenate([one for one in said if one.shape[1] == width]), np.concatenate([one for one in bought if one.shape[1] == width])


def _figures(said: Float64, bought: Bools, params: Evaluate) -> dict[str, Any]:
    """Of (U, D) lines."""
    flat, came = said.ravel(), bought.ravel()
    base_rate = float(came.mean())
    losses, plain = (
        log_losses(came, np.column_stack([1 - one, one])).reshape(said.shape).mean(axis=1) for one in (flat, np.full(len(flat), base_rate))
    )
    saved = interval(plain - losses, params.bootstrap, params.seed)
    return {
        "lines": len(flat),
        "base_rate": base_rate,
        "said": float(flat.mean()),
        "auc": auc(came, flat),
        "log_loss": float(losses.mean()),
        "log_loss_of_base_rate": float(plain.mean()),
        "log_loss_saved": {"mean": saved.mean, "interval": [saved.low, saved.high]},
        "brier": float(((flat - came) ** 2).mean()),
        "brier_of_base_rate": float(((base_rate - came) ** 2).mean()),
        "calibration": calibration(came.astype(np.float64), flat),
        "calibration_in_equal_parts": equal_parts(came.astype(np.float64), flat),
    }
