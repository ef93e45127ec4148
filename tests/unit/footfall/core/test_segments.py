from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core import segments
from footfall.core.segments import LEAST_BUYERS, PRIOR, SegmentShares, SegmentTally
from footfall.core.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("a", "b", "c"))
POPULARITY = np.array([10.0, 30, 0])


def counted(*groups: tuple[str, int, dict[str, int]]) -> SegmentShares:
    """Shares of so many users of a segment who each bought the same."""
    tally = SegmentTally(VOCABULARY, {segment: 1000 for segment, *_ in groups})
    for segment, users, bought in groups:
        for _ in range(users):
            tally.add([segment], bought)
    return tally.shares(POPULARITY)


def test_a_segment_of_twenty_is_drawn_to_what_is_popular_with_all() -> None:
    shares = counted(("gold", 20, {"a": 3}))
    assert shares.shares[shares.rows["gold"]] == pytest.approx([(20 + 200 / 4) / 220, 150 / 220, 0])
    assert shares.popular(["gold"]) == pytest.approx([70 / 150, 1, 0])


def test_a_segment_of_thousands_is_itself() -> None:
    assert counted(("gold", 4000, {"c": 2, "a": 1})).popular(["gold"]) == pytest.approx([1 / 2, 0.05, 1], abs=0.05)


def test_fewer_buyers_than_twenty_are_nobody() -> None:
    shares = counted(("gold", LEAST_BUYERS - 1, {"a": 100}), ("vip", LEAST_BUYERS, {"c": 1}))
    assert (shares.popular(["gold"]), list(shares.rows)) == (None, ["vip"])
    assert shares.popular(["gold", "vip"]) == pytest.approx(shares.popular(["vip"]))
    assert counted().popular(["gold"]) is None


def test_whoever_bought_only_what_the_release_does_not_know_is_no_buyer() -> None:
    assert counted(("gold", 19, {"a": 1, "tea": 1}), ("gold", 5, {"tea": 1}), ("gold", 5, {})).popular(["gold"]) is None
    assert counted(("gold", 20, {"a": 1, "tea": 1})).popular(["gold"]) == pytest.approx(counted(("gold", 20, {"a": 1})).popular(["gold"]))


def test_of_several_segments_the_shares_are_averaged_however_large_they_are() -> None:
    shares = counted(("gold", 20, {"a": 9}), ("vip", 500, {"c": 1}))
    both = (shares.shares[shares.rows["gold"]] + shares.shares[shares.rows["vip"]]) / 2
    assert shares.popular(["vip", "nonsense", "gold", "vip"]) == pytest.approx(both / both.max())


def test_the_largest_segments_have_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    users = {"small": LEAST_BUYERS - 1, "b": 30, "a": 30, "large": 31}
    assert list(SegmentTally(VOCABULARY, users).segments) == ["large", "a", "b"]
    monkeypatch.setattr(segments, "CELLS", 8)
    assert list(SegmentTally(VOCABULARY, users).segments) == ["large", "a"]
    monkeypatch.setattr(segments, "MOST_SEGMENTS", 1)
    assert list(SegmentTally(VOCABULARY, users).segments) == ["large"]


def test_where_nothing_is_popular_the_segment_speaks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.POPULARITY", np.zeros(3))
    assert counted(("gold", 20, {"a": 3, "c": 1})).popular(["gold"]) == pytest.approx([1, 0, 1 / 3])


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 1000), min_size=1), min_size=LEAST_BUYERS, max_size=40),
    st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(any),
)
def test_a_share_lies_between_the_segments_own_and_that_of_all(baskets: list[dict[str, int]], popular: list[int]) -> None:
    tally = SegmentTally(VOCABULARY, {"gold": len(baskets)})
    for bought in baskets:
        tally.add(["gold"], bought)
    (row,) = tally.shares(np.array(popular, float)).shares
    own = np.array([sum(bought.get(item, 0) for bought in baskets) for item in "abc"])
    own, overall = own / own.sum(), np.array(popular) / sum(popular)
    assert row.sum() == pytest.approx(1, abs=1e-5)
    assert (row >= np.minimum(own, overall) - 1e-5).all()
    assert (row <= np.maximum(own, overall) + 1e-5).all()
    weight = len(baskets) / (len(baskets) + PRIOR)
    assert row == pytest.approx(weight * own + (1 - weight) * overall, abs=1e-5)
