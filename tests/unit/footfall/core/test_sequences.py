"""Histories as arrays, in memory or mapped read-only: what is kept, cut and taken."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from footfall.arrays.histories import read_sequences, write_sequences
from footfall.core.sequences import Sequences

HISTORIES = st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6)


def made(histories: list[list[int]]) -> Sequences:
    """One user a list; an event's item is its number in all, its moment what the list says."""
    moments = np.array([moment for history in histories for moment in sorted(history)], np.int64)
    offsets = np.cumsum([0, *(len(history) for history in histories)]).astype(np.int64)
    return Sequences(np.arange(len(moments), dtype=np.int32), np.zeros(len(moments), np.int8), moments, offsets)


def as_lists(sequences: Sequences) -> list[list[int]]:
    """Item indices of each user."""
    bounds = sequences.offsets.tolist()
    return [sequences.item_index[start:end].tolist() for start, end in itertools.pairwise(bounds)]


@given(HISTORIES, st.integers(0, 9))
def test_before_keeps_earlier_events_and_every_user(histories: list[list[int]], moment: int) -> None:
    sequences = made(histories)
    items = dict(enumerate(sequences.occurred_at.tolist()))

    assert as_lists(sequences.before(moment)) == [[item for item in user if items[item] < moment] for user in as_lists(sequences)]
    assert sequences.count(sequences.occurred_at < moment).tolist() == sequences.before(moment).lengths.tolist()


@given(HISTORIES, st.integers(1, 6))
def test_last_keeps_the_newest(histories: list[list[int]], events: int) -> None:
    assert as_lists(made(histories).last(events)) == [user[-events:] for user in as_lists(made(histories))]


@given(HISTORIES, st.data())
def test_take_gives_the_users_asked_for_in_that_order(histories: list[list[int]], data: st.DataObject) -> None:
    users = data.draw(st.lists(st.integers(0, max(len(histories) - 1, 0)), max_size=5 if histories else 0))

    taken = made(histories).take(np.array(users, np.int64))

    assert as_lists(taken) == [as_lists(made(histories))[user] for user in users]


def test_each_users_limit_may_be_its_own() -> None:
    assert as_lists(made([[1, 2, 3], [], [1, 2, 3]]).before(np.array([3, 9, 1]))) == [[0, 1], [], []]


def test_a_session_starts_with_a_user_and_after_a_longer_pause() -> None:
    sequences = made([[0, 2, 5], [], [6, 9]])

    assert sequences.session_starts(2).tolist() == [True, False, True, True, True]
    assert sequences.session_starts(3).tolist() == [True, False, False, True, False]
    assert made([[]]).session_starts(2).tolist() == []


def test_mapped_arrays_answer_like_those_in_memory_and_cannot_be_written(tmp_path: Path) -> None:
    sequences = made([[1, 2, 3], [], [2, 4]])
    write_sequences(tmp_path, sequences)

    mapped = read_sequences(tmp_path)

    assert not mapped.item_index.flags.writeable
    for one, other in ((mapped.before(3), sequences.before(3)), (mapped.last(1), sequences.last(1)), (mapped.take(np.array([2])),) * 2):
        assert as_lists(one) == as_lists(other)
        assert one.item_index.flags.writeable  # a part is a copy, and no window on the whole file
