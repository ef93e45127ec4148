from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.leave_one_out import ndcg, ranks, split
from benchmarks.sequences_text import read_sequences_text
from footfall.core.metrics import UNRANKED
from footfall.core.sequences import Sequences
from footfall.errors import SourceError


def written(folder: Path, *lines: str) -> Path:
    path = folder / "sequences.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_line_is_a_user_and_the_items_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, "1 5 3 9", "", "2 7")
    plain = read_sequences_text(path)
    packed = tmp_path / "sequences.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for found in (plain, read_sequences_text(packed)):
        assert found.item_index.tolist() == [5, 3, 9, 7]
        assert found.offsets.tolist() == [0, 3, 4]
        assert (np.diff(found.occurred_at[:3]) > 0).all()


@pytest.mark.parametrize(("line", "found"), [("1 5 x", "no number"), ("1 0 5", "no item"), ("1 99999999999", "no number")])
def test_a_wrong_line_is_named(tmp_path: Path, line: str, found: str) -> None:
    with pytest.raises(SourceError, match=found) as raised:
        read_sequences_text(written(tmp_path, "1 2 3", line))
    assert "line 2" in str(raised.value)


def test_the_last_item_tests_and_the_one_before_validates(tmp_path: Path) -> None:
    parts = split(read_sequences_text(written(tmp_path, "1 4 3 2 1", "2 9 8", "3 5 6 7")))
    assert parts.items == 9
    assert (parts.train.item_index.tolist(), parts.train.offsets.tolist()) == ([4, 3, 5], [0, 2, 3])
    assert parts.validation.targets.tolist() == [2, 6]
    assert (parts.test.history.item_index.tolist(), parts.test.targets.tolist()) == ([4, 3, 2, 5, 6], [1, 7])
    with pytest.raises(SourceError, match="nothing to evaluate"):
        split(read_sequences_text(written(tmp_path, "1 2 3")))


def test_ranks_count_what_stands_before_the_target_and_leave_the_history_out_when_masked(tmp_path: Path) -> None:
    parts = split(read_sequences_text(written(tmp_path, "1 1 2 3 4", "2 5 5 4 5")))
    rows = np.array([[5.0, 4.0, 3.0, 2.0, 2.0], [5.0, 4.0, 2.0, 2.0, 1.0]], np.float32)

    def known(asked: Sequences) -> np.ndarray:
        return rows[: len(asked)]

    def found(*, masked: bool) -> list[int]:
        return ranks(parts.test, {"known": known}, {"known": {"known": 1.0}}, masked=masked)["known"].tolist()

    assert found(masked=False) == [3, 4]
    assert found(masked=True) == [0, UNRANKED]  # a target that was bought before is in no masked slate


def test_weighted_sums_of_parts_rank_as_their_sum(tmp_path: Path) -> None:
    parts = split(read_sequences_text(written(tmp_path, "1 1 2 3")))
    one, other = np.array([[0, 0, 1, 2.0]], np.float32)[:, :3], np.array([[0, 9, 1.0]], np.float32)
    found = ranks(parts.test, {"a": lambda _: one, "b": lambda _: other}, {"a": {"a": 1}, "both": {"a": 1, "b": 1}}, masked=False)
    assert {name: rank.tolist() for name, rank in found.items()} == {"a": [0], "both": [1]}


def test_ndcg_of_one_target_is_the_one_by_hand() -> None:
    assert ndcg(np.array([0, 2, 9, 30]), 5) == pytest.approx((1 + 0.5) / 4)
