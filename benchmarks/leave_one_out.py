"""Leave-one-out, full ranking: of each user the last item is the test target, the one before it the validation target, the rest trains.

`masked` takes a user's own history out of the ranking, as S3-Rec, BSARec, TV-Rec and RecTools do; RecBole's sequential models do not. On data
without repeats that alone moves ndcg@10 by a third to a half, so both are always said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from footfall.core import metrics
from footfall.core.sequences import Int32, Int64, Sequences
from footfall.errors import SourceError

Scores = Callable[[Sequences], metrics.Floats]
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


@dataclass(frozen=True)
class Placed:
    """What one policy made of a fold.

    Attributes:
        ranks: (U,) of each user's target, 0 is the best; see `core.metrics.ranks`.
        slates: (U, k) item_index, best first, 0 where a slate is shorter; with k = 0 none were asked for.
    """

    ranks: Int64
    slates: Int64


def place(fold: Fold, parts: Mapping[str, Scores], mixes: Mapping[str, Mapping[str, float]], *, masked: bool, slates: int = 0) -> dict[str, Placed]:
    """Where several weighted sums of parts place each user's target, and what they would show.

    Args:
        fold: whom to rank for.
        parts: name -> scores.
        mixes: name of a policy -> part -> weight.
        masked: take the user's own history out.
        slates: positions to be kept of what each policy would show; a full ranking is sorted for them, which takes longer than ranks do.
    """
    found: dict[str, list[Placed]] = {name: [] for name in mixes}
    for users in _blocks(len(fold.history)):
        history, targets = fold.history.take(users), fold.targets[users]
        scores = {name: part(history) for name, part in parts.items()}
        for name, weights in mixes.items():
            rows = np.asarray(sum((weight * scores[part] for part, weight in weights.items() if weight), np.zeros((), np.float32)))
            ranked = metrics.ranks(rows, targets, history if masked else None)
            found[name].append(Placed(ranked, _slates(rows, history if masked else None, slates)))
    return {name: Placed(*(np.concatenate([getattr(one, what) for one in blocks]) for what in ("ranks", "slates"))) for name, blocks in found.items()}


def _slates(rows: metrics.Floats, seen: Sequences | None, positions: int) -> Int64:
    if not positions:
        return np.empty((len(rows), 0), np.int64)
    if seen is None:
        return metrics.top_k(rows, positions) + 1
    rows, known = rows.copy(), seen.item_index > 0
    rows[seen.owners[known], seen.item_index[known] - 1] = -np.inf
    columns = metrics.top_k(rows, positions)
    return np.where(np.isfinite(np.take_along_axis(rows, columns, axis=1)), columns + 1, 0)


def ranks(fold: Fold, parts: Mapping[str, Scores], mixes: Mapping[str, Mapping[str, float]], *, masked: bool) -> dict[str, Int64]:
    """`place`, the ranks alone."""
    return {name: placed.ranks for name, placed in place(fold, parts, mixes, masked=masked).items()}


def ndcg(found: Int64, cut: int) -> float:
    """Mean ndcg of one target a user, from ranks."""
    (at,) = metrics.at_cutoffs(found, [cut])
    return float(at.ndcg.mean())


def _blocks(users: int) -> Iterator[Int64]:
    for first in range(0, users, _USERS):
        yield np.arange(first, min(first + _USERS, users))
