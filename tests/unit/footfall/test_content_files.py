from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footfall.content import read_attributes, read_vectors, write_attributes, write_vectors
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError

SHOP = Vocabulary(("apple", "pear", "plum"))
FIXED = pa.list_(pa.float32(), 2)


def vectors_file(folder: Path, rows: dict[str, list[object]], kind: pa.DataType = FIXED) -> Path:
    path = folder / "mine.parquet"
    pq.write_table(pa.table({name: pa.array(values, kind if name == "vector" else None) for name, values in rows.items()}), path)
    return path


@pytest.mark.parametrize("kind", [FIXED, pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.int64())])
def test_vectors_stand_in_the_vocabularys_order_with_zeros_for_items_without_one(tmp_path: Path, kind: pa.DataType) -> None:
    path = vectors_file(tmp_path, {"item_id": ["plum", "fuel", "apple"], "vector": [[5, 6], [9, 9], [1, 2]]}, kind)
    found = read_vectors(path, SHOP)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0], [1, 2], [0, 0], [5, 6]]


def test_item_ids_that_are_numbers_are_read_as_text(tmp_path: Path) -> None:
    path = vectors_file(tmp_path, {"item_id": [2, 1], "vector": [[3, 4], [1, 2]]})
    assert read_vectors(path, Vocabulary(("1", "2"))).tolist() == [[0, 0], [1, 2], [3, 4]]


def test_what_is_written_is_read_and_equal_vectors_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    vectors = np.array([[1, 2], [3, 4]], np.float32)
    write_vectors(tmp_path / "a.parquet", ["pear", "apple"], vectors)
    write_vectors(tmp_path / "b.parquet", ["apple", "pear"], vectors[::-1])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_vectors(tmp_path / "a.parquet", SHOP).tolist() == [[0, 0], [3, 4], [1, 2], [0, 0]]


@pytest.mark.parametrize(
    ("rows", "kind", "said"),
    [
        ({"item_id": ["apple"], "vectors": [[1.0]]}, FIXED, "content lacks a column.*found: no vector"),
        ({"item_id": ["apple"], "vector": ["text"]}, pa.string(), "vectors are no lists"),
        ({"item_id": ["apple"], "vector": [["text"]]}, pa.list_(pa.string()), "vectors hold no numbers"),
        ({"item_id": ["apple", "pear"], "vector": [[1, 2], [1]]}, pa.list_(pa.float32()), r"several lengths.*found: \[1, 2\]"),
        ({"item_id": ["apple", "pear"], "vector": [[1, 2], [1, float("nan")]]}, FIXED, "not finite.*found: item pear, 1 in all"),
        ({"item_id": ["apple", "pear"], "vector": [[1, 2], [1, float("inf")]]}, FIXED, "not finite"),
        ({"item_id": ["apple", "pear"], "vector": [[1, 2], [1, None]]}, FIXED, "not finite.*item pear"),
        ({"item_id": ["apple", "apple"], "vector": [[1, 2], [1, 2]]}, FIXED, "several vectors.*found: apple"),
        ({"item_id": ["apple", None], "vector": [[1, 2], [1, 2]]}, FIXED, "empty row.*1 without an item"),
        ({"item_id": ["apple", "pear"], "vector": [[1, 2], None]}, pa.list_(pa.float32()), "empty row.*1 without a vector"),
        ({"item_id": ["fuel"], "vector": [[1, 2]]}, FIXED, "no item of the vocabulary.*found: 1 other items"),
        ({"item_id": [], "vector": []}, FIXED, "no vectors"),
        ({"item_id": ["apple"], "vector": [[]]}, pa.list_(pa.float32()), "no vectors"),
    ],
)
def test_vectors_of_another_form_are_refused_by_name(tmp_path: Path, rows: dict[str, list[object]], kind: pa.DataType, said: str) -> None:
    path = vectors_file(tmp_path, rows, kind)
    with pytest.raises(SourceError, match=f"(?s){said}") as refused:
        read_vectors(path, SHOP)
    assert str(path) in str(refused.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)missing.*mine\.parquet"):
        read_vectors(tmp_path / "mine.parquet", SHOP)


def test_attributes_become_codes_by_name_and_offsets_by_item(tmp_path: Path) -> None:
    path = tmp_path / "attributes.parquet"
    write_attributes(path, [("plum", "red"), ("apple", "sour"), ("plum", "fruit"), ("apple", "red"), ("plum", "red"), ("fuel", "blue")])
    codes, offsets, names = read_attributes(path, SHOP)
    assert names == ["fruit", "red", "sour"]
    assert offsets.tolist() == [0, 0, 2, 2, 4]
    assert codes.tolist() == [1, 2, 0, 1]


def test_no_attributes_of_the_vocabulary_are_no_codes(tmp_path: Path) -> None:
    path = tmp_path / "attributes.parquet"
    write_attributes(path, [("fuel", "blue")])
    codes, offsets, names = read_attributes(path, SHOP)
    assert (codes.tolist(), offsets.tolist(), names) == ([], [0, 0, 0, 0, 0], [])
