"""Stage `sequences`: canonical tables -> arrays, vocabulary, split and targets.

data/tables/*.parquet -> data/sequences/ (its files: `footfall.arrays`)
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall import arrays
from footfall.contracts import CATALOGUE, EVENTS, PERSONALISE, USERS, C, Contract, refusing_users
from footfall.core.sequences import Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import FootfallError, SourceError
from footfall.frames import sequences as frames
from footfall.frames.engine import frame, run
from footfall.frames.events import interactions, without_users
from footfall.manifest import CACHE, check_manifest, write_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.tables import read_parquet

_NEEDED = (C.EVENT_ID, C.USER_ID, C.SESSION_ID, C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT)


def make_sequences(paths: Paths, params: Params) -> None:
    """Write data/sequences. Users who refuse to be personalised for are left out.

    Raises:
        SourceError: a canonical table cannot be read, or nothing is left to learn from.
    """
    check_manifest(paths.tables, next_step=f"{CACHE}, or dvc repro --force events")
    split = arrays.Split(*(round(moment.timestamp() * 1_000_000) for moment in (params.train_end, params.test_start, params.data.as_of)))
    refusing = frame(refusing_users(_read(paths, USERS, (C.USER_ID, C.CONSENT)), PERSONALISE))
    events = without_users(frame(_read(paths, EVENTS, _NEEDED)), refusing)
    bought = interactions(events, frame(_read(paths, CATALOGUE, (C.ITEM_ID, C.RECOMMENDABLE))))
    known = run(frames.vocabulary(bought, split.train_end, params.split.vocabulary_min_count))
    if not known.num_rows:
        raise SourceError(
            "vocabulary is empty",
            where=paths.tables / "events.parquet",
            expected=f"items bought {params.split.vocabulary_min_count} times before {params.train_end:%Y-%m-%d}",
            next_step="ingest more events, or lower split.vocabulary_min_count in params.yaml",
        )
    folder = paths.sequences
    users, sequences = to_sequences(run(frames.sequences(events, frame(known))))
    arrays.write_sequences(folder, sequences)
    arrays.write_users(folder, users)
    arrays.write_vocabulary(folder, Vocabulary(tuple(known.column(C.ITEM_ID).to_pylist())))
    arrays.write_split(folder, split)
    for window, end in (("validation", split.test_start), ("test", split.as_of)):
        targets = run(frames.first_basket_targets(bought, frame(known), split.start(window), end))
        arrays.write_targets(folder, window, to_targets(targets, users))
    write_manifest(folder)


def to_sequences(rows: pa.Table) -> tuple[pa.Array, Sequences]:
    """Sorted rows of `frames.sequences` as (user ids, arrays)."""
    encoded = rows.column(C.USER_ID).combine_chunks().dictionary_encode()
    counts = np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    item_index, event_type, occurred_at = (rows.column(name).to_numpy() for name in (C.ITEM_INDEX, C.EVENT_TYPE, C.OCCURRED_AT))
    return encoded.dictionary, Sequences(item_index, event_type, occurred_at, offsets)


def to_targets(rows: pa.Table, users: pa.Array) -> pa.Table:
    """Sorted rows of `frames.first_basket_targets` with users as positions in `users`, which is sorted too, so the order stays."""
    positions = pc.index_in(rows.column(C.USER_ID), value_set=users).cast(pa.int64())
    return pa.table({arrays.USER: positions, C.ITEM_ID: rows.column(C.ITEM_ID), C.ITEM_INDEX: rows.column(C.ITEM_INDEX)})


def _read(paths: Paths, contract: Contract, columns: tuple[str, ...]) -> pa.Table:
    return read_parquet(paths.tables / f"{contract.name}.parquet", columns, next_step="dvc repro events")


def main() -> int:
    """Run the stage below the current directory."""
    paths = Paths.here()
    try:
        make_sequences(paths, load_params(paths.params))
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
