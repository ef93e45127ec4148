"""A scorer on `core.streaming`: for the few users of a request, who mostly were here a moment ago.

What was read of a history is remembered by its content, so a longer history of the same user goes on where the shorter one ended. Nobody's id is
looked at, and what is remembered is used only where every event is the same: an event that was withdrawn or came late makes it read anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.core.outlook import SPANS, Outlook
from footfall.core.rhythm import Moments
from footfall.core.sequence_model import HEADS
from footfall.core.sequences import Int64, Sequences
from footfall.core.streaming import Reading, StreamingModel, one_of
from footfall.core.streaming_block import Float32, silu

_REMEMBERED_BYTES = 64 << 20
_ROWS = 4096
"""Events of variants that are read together, about: it bounds the memory."""
_FAR = 5.0
"""Standard deviations beyond which a figure of the rhythm says no more."""


class StreamingScorer:
    """Scores histories by what it has read of them before; safe to share between threads.

    Args:
        config: what config.json holds.
        weights: parameter name -> array, as in model.safetensors.
        remembered_bytes: of readings; the least lately used go first.

    Raises:
        ValueError: the weights do not fit the configuration.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]], remembered_bytes: int = _REMEMBERED_BYTES) -> None:
        self._model = StreamingModel(config, weights)
        self._heads = {name.removeprefix(HEADS): array for name, array in weights.items() if name.startswith(HEADS)}
        self._event_types = int(config["event_types"])
        self._readings: OrderedDict[bytes, Reading] = OrderedDict()
        self._room = self._most = remembered_bytes
        self._turn = threading.Lock()

    def scores(self, sequences: Sequences) -> Float32:
        """(U, V) logits of what each user buys next; column j is item_index j + 1. An empty history scores zero everywhere."""
        found = np.zeros((len(sequences), self._model.items), np.float32)
        for user, row in enumerate(found):
            row[:] = self._model.scores(self._read(one_of(sequences, user)))
        return found

    def scores_of_variants(self, history: Sequences, variants: Sequences) -> Float32:
        """(U, V) as `scores` of histories that differ in a few events from one user's: each is read from where it parts from that one.

        Of the variants nothing is remembered.
        """
        whole, newest = self._read(history), variants.last(self._model.max_events)
        found = np.zeros((len(variants), self._model.items), np.float32)
        users = np.flatnonzero(newest.lengths)
        parted = [_parted(whole, one_of(newest, user)) for user in users.tolist()]
        rows = np.cumsum([len(events.item_index) for events, _ in parted])
        for group in np.split(np.arange(len(users)), np.flatnonzero(np.diff(rows // _ROWS)) + 1) if len(users) else []:
            found[users[group]] = self._model.scores_together(self._model.read_together([parted[n] for n in group.tolist()]))
        return found

    def forget(self) -> None:
        """Keep nothing of anybody any more; the next request of each user is read anew."""
        with self._turn:
            self._readings.clear()
            self._room = self._most

    def outlook(self, sequences: Sequences, at: int | Int64) -> Outlook | None:
        """Which event type each user's next event has, and when the next purchase comes; see `model.scorer.Scorer.outlook`."""
        if not self._heads or not self._heads["scale"].any():
            return None
        history = sequences.before(at)
        known = np.flatnonzero(history.lengths)
        types, hazard = np.full((len(history), self._event_types), np.nan), np.full((len(history), SPANS), np.nan)
        if len(known):
            moments = np.broadcast_to(np.asarray(at, np.int64), len(history))[known]
            figures = Moments(history).figures(known, moments, self._model.max_events).astype(np.float32)
            states = np.stack([state for user in known.tolist() if (state := self._read(one_of(history, user)).newest) is not None])
            answers = self._answers(states, figures).astype(np.float64)
            logits = np.exp(answers[:, : self._event_types] - answers[:, : self._event_types].max(axis=1, keepdims=True))
            types[known], hazard[known] = logits / logits.sum(axis=1, keepdims=True), np.exp(answers[:, self._event_types :])
        return Outlook(types, hazard)

    def _answers(self, states: Float32, figures: Float32) -> Float32:
        """As `model.heads.Heads`: a linear layer and one hidden layer on state and rhythm."""
        heads = self._heads
        told = np.concatenate([states, np.clip((figures - heads["mean"]) * heads["scale"], -_FAR, _FAR)], axis=1)
        hidden = silu(told @ heads["inner"].T + heads["inner_bias"])
        answers: Float32 = told @ heads["direct"].T + heads["bias"] + hidden @ heads["outer"].T
        return answers

    def _read(self, history: Sequences) -> Reading:
        """The newest events of one user, from what is remembered on."""
        newest = history.last(self._model.max_events)
        if len(newest.item_index) < 2:
            return self._model.read(newest)
        key = b"".join(column[:1].tobytes() for column in (newest.occurred_at, newest.item_index, newest.event_type))
        with self._turn:
            before = self._readings.get(key)
        known = 0 if before is None else len(before.row)
        if before is not None and known <= len(newest.item_index) and _begins_with(newest, before.events):
            found = before if known == len(newest.item_index) else self._model.read(one_of(newest, 0, known), before)
        else:
            found = self._model.read(newest)
        self._remember(key, found)
        return found

    def _remember(self, key: bytes, found: Reading) -> None:
        with self._turn:
            before = self._readings.pop(key, None)
            self._room += 0 if before is None else before.bytes
            self._readings[key] = found
            self._room -= found.bytes
            while self._room < 0:
                self._room += self._readings.popitem(last=False)[1].bytes


def _begins_with(history: Sequences, start: Sequences) -> bool:
    """Whether the first events of one user are these."""
    return _in_common(history, start) == len(start.item_index)


def _in_common(one: Sequences, other: Sequences) -> int:
    """How many events two histories of one user begin with alike."""
    events = min(len(one.item_index), len(other.item_index))
    differ = np.zeros(events, np.bool_)
    for mine, theirs in zip(_columns(one), _columns(other), strict=True):
        if mine is not None and theirs is not None:
            differ |= mine[:events] != theirs[:events]
        elif mine is not theirs:
            return 0
    return int(differ.argmax()) if differ.any() else events


def _parted(whole: Reading, variant: Sequences) -> tuple[Sequences, Reading]:
    """What is to be read of a variant, at least one event, and what has been read of it: the moments before the one that comes before they part."""
    alike = _in_common(variant, whole.events)
    moment = int(whole.row[alike]) if alike < len(whole.row) else len(whole.times)
    moment = max(moment - 1, 0)
    return one_of(variant, 0, int(np.searchsorted(whole.row, moment))), whole.until(moment)


def _columns(events: Sequences) -> tuple[npt.NDArray[Any] | None, ...]:
    return events.occurred_at, events.item_index, events.event_type, events.query_index, events.duration
