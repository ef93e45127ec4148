"""Content of items, by id: vectors of text, images or sound, and attributes; the one door by which any of it comes in.

    vectors.parquet      item_id, vector (list of floats, all of one length): a shop's own file may stand for the encoder's
    attributes.parquet   item_id, attribute (text): an item has as many rows as attributes

Needs numpy and pyarrow only, because the training stage reads through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import C
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.tables import read_parquet, write_parquet

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

VECTOR, ATTRIBUTE = "vector", "attribute"
VECTORS_FILE, ATTRIBUTES_FILE = "vectors.parquet", "attributes.parquet"
_FORM = "item_id (text) and vector (a list of numbers, equally long for all)"
_MEND = "write one finite vector an item, all of one length"


def write_vectors(path: Path, item_ids: Sequence[str], vectors: Float32) -> None:
    """Write (N, W) vectors, sorted by item."""
    order = sorted(range(len(item_ids)), key=lambda n: item_ids[n])
    flat = pa.array(np.ascontiguousarray(vectors[order], np.float32).ravel())
    rows = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    write_parquet(path, pa.table({C.ITEM_ID: pa.array([item_ids[n] for n in order], pa.string()), VECTOR: rows}))


def read_vectors(path: Path, vocabulary: Vocabulary) -> Float32:
    """(V + 1, W) vectors in the vocabulary's order; see `vectors_of`.

    Raises:
        SourceError: the file cannot be read, or breaks the form.
    """
    return vectors_of(read_parquet(path, next_step="write the vectors again"), vocabulary, where=path)


def vectors_of(table: pa.Table, vocabulary: Vocabulary, *, where: object) -> Float32:
    """(V + 1, W) vectors in the vocabulary's order; row 0 and items without a vector are zero, and items outside the vocabulary are left out.

    Raises:
        SourceError: other columns or types, an item twice, vectors of several lengths, a number that is missing or not finite, or no item of
            the vocabulary at all.
    """

    def fault(what: str, found: object, expected: object = _FORM) -> SourceError:
        return SourceError(what, where=where, expected=expected, found=found, next_step=_MEND)

    if absent := {C.ITEM_ID, VECTOR} - set(table.column_names):
        raise fault("content lacks a column", f"no {', '.join(sorted(absent))}")
    column = table.column(VECTOR).combine_chunks()
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        raise fault("vectors are no lists", column.type)
    ids = table.column(C.ITEM_ID).cast(pa.string())
    if ids.null_count or column.null_count:
        raise fault("content has an empty row", f"{ids.null_count} without an item, {column.null_count} without a vector")
    if len(twice := pc.value_counts(ids).filter(pc.greater(pc.value_counts(ids).field("counts"), 1))):
        raise fault("an item has several vectors", twice[0]["values"], "each item once")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise fault("vectors have several lengths" if len(lengths) > 1 else "no vectors", sorted(lengths) or "no rows")
    try:
        numbers = column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(-1, lengths[0])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise fault("vectors hold no numbers", column.type) from error
    if len(wrong := np.flatnonzero(~np.isfinite(numbers).all(1))):
        raise fault("a vector is not finite", f"item {ids[int(wrong[0])].as_py()}, {len(wrong)} in all", "finite numbers")
    places = vocabulary.encode(ids.to_pylist())
    if not places.any():
        raise fault("no item of the vocabulary has a vector", f"{len(ids)} other items", "item ids as in the catalogue")
    found = np.zeros((len(vocabulary) + 1, lengths[0]), np.float32)
    found[places[places > 0]] = numbers[places > 0]
    return found


def write_attributes(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write (item_id, attribute) pairs, sorted, each once."""
    kept = sorted(set(rows))
    columns = {C.ITEM_ID: [item for item, _ in kept], ATTRIBUTE: [attribute for _, attribute in kept]}
    write_parquet(path, pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))


def read_attributes(path: Path, vocabulary: Vocabulary) -> tuple[Int64, Int64, list[str]]:
    """Codes of the vocabulary's items, (V + 2,) offsets (item_index j owns codes[offsets[j]:offsets[j + 1]]), and the names of the codes.

    Raises:
        SourceError: the file cannot be read, or lacks a column.
    """
    table = read_parquet(path, (C.ITEM_ID, ATTRIBUTE), next_step="dvc repro --force content")
    if table.num_columns < 2:
        raise SourceError("attributes lack a column", where=path, expected=f"{C.ITEM_ID}, {ATTRIBUTE}", found=", ".join(table.column_names))
    items = vocabulary.encode(table.column(C.ITEM_ID).to_pylist())
    known = items > 0
    names = sorted(set(pc.filter(table.column(ATTRIBUTE), pa.array(known)).to_pylist()))
    codes = pc.index_in(table.column(ATTRIBUTE), value_set=pa.array(names, pa.string())).fill_null(0).to_numpy().astype(np.int64)[known]
    order = np.lexsort((codes, items[known]))
    sizes = np.bincount(items[known], minlength=len(vocabulary) + 1)
    return codes[order], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), names
