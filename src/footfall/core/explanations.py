"""Which events of a history carried an item onto the slate: by leaving them out, one at a time, and scoring again.

Leave-one-out is exact for every part of the fused score at once (the model, habits, personal frequency, item-to-item), where a gradient speaks of the
model alone, and only of small changes (Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure"). It is cheap
because all histories with an event less go through the parts as one batch, and because few events are tried: of each item its own newest, and the
newest of all. Where no single event is missed, because others of the same item stand in for it, all events of one item are left out together.

Shares are of the score as it stands, with one exception: an item that is its part's best has 1 there and keeps it while nothing overtakes it, so its
lead over the next one counts as well. Every other item is measured as the slate measures it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from footfall.contracts import EVENT_TYPES
from footfall.core.fusion import PERSONAL, fuse
from footfall.core.metrics import Float64
from footfall.core.parts import PartReader
from footfall.core.policies import FUSED, POPULAR, Policies
from footfall.core.sequences import Int64, Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import ContractError

EXPLAINED = 20
"""Items that can be explained at once."""
CITED = 3
"""Events that are named for one item, at most."""
TRIED = 32
"""Events that are left out at least, where there are so many; more where the items' own newest events are more."""
OWN = 3
"""Newest events of each item itself that are always tried."""

_ROWS = 64  # histories scored together
_NOTHING = 1e-9  # what orders ties carries nothing
_BESIDE = 0.1  # an event that carries less than this share of what the strongest does is not worth a word
_FAINTEST = 1e-7  # the next best of a part that has no other item


@dataclass(frozen=True)
class Cited:
    """An event that carried an item.

    Attributes:
        place: of the event in the history that was explained, from 0.
        share: of the item's score that is lost when this event alone is left out, above 0 to 1; or where no single event is missed, of what is lost
            without all events of its item, an equal part.
    """

    place: int
    share: float


class Citation(NamedTuple):
    """An event that carried an item.

    `place` counts from 0 in the history that was asked about; `item_id` is None where the event has no known item; `share` as in `Cited`.
    """

    place: int
    item_id: str | None
    event_type: str
    occurred_at_us: int
    share: float


class Explanation(NamedTuple):
    """Why an item stands there: the reason, and the events that carried it, strongest first; none where it is only popular."""

    item_id: str
    reason: str
    events: list[Citation]


def explained(
    vocabulary: Vocabulary, history: Sequences, columns: Int64, reasons: Sequence[str], cited: Sequence[Sequence[Cited]], earlier: int = 0
) -> list[Explanation]:
    """The same in a shop's words; `earlier` events of the user were cut off before the history began."""

    def said(one: Cited) -> Citation:
        index, kind = int(history.item_index[one.place]), EVENT_TYPES[history.event_type[one.place]]
        item_id = vocabulary.item_ids[index - 1] if index else None
        return Citation(earlier + one.place, item_id, kind, int(history.occurred_at[one.place]), one.share)

    item_ids = vocabulary.decode((columns + 1).tolist())
    return [Explanation(item_id, reason, [said(one) for one in found]) for item_id, reason, found in zip(item_ids, reasons, cited, strict=True)]


def explain_slate(reader: PartReader, policies: Policies, vocabulary: Vocabulary, sequences: Sequences, at: int, columns: Int64) -> list[Explanation]:
    """What carried each item of `columns` (K; item_index - 1) under the fused policy, of one user.

    Raises:
        ContractError: histories of more users than one, or more than EXPLAINED items.
    """
    if len(sequences) != 1 or len(columns) > EXPLAINED:
        expected, found = f"one user and at most {EXPLAINED} items", f"{len(sequences)} users, {len(columns)} items"
        raise ContractError("too much to explain at once", where="explain", expected=expected, found=found, next_step="ask for less")
    before = sequences.before(at)
    history = before.last(reader.history_events)
    parts = reader.read(history, at, policies.needed(FUSED))
    cited: list[list[Cited]] = [[] for _ in columns]
    if parts.degraded[0] is None:
        cited = carriers(reader, policies.weights[FUSED], history, at, columns)
    reasons = [reason if found else POPULAR for reason, found in zip(policies.reasons(0, columns, parts, FUSED), cited, strict=True)]
    return explained(vocabulary, history, columns, reasons, cited, earlier=len(before.item_index) - len(history.item_index))


