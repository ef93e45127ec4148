"""The vocabulary and the queries of data/sequences: which number stands for which item, and for which text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from footfall.arrays import REMAKE
from footfall.contracts import QUERIES, VOCABULARY, Contract
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.tables import read_parquet, write_parquet

QUERIES_FILE = f"{QUERIES.name}.parquet"


def write_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Write vocabulary.parquet."""
    _write_index(folder, VOCABULARY, vocabulary)


def write_queries(folder: Path, queries: Vocabulary) -> None:
    """Write queries.parquet: normalised texts."""
    _write_index(folder, QUERIES, queries)


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of data/sequences (or of a bundle: same file name).

    Raises:
        SourceError: no readable file, or indices that are not 1, 2, 3 ...
    """
    return _read_index(folder, VOCABULARY)


def read_queries(folder: Path) -> Vocabulary | None:
    """The normalised texts of data/sequences (or of a bundle) by their query_index; None where the shop has none.

    Raises:
        SourceError: a file that cannot be read, or indices that are not 1, 2, 3 ...
    """
    return _read_index(folder, QUERIES) if (folder / QUERIES_FILE).exists() else None


def _write_index(folder: Path, contract: Contract, vocabulary: Vocabulary) -> None:
    """Write <contract>.parquet: index and word."""
    index, word = contract.schema.names
    numbers = np.arange(1, len(vocabulary) + 1, dtype=np.int32)
    table = pa.table({index: numbers, word: pa.array(vocabulary.item_ids, pa.string())})
    write_parquet(folder / f"{contract.name}.parquet", contract.check(table))


def _read_index(folder: Path, contract: Contract) -> Vocabulary:
    path = folder / f"{contract.name}.parquet"
    index, word = contract.schema.names
    table = contract.check(read_parquet(path, next_step=REMAKE), where=path)
    numbers = table.column(index).to_numpy()
    if not np.array_equal(numbers, np.arange(1, len(numbers) + 1)):
        raise SourceError(f"{contract.name} has gaps", where=path, expected=f"{index} 1 to {len(numbers)}", next_step=REMAKE)
    return Vocabulary(tuple(table.column(word).to_pylist()))
