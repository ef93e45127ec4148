"""data/sequences: what is written is read back, and damage is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.arrays import REMAKE
from footfall.arrays.histories import ARRAYS, read_sequences, read_users, write_rows, write_sequences, write_users
from footfall.arrays.vocabularies import read_vocabulary, write_vocabulary
from footfall.arrays.windows import Split, read_split, read_targets, write_split, write_targets
from footfall.core.sequences import Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.tables import write_parquet

SEQUENCES = Sequences(np.array([1, 0, 2], np.int32), np.array([4, 0, 4], np.int8), np.array([5, 6, 7], np.int64), np.array([0, 2, 2, 3], np.int64))


def test_sequences_come_back_as_they_were(tmp_path: Path) -> None:
    write_sequences(tmp_path, SEQUENCES)

    read = read_sequences(tmp_path)

    for name, kind in ARRAYS.items():
        assert getattr(read, name).dtype == kind
        assert np.array_equal(getattr(read, name), getattr(SEQUENCES, name))


def test_vocabulary_users_and_split_come_back_as_they_were(tmp_path: Path) -> None:
    split = Split(train_end=10, test_start=20, as_of=30)
    write_vocabulary(tmp_path, Vocabulary(("apple", "pear")))
    write_users(tmp_path, pa.array(["u1", "u2"]))
    write_split(tmp_path, split)

    assert read_vocabulary(tmp_path) == Vocabulary(("apple", "pear"))
    assert read_users(tmp_path) == ["u1", "u2"]
    assert read_split(tmp_path) == split
    assert (split.start("validation"), split.start("test")) == (10, 20)


def test_targets_are_grouped_by_user_and_keep_items_outside_the_vocabulary(tmp_path: Path) -> None:
    table = pa.table({"user": [1, 1, 4], "item_id": ["a", "b", "c"], "item_index": pa.array([3, 0, 1], pa.int32())})
    write_targets(tmp_path, "test", table)

    targets = read_targets(tmp_path, "test")

    assert len(targets) == 2
    assert targets.users.tolist() == [1, 4]
    assert targets.sizes.tolist() == [2, 1]
    assert targets.item_index.tolist() == [3, 0, 1]


@pytest.mark.parametrize("name", ARRAYS)
def test_a_damaged_array_is_named(tmp_path: Path, name: str) -> None:
    write_sequences(tmp_path, SEQUENCES)
    path = tmp_path / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(SourceError) as caught:
        read_sequences(tmp_path)

    assert caught.value.where == str(path)
    assert caught.value.next_step == REMAKE


def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    write_sequences(tmp_path, SEQUENCES)
    np.save(tmp_path / "item_index.npy", np.zeros(2, np.int32))

    with pytest.raises(SourceError, match="do not fit"):
        read_sequences(tmp_path)


def test_an_array_of_another_type_is_refused(tmp_path: Path) -> None:
    write_sequences(tmp_path, SEQUENCES)
    np.save(tmp_path / "item_index.npy", np.zeros(3, np.float64))

    with pytest.raises(SourceError, match="another form"):
        read_sequences(tmp_path)


def test_a_vocabulary_with_a_gap_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "vocabulary.parquet", pa.table({"item_index": pa.array([1, 3], pa.int32()), "item_id": ["a", "b"]}))

    with pytest.raises(SourceError, match="gaps"):
        read_vocabulary(tmp_path)


def test_a_split_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text("{}")

    with pytest.raises(SourceError, match="split cannot be read"):
        read_split(tmp_path)


def rows(sequences: Sequences, user_ids: list[str]) -> pa.Table:
    """The sorted table that `write_rows` reads: a row an event."""
    owners = pa.array([user_ids[owner] for owner in sequences.owners.tolist()], pa.string())
    return pa.table({"user_id": owners, "item_index": sequences.item_index, "event_type": sequences.event_type, "occurred_at": sequences.occurred_at})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 7), max_size=8), st.integers(1, 9))
def test_streamed_rows_give_the_bytes_of_the_arrays_however_they_are_cut(tmp_path: Path, lengths: list[int], cut: int) -> None:
    events = np.arange(sum(lengths))
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    sequences = Sequences(events.astype(np.int32), (events % 5).astype(np.int8), events.astype(np.int64) * 10**9, offsets)
    user_ids = [f"user-{number}" for number in range(len(lengths))]
    write_sequences(tmp_path / "whole", sequences)

    users = write_rows(tmp_path / "streamed", rows(sequences, user_ids).to_batches(max_chunksize=cut))

    assert users.to_pylist() == user_ids
    for name in ARRAYS:
        assert (tmp_path / "streamed" / f"{name}.npy").read_bytes() == (tmp_path / "whole" / f"{name}.npy").read_bytes()


def test_a_stream_that_fails_leaves_the_old_arrays(tmp_path: Path) -> None:
    write_sequences(tmp_path, SEQUENCES)

    def failing() -> Iterator[pa.RecordBatch]:
        yield rows(SEQUENCES, ["a", "b", "c"]).slice(0, 1).to_batches()[0]
        raise SourceError("the engine failed")

    with pytest.raises(SourceError, match="engine"):
        write_rows(tmp_path, failing())

    assert read_sequences(tmp_path).item_index.tolist() == [1, 0, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.npy" for name in ARRAYS)


def test_writing_again_does_not_pull_the_file_from_under_who_reads_it(tmp_path: Path) -> None:
    write_sequences(tmp_path, SEQUENCES)
    mapped = read_sequences(tmp_path)

    write_sequences(tmp_path, mapped.before(6))

    assert mapped.item_index.tolist() == [1, 0, 2]
    assert read_sequences(tmp_path).item_index.tolist() == [1]