def without(history: Sequences, sets: Sequence[Collection[int]]) -> Sequences:
    """One user's history, once for each set of places, without the events of that set."""
    events, keep = len(history.item_index), np.ones(len(history.item_index) * len(sets), np.bool_)
    for number, places in enumerate(sets):
        keep[[number * events + place for place in places]] = False
    return history.take(np.zeros(len(sets), np.int64)).keep(keep)


def carriers(reader: PartReader, weights: Mapping[str, float], history: Sequences, at: int, columns: Int64) -> list[list[Cited]]:
    """The events that carried each item, strongest first, at most CITED; none where no event did.

    Args:
        reader: of the parts.
        weights: of the policy, part by part.
        history: of one user, as far back as the policy reads, nothing from `at` on.
        at: the moment of asking, microseconds.
        columns: (K,) item_index - 1.
    """
    tried = [[place] for place in _worth_trying(history, columns).tolist()]
    cited = _strongest(reader, weights, history, at, columns, tried)
    if alone := [number for number, found in enumerate(cited) if not found]:
        together = _by_item(history, tried)
        for number, found in zip(alone, _strongest(reader, weights, history, at, columns[alone], together), strict=True):
            cited[number] = found
    return [[Cited(place, share / len(places)) for places, share in found for place in places][:CITED] for found in cited]


def _strongest(
    reader: PartReader, weights: Mapping[str, float], history: Sequences, at: int, columns: Int64, sets: Sequence[list[int]]
) -> list[list[tuple[list[int], float]]]:
    """For each item the sets of events without which its score falls most, at most CITED, with the share of it that is lost."""
    left_out = [*sets, list[int]()]
    values = np.concatenate([_values(reader, weights, history, at, columns, left_out[n : n + _ROWS]) for n in range(0, len(left_out), _ROWS)])
    found = []
    for whole, fall in zip(values[-1], (values[-1] - values[:-1]).T, strict=True):
        most = np.argsort(-fall, kind="stable")[:CITED]
        most = most[fall[most] > max(_NOTHING, _BESIDE * float(fall.max(initial=0.0)))]
        found.append([(sets[n], float(fall[n] / max(whole, fall[n]))) for n in most])
    return found


def _by_item(history: Sequences, tried: Sequence[list[int]]) -> list[list[int]]:
    """All events of each item that was tried, newest first: each may be too much of a habit to be missed once."""
    items = np.asarray(history.item_index)
    return [np.flatnonzero(items == item)[::-1].tolist() for item in dict.fromkeys(items[[place for (place,) in tried]].tolist()) if item]


def _worth_trying(history: Sequences, columns: Int64) -> Int64:
    """Places of the newest events of each item and, up to TRIED in all, of the newest of any; the newest first, so that of two equals it is cited."""
    newest = np.arange(len(history.item_index))[::-1]
    items = np.asarray(history.item_index)[newest]
    own = np.unique(np.concatenate([newest[items == column + 1][:OWN] for column in columns] or [newest[:0]]))
    others = newest[~np.isin(newest, own)]
    return np.union1d(own, others[: max(TRIED - len(own), 0)])[::-1]


def _values(
    reader: PartReader, weights: Mapping[str, float], history: Sequences, at: int, columns: Int64, sets: Sequence[Collection[int]]
) -> Float64:
    """(S, K) the fused scores of some items without each set of events, leads counted."""
    parts = reader.read(without(history, sets), at, {name for name, weight in weights.items() if weight}, variants_of=history)
    told = {name: scores[:, columns] if name == PERSONAL else _with_lead(scores, columns) for name, scores in parts.scores.items()}
    unknown = np.array([reason is not None for reason in parts.degraded])  # a history without anything known carries nothing
    return np.where(unknown[:, None], 0.0, fuse(told, weights))


def _with_lead(scores: Float64, columns: Int64) -> Float64:
    """(S, K) shares of the best of each row, 0 to 1; the best itself is 1 and the logarithm of its ratio to the next."""
    found = scores[:, columns]
    if scores.shape[1] < 2:
        return found
    best = scores.argmax(axis=1)[:, None]
    most = np.take_along_axis(scores, best, axis=1)
    others = scores.copy()
    np.put_along_axis(others, best, -np.inf, axis=1)
    lead = -np.log(np.maximum(others.max(axis=1, keepdims=True), _FAINTEST))
    return np.where((found == most) & (found > 0), found + lead, found)
