"""The Complete Journey as the stages see it at one `as_of`: tables, arrays, weights, habits and bundle, made by the stages themselves in a folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.arrays.histories import read_sequences
from footfall.arrays.vocabularies import read_vocabulary
from footfall.arrays.windows import Targets, read_split, read_targets
from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.core.baselines import popularity
from footfall.core.metrics import Float64, Floats, top_k, user_metrics
from footfall.core.sequences import Int64, Sequences
from footfall.manifest import write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.sources.complete_journey import CompleteJourney
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet


@dataclass(frozen=True)
class Window:
    """Who bought what first in one window of labels, and what came before.

    Attributes:
        history: U users' events before `at`, at most the newest that any policy reads.
        everybody: all users' events before `at`, likewise.
        targets: of the same users.
        at: first moment of the labels, microseconds.
        popularity: (V,) purchases in the four weeks before `at`, of everybody.
    """

    history: Sequences
    everybody: Sequences
    targets: Targets
    at: int
    popularity: Float64

    def ndcg(self, slates: Int64, k: int) -> Float64:
        """(U,) ndcg@k of (U, k) item indices."""
        return user_metrics(slates, self.targets.offsets, self.targets.item_index, k).ndcg


@dataclass(frozen=True)
class Task:
    """What everybody is given at one `as_of`.

    Attributes:
        train: all users' events before the training cut: what may be learnt from.
        items: V.
        validation, test: windows of labels; settings are chosen on the first, figures come from the second.
    """

    train: Sequences
    items: int
    validation: Window
    test: Window


class Journey:
    """The package's purchases, read once; the rows that the gate would put into quarantine are left out."""

    def __init__(self) -> None:
        """Read them."""
        self._source = CompleteJourney(None)
        self._catalogue = self._source.catalogue()
        batches = [rows for _, rows in self._source.events(None, datetime(2018, 1, 2, tzinfo=UTC))]
        events = pa.concat_tables(batches)
        known = pc.is_in(events.column(C.ITEM_ID), value_set=self._catalogue.column(C.ITEM_ID).combine_chunks())
        self._events = EVENTS.sort(events.filter(pc.and_(known, pc.greater(events.column(C.QUANTITY), 0))))

    def write(self, paths: Paths, params: Params) -> None:
        """Write data/tables and data/sequences as they would be at `params.data.as_of`."""
        as_of = pa.scalar(params.data.as_of, EVENTS.schema.field(C.OCCURRED_AT).type)
        write_parquet(paths.tables / f"{EVENTS.name}.parquet", self._events.filter(pc.less(self._events.column(C.OCCURRED_AT), as_of)))
        write_parquet(paths.tables / f"{CATALOGUE.name}.parquet", self._catalogue)
        write_parquet(paths.tables / f"{USERS.name}.parquet", self._source.users(params.data.as_of))
        write_manifest(paths.tables)
        make_sequences(paths, params)


def params_at(params: Params, as_of: str) -> Params:
    """The same parameters at another moment (ISO; UTC)."""
    moment = datetime.fromisoformat(as_of)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return dataclasses.replace(params, data=dataclasses.replace(params.data, as_of=moment))


def read_task(folder: Path, params: Params) -> Task:
    """The task in data/sequences."""
    sequences, split, items = read_sequences(folder), read_split(folder), len(read_vocabulary(folder))

    def window(name: str) -> Window:
        targets, at = read_targets(folder, name), split.start(name)
        everybody = sequences.before(at).last(params.baselines.history_events)
        return Window(everybody.take(targets.users), everybody, targets, at, popularity(sequences, items, at, params.baselines.popularity_days))

    return Task(sequences.before(split.train_end), items, window("validation"), window("test"))


def best_slates(scores: Floats, popular: Float64, k: int) -> Int64:
    """(U, k) item indices, best first, popular items first among equals."""
    return top_k(scores.astype(np.float64) + 1e-12 * popular / max(popular.max(), 1.0), k) + 1
