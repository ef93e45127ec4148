"""Users' events as the store or a table gives them, and as the model reads them: the one way in, for batches and requests alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footfall.contracts import EVENT_TYPES
from footfall.core.sequences import Int64, Sequences
from footfall.core.signals import duration_codes, encode_queries
from footfall.core.vocabulary import Vocabulary
from footfall.errors import ContractError

_CODES = {name: code for code, name in enumerate(EVENT_TYPES)}


@dataclass(frozen=True)
class History:
    """One user's events, oldest first, as the store or a table gives them.

    Attributes:
        item_ids: (E,) item ids, None where an event has none.
        event_types: (E,) names from `contracts.EVENT_TYPES`.
        occurred_at_us: (E,) microseconds since the epoch.
        queries: (E,) what was searched for, as it was typed, None where an event has none; or empty: not one has.
        durations_s: (E,) seconds that a view lasted, likewise.
    """

    item_ids: Sequence[str | None]
    event_types: Sequence[str]
    occurred_at_us: Sequence[int] | Int64
    queries: Sequence[str | None] = ()
    durations_s: Sequence[float | None] = ()

    def fits(self, events: int) -> bool:
        """Whether every list is of so many events, or may be empty and is."""
        told = [self.item_ids, self.event_types, self.occurred_at_us, *filter(len, (self.queries, self.durations_s))]
        return all(len(one) == events for one in told)


def encode_histories(histories: Sequence[History], vocabulary: Vocabulary, queries: Vocabulary | None, *, durations: bool) -> Sequences:
    """Histories as model input. An unknown item or query gets index 0.

    Args:
        histories: U users' events, in any order.
        vocabulary: the items that the model knows.
        queries: the search texts that it knows; None where it reads none.
        durations: whether it reads how long views lasted.

    Raises:
        ContractError: an event type that EVENTS does not know, or lists of different lengths.
    """
    lengths = [len(history.item_ids) for history in histories]
    if any(not h.fits(n) for h, n in zip(histories, lengths, strict=True)):
        raise ContractError("history lists differ in length", where="history", expected="one item, type and moment an event")
    item_index = vocabulary.encode([item_id for history in histories for item_id in history.item_ids])
    try:
        codes = np.array([_CODES[name] for history in histories for name in history.event_types], dtype=np.int8)
    except KeyError as error:
        raise ContractError("unknown event type", where="history", expected=", ".join(EVENT_TYPES), found=error.args[0]) from error
    moments = np.concatenate([np.asarray(history.occurred_at_us, dtype=np.int64) for history in histories] or [np.empty(0, np.int64)])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    order = np.lexsort((moments, np.repeat(np.arange(len(histories)), lengths)))  # stable: events of one moment stay as they came
    query_index = duration = None
    if queries is not None:
        texts = [text for history, n in zip(histories, lengths, strict=True) for text in history.queries or [None] * n]
        query_index = encode_queries(queries, texts)[order]
    if durations:
        seconds = [second for history, n in zip(histories, lengths, strict=True) for second in history.durations_s or [None] * n]
        duration = duration_codes(seconds)[order]
    return Sequences(item_index[order], codes[order], moments[order], offsets, query_index, duration)
