"""Leave-one-out, full ranking: of each user the last item is the test target, the one before it the validation target, the rest trains.

`masked` takes a user's own history out of the ranking, as S3-Rec, BSARec, TV-Rec and RecTools do; RecBole's sequential models do not. On data
without repeats that alone moves ndcg@10 by a third to a half, so both are always said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.core import metrics
from footfall.core.sequences import Int32, Int64, Sequences
from footfall.errors import SourceError

Float32 = npt.NDArray[np.float32]
Scores = Callable[[Sequences], Float32]
"""Histories -> (U, V) scores."""

_USERS = 512


@dataclass(frozen=True)
class Fold:
    """Histories and what came next.

    Attributes:
        history: of U users.
        targets: (U,) item_index.
    """

    history: Sequences
    targets: Int32


@dataclass(frozen=True)
class LeaveOneOut:
    """The three parts of one file.

    Attributes:
        train: what may be learnt from.
        validation, test: folds of the users that have enough events.
        refit: `train` with the validation targets.
        items: V.
    """

    train: Sequences
    validation: Fold
    test: Fold
    refit: Sequences
    items: int


def split(sequences: Sequences) -> LeaveOneOut:
    """Cut the last two events off.

    Raises:
        SourceError: nobody has three events.
    """
    users = np.flatnonzero(sequences.lengths >= 3)
    if not len(users):
        raise SourceError("nothing to evaluate", where="sequences", expected="a user with three items", found=f"{len(sequences)} users")
    long = sequences.take(users)
    last = long.offsets[1:] - 1
    train, refit = _without(long, 2), _without(long, 1)
    items = int(sequences.item_index.max())
    return LeaveOneOut(train, Fold(train, long.item_index[last - 1]), Fold(refit, long.item_index[last]), refit, items)


def _without(sequences: Sequences, newest: int) -> Sequences:
    """Each user's events but the `newest` ones."""
    position = np.arange(len(sequences.item_index)) - np.repeat(sequences.offsets[:-1], sequences.lengths)
    return sequences.keep(position < np.repeat(sequences.lengths - newest, sequences.lengths))


def ranks(fold: Fold, parts: Mapping[str, Scores], mixes: Mapping[str, Mapping[str, float]], *, masked: bool) -> dict[str, Int64]:
    """(U,) rank of each user's target, 0 is the best, under several weighted sums of parts; see `core.metrics.ranks`.

    Args:
        fold: whom to rank for.
        parts: name -> scores.
        mixes: name of a policy -> part -> weight.
        masked: take the user's own history out.
    """
    found: dict[str, list[Int64]] = {name: [] for name in mixes}
    for users in _blocks(len(fold.history)):
        history, targets = fold.history.take(users), fold.targets[users]
        scores = {name: part(history) for name, part in parts.items()}
        for name, weights in mixes.items():
            rows = sum((weight * scores[part] for part, weight in weights.items() if weight), np.zeros((), np.float32))
            found[name].append(metrics.ranks(np.asarray(rows, np.float32), targets, history if masked else None))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def ndcg(found: Int64, cut: int) -> float:
    """Mean ndcg of one target a user, from ranks."""
    (at,) = metrics.at_cutoffs(found, [cut])
    return float(at.ndcg.mean())


def _blocks(users: int) -> Iterator[Int64]:
    for first in range(0, users, _USERS):
        yield np.arange(first, min(first + _USERS, users))
