"""What is known of the items of a sequence file beside who touched them: attributes, and text or vectors, from files that lie beside it.

It reaches the ranking twice: in the model's item vectors, and as neighbours by content, which need no training at all.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.leave_one_out import Scores
from benchmarks.policies import DECAY
from footfall.content import vectors_of
from footfall.core.closed_form import recency
from footfall.core.sequences import Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.model.content import Float32, Int64, ItemContent
from footfall.model.text_encoder import encode
from footfall.tables import read_parquet

ITEM, TEXT, VECTOR = "item_id", "text", "vector"
NEIGHBOURS = "content_neighbours"
"""Name of the part that ranks by likeness to what was bought last."""
CELLS = 200_000_000
"""Numbers that the features of all items may take; above it attributes share columns."""


def read_content(items: int, attributes: Path | None, text: Path | None) -> ItemContent | None:
    """What the files know of items 1 to `items`; None without a file.

    Raises:
        SourceError: a file cannot be read or has another form.
    """
    if attributes is None and text is None:
        return None
    return ItemContent.of(
        items,
        vectors=None if text is None else read_texts(text, items),
        attributes=None if attributes is None else read_attributes(attributes, items),
    )


def read_attributes(path: Path, items: int) -> tuple[Int64, Int64]:
    """Codes (in the order of the attributes' own ids) and offsets of items 0 to `items`, from JSON: item number -> list of attribute ids.

    Items that the sequences do not have are left out; an attribute of an item stands once.

    Raises:
        SourceError: no readable JSON of that form, perhaps in gzip.
    """
    try:
        raw = path.read_bytes()
        found: Any = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
        given = {int(item): sorted(set(map(int, ids))) for item, ids in found.items()}
    except (OSError, EOFError, ValueError, AttributeError, TypeError) as error:
        expected = "JSON: item number -> list of whole numbers"
        raise SourceError("attributes cannot be read", where=path, expected=expected, found=str(error).splitlines()[0][:80]) from error
    rows = [given.get(item, []) for item in range(items + 1)]
    rows[0] = []
    flat = np.array([one for ids in rows for one in ids], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in rows])]).astype(np.int64)
    return np.unique(flat, return_inverse=True)[1].astype(np.int64), offsets


def read_texts(path: Path, items: int) -> Float32:
    """(items + 1, width) vectors from Parquet with columns item_id and vector, or item_id and text, which is encoded here.

    Raises:
        SourceError: no readable Parquet of that form.
    """
    table = read_parquet(path)
    if ITEM not in table.column_names or not {TEXT, VECTOR} & set(table.column_names):
        raise SourceError(
            "content has other columns", where=path, expected="item_id and text, or item_id and vector", found=", ".join(table.column_names)
        )
    numbers = table.column(ITEM).cast(pa.string())
    column = table.column(VECTOR) if VECTOR in table.column_names else list(encode(table.column(TEXT).fill_null("").to_pylist()))
    rows = pa.table({ITEM: numbers, VECTOR: column})
    return vectors_of(rows, Vocabulary(tuple(map(str, range(1, items + 1)))), where=path)


def neighbours(content: ItemContent) -> Scores:
    """Histories -> (U, V): each item's likeness (cosine) to the user's own, the newest counting most. It needs no other user, so new items rank."""
    features = _features(content)

    def scores(history: Sequences) -> Float32:
        return np.asarray((recency(history, len(features), DECAY) @ features) @ features.T, np.float32)

    return scores


def _features(content: ItemContent) -> Float32:
    """(V, F) rows of length one (zero without content): rare attributes say more (tf-idf), and what all vectors share says nothing."""
    items = len(content.offsets) - 2
    parts = []
    if len(content.codes):
        width = min(int(content.codes.max()) + 1, max(CELLS // items, 1))
        hot = np.zeros((items + 1, width), np.float32)
        hot[np.repeat(np.arange(items + 1), np.diff(content.offsets)), content.codes % width] = 1
        parts.append(hot[1:] * np.log((items + 1) / np.maximum(hot.sum(0), 1)))
    if content.vectors.shape[1]:
        told = np.abs(content.vectors[1:]).sum(1) > 0
        parts.append((content.vectors[1:] - content.vectors[1:][told].mean(0)) * told[:, None])
    scaled = [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in parts]
    found: Float32 = (np.concatenate(scaled, axis=1) / np.sqrt(max(len(scaled), 1))).astype(np.float32)
    return found
