"""What stage `sequences` finds out about searches and view durations before it writes the arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from footfall.contracts import C
from footfall.core.signals import duration_codes, encode_queries, normalise_query
from footfall.core.vocabulary import Vocabulary
from footfall.frames import signals as frames
from footfall.frames.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir

_DURATION = "duration"


@dataclass(frozen=True)
class Signals:
    """What a shop has.

    Attributes:
        queries: normalised texts by their query_index; None without searches that enough users share.
        texts: columns query (as it was typed) and query_index of every known text; None with `queries`.
        durations: whether any event before the training cut says how long it lasted.
    """

    queries: Vocabulary | None
    texts: pa.Table | None
    durations: bool

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays to write beside the four that every shop has."""
        return [C.QUERY_INDEX] * (self.queries is not None) + [_DURATION] * self.durations


def find_signals(engine: Engine, events: ir.Table, train_end: int, min_users: int) -> Signals:
    """Count texts and durations before `train_end` (microseconds). In memory are the distinct texts, never the events."""
    durations = bool(engine.run(frames.measured_durations(events, train_end)).column(C.DURATION_S)[0].as_py())
    typed = engine.run(frames.query_texts(events)).column(C.QUERY)
    normalised = pa.array([normalise_query(text) or None for text in typed.to_pylist()], pa.string())
    texts = pa.table({C.QUERY: typed, frames.NORMALISED: normalised}).drop_null()
    if not texts.num_rows:
        return Signals(None, None, durations)
    known = engine.run(frames.queries(events, engine.frame(texts), train_end, min_users))
    if not known.num_rows:
        return Signals(None, None, durations)
    queries = Vocabulary(tuple(known.column(C.QUERY).to_pylist()))
    indexed = pa.table({C.QUERY: texts.column(C.QUERY), C.QUERY_INDEX: encode_queries(queries, texts.column(C.QUERY).to_pylist())})
    return Signals(queries, indexed, durations)


def with_codes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows with the column duration in place of duration_s, where they have it."""
    for batch in batches:
        if C.DURATION_S not in batch.schema.names:
            yield batch
            continue
        codes = duration_codes(batch.column(C.DURATION_S).to_numpy(zero_copy_only=False))
        yield batch.drop_columns([C.DURATION_S]).append_column(_DURATION, pa.array(codes))
