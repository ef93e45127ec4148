"""Whether explanations are true: section `explanations` of reports/metrics.json.

Every line of some users' slates is explained, and then put to the test by deletion: without the cited events the item's fused score, as it is served,
must fall more than without as many other events of the same history, drawn at random (deletion as in Samek et al. 2017, "Evaluating the
visualization of what a deep neural network has learned"). Lines without a citation are counted, and not judged. Computes; stage `evaluate` reads
and writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from footfall.core.bootstrap import interval
from footfall.core.chances import evenly
from footfall.core.explanations import without
from footfall.core.metrics import Bools, top_k
from footfall.core.sequences import Int64, Sequences
from footfall.params import Evaluate
from footfall.recommender import FUSED, Recommender

MOST_USERS = 40
"""Users whose slates are explained, evenly spaced among all: 400 lines, in a few seconds."""
_FEWEST = 2  # events of a history of which one can be cited and another left out


def explanation_figures(recommender: Recommender, analysed: Sequences, at: int, params: Evaluate, asked: float) -> dict[str, Any]:
    """The share of explanations that pass, with its interval over users.

    Args:
        recommender: the opened bundle.
        analysed: all events of the users who may be counted.
        at: first moment of the test window, microseconds.
        params: k lines a slate, resamples and seed.
        asked: share that must pass; the release gate refuses by it.
    """
    history, draw = analysed.before(at), np.random.default_rng(params.seed)
    users = evenly(np.flatnonzero(history.lengths >= _FEWEST), MOST_USERS)
    passes, lines, events = [], 0, list[int]()
    for user in users:
        own = history.take(np.array([user])).last(recommender.history_events)
        columns = top_k(recommender.scores(own, at), params.k)[0]
        cited = [[one.place for one in line.events] for line in recommender.explain(own, at, columns)]
        lines += len(columns)
        events += [len(places) for places in cited if places]
        if len(judged := _judge(recommender, own, at, columns, cited, draw)):
            passes.append(float(judged.mean()))
    facts = {"users": len(users), "lines": lines, "cited": len(events) / max(lines, 1), "asked": asked, "policy": FUSED}
    if not passes:
        return facts | {"reason": "no line has an event that carried it and others beside"}
    found = interval(np.array(passes), params.bootstrap, params.seed)
    return facts | {"events_a_line": float(np.mean(events)), "share": found.mean, "interval": [found.low, found.high], "judged_users": len(passes)}


def _judge(recommender: Recommender, own: Sequences, at: int, columns: Int64, cited: list[list[int]], draw: np.random.Generator) -> Bools:
    """Of each line that has a citation and as many other events: whether it passes."""
    events = np.arange(len(own.item_index))
    judged = [number for number, places in enumerate(cited) if 0 < len(places) <= len(events) - len(places)]
    if not judged:
        return np.zeros(0, np.bool_)
    others = [draw.choice(np.setdiff1d(events, cited[number]), len(cited[number]), replace=False).tolist() for number in judged]
    left = recommender.scores(without(own, [*(cited[number] for number in judged), *others]), at)[:, columns[judged]]
    line = np.arange(len(judged))
    return np.asarray(left[line, line] < left[len(judged) + line, line])
