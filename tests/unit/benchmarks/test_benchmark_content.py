from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import content_files
from benchmarks.content_files import neighbours, read_attributes, read_content, read_texts
from benchmarks.policies import DECAY
from benchmarks.quality import MODEL, WITH_CONTENT, choose_weights, policies
from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.content import ItemContent
from footfall.model.trainer import TARGET_TYPE


def test_attributes_of_an_item_become_codes_in_the_order_of_their_ids(tmp_path: Path) -> None:
    given = {"1": [70, 5], "3": [5, 5, 9], "8": [1]}
    plain, zipped = tmp_path / "a.json", tmp_path / "a.json.gz"
    plain.write_text(json.dumps(given))
    zipped.write_bytes(gzip.compress(json.dumps(given).encode()))
    for path in (plain, zipped):
        codes, offsets = read_attributes(path, 3)
        assert codes.tolist() == [0, 2, 0, 1]  # 5, 70 | | 5, 9
        assert offsets.tolist() == [0, 0, 2, 2, 4]


@pytest.mark.parametrize("text", ["[]", "{", '{"a": [1]}', '{"1": ["red"]}', '{"1": 5}'])
def test_attributes_of_another_form_are_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SourceError, match=r"(?s)attributes cannot be read.*a\.json"):
        read_attributes(tmp_path / "a.json", 3)


def test_text_is_encoded_and_vectors_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_files, "encode", lambda texts: np.array([[len(text), 1] for text in texts], np.float32))
    pq.write_table(pa.table({"item_id": [3, 1], "text": ["tea", None]}), tmp_path / "text.parquet")
    assert read_texts(tmp_path / "text.parquet", 3).tolist() == [[0, 0], [0, 1], [0, 0], [3, 1]]
    pq.write_table(pa.table({"item_id": ["2"], "vector": [[0.5, 2.0]]}), tmp_path / "vectors.parquet")
    assert read_texts(tmp_path / "vectors.parquet", 2).tolist() == [[0, 0], [0, 0], [0.5, 2]]
    pq.write_table(pa.table({"item_id": ["2"], "title": ["tea"]}), tmp_path / "titles.parquet")
    with pytest.raises(SourceError, match=r"(?s)other columns.*titles\.parquet"):
        read_texts(tmp_path / "titles.parquet", 2)


def test_without_a_file_there_is_no_content(tmp_path: Path) -> None:
    assert read_content(3, None, None) is None
    (tmp_path / "a.json").write_text('{"2": [7]}')
    content = read_content(3, tmp_path / "a.json", None)
    assert content is not None
    assert content.vectors.shape == (4, 0)


def test_neighbours_by_content_are_like_the_newest_of_a_history_and_know_no_other_user() -> None:
    codes, offsets = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2, 3, 4, 4])  # items 1 and 2 are alike, 3 and 4 too, and nothing is known of 5
    content = ItemContent.of(5, attributes=(codes, offsets))
    history = Sequences(np.array([3, 1], np.int32), np.full(2, TARGET_TYPE, np.int8), np.arange(2), np.array([0, 2], np.int64))
    (row,) = neighbours(content)(history)
    assert row.tolist() == pytest.approx([1.0, 1.0, DECAY, DECAY, 0.0])
    vectors = np.array([[0, 0], [2, 1], [2, 1], [0, 1], [0, 1], [0, 0]], np.float32)  # the same two kinds, and something that all share
    (row,) = neighbours(ItemContent.of(5, vectors))(history)
    assert row.tolist() == pytest.approx([1 - DECAY, 1 - DECAY, DECAY - 1, DECAY - 1, 0.0])


def test_validation_says_whether_the_fused_policy_uses_content() -> None:
    from benchmarks.leave_one_out import Fold

    history = Sequences(np.array([1], np.int32), np.array([TARGET_TYPE], np.int8), np.zeros(1, np.int64), np.array([0, 1], np.int64))
    right, wrong = (np.array([row], np.float32) for row in ([0, 0, 9, 0], [0, 9, 0, 0]))
    for models in ({MODEL: right, WITH_CONTENT: wrong}, {MODEL: wrong, WITH_CONTENT: right}):
        parts = {name: lambda _, rows=rows: rows for name, rows in models.items()}
        weights = choose_weights(Fold(history, np.array([3], np.int32)), parts)
        assert weights == {name: 1.0 for name, rows in models.items() if rows is right}
        named = policies({}, weights, (MODEL, WITH_CONTENT))
        assert named["fused"] == weights
        assert named[WITH_CONTENT] == {WITH_CONTENT: 1.0}
