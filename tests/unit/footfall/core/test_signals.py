"""Queries and durations: normalised, looked up and put into codes by one rule, and carried along by every cut of the sequences."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core import signals
from footfall.core.sequences import Sequences
from footfall.core.signals import DURATION_CODES, duration_codes, encode_queries, normalise_query, unknown_signals
from footfall.core.vocabulary import Vocabulary


def numbered(lengths: list[int]) -> Sequences:
    """Users of so many events; every array counts the events from 1, so that each event knows which it is."""
    events = np.arange(1, sum(lengths) + 1)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    return Sequences(events.astype(np.int32), np.zeros(len(events), np.int8), events, offsets, events.astype(np.int32), events.astype(np.int8))


def test_the_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(signals).failed == 0
    assert doctest.testmod(signals).attempted


@pytest.mark.parametrize(
    ("typed", "counted"),
    [
        ("Tea", "tea"),
        ("\tgreen  tea\n", "green tea"),
        ("ＴＥＡ", "tea"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ﬁne 茶", "fine 茶"),
        (" \u3000", ""),
    ],
)
def test_a_query_is_compared_without_case_width_and_white_space(typed: str, counted: str) -> None:
    assert normalise_query(typed) == counted


@given(st.text("aÄẞﬁＴ茶İŉ\t\u3000\u0345", max_size=12))
def test_case_and_white_space_make_no_other_query(text: str) -> None:
    assert normalise_query(f"  {text} ") == normalise_query(text)
    assert normalise_query(normalise_query(text)) == normalise_query(text)


def test_an_unknown_query_is_0() -> None:
    assert encode_queries(Vocabulary(("soap", "tea")), ["TEA", "coffee", None, "", "soap "]).tolist() == [2, 0, 0, 0, 1]


def test_duration_codes_double_from_a_second_on_and_0_is_unknown() -> None:
    seconds = [None, float("nan"), -1.0, 0.0, 0.99, 1.0, 1.99, 2.0, 3.99, 4.0, 8191.0, 8192.0, 1e9, float("inf")]
    assert duration_codes(seconds).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 14, 15, 15, 15]
    assert DURATION_CODES == 16
    assert duration_codes([]).dtype == np.int8


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_a_longer_view_has_no_smaller_code(seconds: list[float]) -> None:
    codes = duration_codes(sorted(seconds))
    assert (np.diff(codes) >= 0).all()
    assert 1 <= codes[0] <= codes[-1] < DURATION_CODES


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.data())
def test_every_cut_carries_the_signals_along(lengths: list[int], data: st.DataObject) -> None:
    users = numbered(lengths)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1))), np.int64)
    cuts = [users.take(chosen), users.last(2), users.before(sum(lengths) // 2), users.keep(users.item_index % 2 == 0)]
    for cut in cuts:
        np.testing.assert_array_equal(cut.query_index, cut.item_index)
        np.testing.assert_array_equal(cut.duration, cut.item_index)


def test_signals_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Sequences(np.ones(2, np.int32), np.ones(2, np.int8), np.ones(2, np.int64), np.array([0, 2]), np.ones(3, np.int32))


def test_what_a_model_cannot_read_is_named_and_what_it_does_not_look_at_fits() -> None:
    users = numbered([3])
    assert unknown_signals(users, 3, 4) is None
    assert unknown_signals(users, 0, 0) is None
    assert unknown_signals(users, 2, 4) == "query_index from 1 to 3; the model knows 0 to 2"
    assert unknown_signals(users, 3, 3) == "duration from 1 to 3; the model knows 0 to 2"
