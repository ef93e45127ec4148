"""What stage `train` stops by: how the model alone ranks the whole vocabulary for the validation labels, from the histories before them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from footfall.arrays.windows import Targets
from footfall.core.metrics import top_k, user_metrics
from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.parallel import Processes
from footfall.model.pretrained import SequenceModel
from footfall.model.scorer import Scorer

K = 10
FIGURE = f"ndcg@{K}"
_USERS_A_CHUNK = 256


class Validation:
    """Judges a model by ndcg@10; the users are dealt to the processes, and all learn the mean.

    Args:
        sequences: whole histories.
        targets: the validation labels.
        at: first moment of the labels, microseconds: what is read lies before it.
        processes: who judges together.

    Raises:
        SourceError: there are no labels.
    """

    def __init__(self, sequences: Sequences, targets: Targets, at: int, processes: Processes) -> None:
        if not len(targets):
            raise SourceError(
                "nobody bought anything in the validation window",
                where="targets_validation.parquet",
                next_step="set train.patience to 0 in params.yaml, or ingest more events",
            )
        self._history = sequences.take(targets.users).before(at)
        self._targets, self._processes = targets, processes

    def __call__(self, model: SequenceModel) -> float:
        """Mean ndcg@10 over the users with labels."""
        scorer, found = Scorer.of(model), 0.0
        for users in self._chunks():
            slates = top_k(scorer.scores(self._history.take(users)), K) + 1
            bounds = self._targets.offsets[users[0] : users[-1] + 2]
            items = self._targets.item_index[bounds[0] : bounds[-1]]
            found += float(user_metrics(slates, bounds - bounds[0], items, K).ndcg.sum())
        return self._processes.total([found])[0] / len(self._targets)

    def _chunks(self) -> Iterator[np.ndarray]:
        """This process's users, neighbours in a chunk."""
        everyone = np.arange(len(self._targets))
        yield from np.array_split(everyone, -(-len(everyone) // _USERS_A_CHUNK))[self._processes.rank :: self._processes.count]
