"""Stage `sequences`: canonical tables -> arrays, vocabulary, split and targets.

data/tables/*.parquet -> data/sequences/ (its files: `footfall.arrays`)
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from footfall.arrays.histories import write_analysed, write_rows, write_users
from footfall.arrays.vocabularies import write_queries, write_vocabulary
from footfall.arrays.windows import USER, Split, write_split, write_targets
from footfall.contracts import ANALYSE, CATALOGUE, EVENTS, PERSONALISE, USERS, C, Contract, refusing_users
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.frames import sequences as frames
from footfall.frames.engine import Engine
from footfall.frames.events import interactions, without_users
from footfall.manifest import CACHE, check_manifest, write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.stages.command import run_stage
from footfall.stages.opening import open_stage_engine, open_tables
from footfall.stages.signals import find_signals, with_codes
from footfall.tables import read_parquet, replacing_folder

_REMAKE = f"{CACHE}, or dvc repro --force events"


def make_sequences(paths: Paths, params: Params) -> None:
    """Write data/sequences without users who refuse to be personalised for; who refuses to be analysed is no target.

    Events are never held in memory whole.

    Raises:
        SourceError: a canonical table cannot be read, or nothing is left to learn from.
    """
    check_manifest(paths.tables, next_step=_REMAKE)
    split = Split(*(round(moment.timestamp() * 1_000_000) for moment in (params.train_end, params.test_start, params.data.as_of)))
    with replacing_folder(paths.sequences) as folder, open_stage_engine(paths) as engine:
        write_sequences(engine, paths, folder, split, params)
        write_split(folder, split)
        write_manifest(folder)


def write_sequences(engine: Engine, paths: Paths, folder: Path, split: Split, params: Params) -> None:
    """Everything of data/sequences that the engine computes, to `folder`."""
    people = _read(paths, USERS, (C.USER_ID, C.CONSENT))
    refusing = refusing_users(people, PERSONALISE)
    events = without_users(open_tables(engine, {_table(paths, EVENTS): True}, EVENTS, next_step=_REMAKE), engine.frame(refusing))
    catalogue = _read(paths, CATALOGUE, (C.ITEM_ID, C.RECOMMENDABLE, C.AVAILABLE, C.AVAILABLE_FROM))
    bought = interactions(events, engine.frame(catalogue.select([C.ITEM_ID, C.RECOMMENDABLE])))
    offered = None if params.split.vocabulary_min_count else engine.frame(offered_items(catalogue, split.as_of))
    vocabulary = engine.run(frames.vocabulary(bought, split.train_end, params.split.vocabulary_min_count, offered))
    if not vocabulary.num_rows:
        raise SourceError(
            "vocabulary is empty",
            where=paths.tables / "events.parquet",
            expected=f"items bought {params.split.vocabulary_min_count} times before {params.train_end:%Y-%m-%d}",
            next_step="ingest more events, or lower split.vocabulary_min_count in params.yaml",
        )
    known = engine.frame(vocabulary)
    signals = find_signals(engine, events, split.train_end, params.split.query_min_users)
    texts = None if signals.texts is None else engine.frame(signals.texts)
    rows = engine.batches(frames.sequences(events, known, texts, durations=signals.durations))
    users = write_rows(folder, with_codes(rows), signals.arrays)
    if signals.queries is not None:
        write_queries(folder, signals.queries)
    write_users(folder, users)
    write_vocabulary(folder, Vocabulary(tuple(vocabulary.column(C.ITEM_ID).to_pylist())))
    unwilling = refusing_users(people, ANALYSE)
    analysed = pc.invert(pc.is_in(users, value_set=unwilling.column(C.USER_ID).combine_chunks()))
    write_analysed(folder, analysed.to_numpy(zero_copy_only=False))
    counted = without_users(bought, engine.frame(unwilling))
    for window, end in (("validation", split.test_start), ("test", split.as_of)):
        targets = engine.run(frames.first_basket_targets(counted, known, split.start(window), end))
        write_targets(folder, window, to_targets(targets, users))


def offered_items(catalogue: pa.Table, as_of: int) -> pa.Table:
    """Column item_id: what may be recommended and can be had before `as_of` (microseconds), bought or not."""
    since = catalogue.column(C.AVAILABLE_FROM).cast(pa.int64())
    there = pc.fill_null(pc.less(since, as_of), True)
    return catalogue.filter(pc.and_(pc.and_(catalogue.column(C.RECOMMENDABLE), catalogue.column(C.AVAILABLE)), there)).select([C.ITEM_ID])


def to_targets(rows: pa.Table, users: pa.Array) -> pa.Table:
    """Sorted rows of `frames.first_basket_targets` with users as positions in `users`, which is sorted too, so the order stays."""
    positions = pc.index_in(rows.column(C.USER_ID), value_set=users).cast(pa.int64())
    return pa.table({USER: positions, C.ITEM_ID: rows.column(C.ITEM_ID), C.ITEM_INDEX: rows.column(C.ITEM_INDEX)})


def _read(paths: Paths, contract: Contract, columns: tuple[str, ...]) -> pa.Table:
    return read_parquet(_table(paths, contract), columns, next_step="dvc repro events")


def _table(paths: Paths, contract: Contract) -> Path:
    return paths.tables / f"{contract.name}.parquet"


if __name__ == "__main__":
    sys.exit(run_stage(make_sequences))
