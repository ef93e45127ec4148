"""One more event of a user whose history has been read, against reading the whole history anew: one thread, in turns, `core.streaming`."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.race import Row
from footfall.core.streaming import StreamingModel, one_of
from footfall.recommender import History, Recommender

EVENTS = (50, 200, 1000)
_USERS, _ROUNDS = 40, 7
_HOUR_US = 3_600_000_000


def reading_on(bundle: Path) -> list[Row]:
    """A row a length, .3 asked for at the first; and how far the scores of both are apart at most."""
    ranker = Recommender.open(bundle, streaming=True)
    model = StreamingModel(ranker.bundle.config, ranker.bundle.weights)
    timed = [_row(ranker, model, events, target=0.3 if events == EVENTS[0] else None) for events in EVENTS]
    apart = {str(events): apart for events, (_, apart) in zip(EVENTS, timed, strict=True)}
    what = "one more event, read on and read anew: scores apart"
    return [*(row for row, _ in timed), Row(what, "at most", max(apart.values()), target=1e-5, at_least=False, notes=apart)]


def _row(ranker: Recommender, model: StreamingModel, events: int, *, target: float | None) -> tuple[Row, float]:
    random, items = np.random.default_rng(11), np.array(ranker.vocabulary.item_ids)
    moments = [(np.arange(events) * _HOUR_US).tolist()] * _USERS
    histories = [History(random.choice(items, events).tolist(), ["view"] * events, at) for at in moments]
    encoded = ranker.encode(histories)
    whole, newest = ([one_of(encoded, user, first) for user in range(_USERS)] for first in (0, events - 1))
    begun = [model.read(one.last(events).before(int(one.occurred_at[-1]))) for one in whole]
    anew, on = [], []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        read = [model.read(one) for one in whole]
        between = time.perf_counter()
        read_on = [model.read(one, before) for one, before in zip(newest, begun, strict=True)]
        on.append((time.perf_counter() - between) / _USERS * 1e3)
        anew.append((between - began) / _USERS * 1e3)
    apart = max(float(np.abs(model.scores(one) - model.scores(other)).max()) for one, other in zip(read, read_on, strict=True))
    what = f"one more event of a history of {events}"
    return Row(what, "ms", median(on), median(anew), "read anew", target, at_least=False, notes={"anew": anew, "on": on}), apart
