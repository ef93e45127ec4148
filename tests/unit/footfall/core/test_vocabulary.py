"""item_id <-> item_index."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.vocabulary import Vocabulary


def test_indices_run_from_one_and_zero_means_no_item() -> None:
    vocabulary = Vocabulary(("apple", "pear"))

    assert vocabulary.encode(["pear", "apple", "fuel", None]).tolist() == [2, 1, 0, 0]
    assert vocabulary.encode([]).tolist() == []
    assert "pear" in vocabulary
    assert "fuel" not in vocabulary


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=30))
def test_decoding_what_was_encoded_gives_the_items_back(item_ids: list[str]) -> None:
    vocabulary = Vocabulary(tuple(item_ids))

    assert vocabulary.decode(vocabulary.encode(item_ids)) == item_ids


@pytest.mark.parametrize("index", [0, -1, 3])
def test_an_index_outside_the_vocabulary_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=r"outside 1\.\.2"):
        Vocabulary(("apple", "pear")).decode([index])


def test_an_item_cannot_stand_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(("apple", "apple"))
