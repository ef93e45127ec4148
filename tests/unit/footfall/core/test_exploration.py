"""Slates that are drawn, and that the chances they are logged with are the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.exploration import Exploration, Placements, explore, placements, request_stream

ITEMS = np.array([11, 12, 13, 14, 15, 16, 17, 18])
SCORES = np.array([3.0, 2.5, 2.0, 1.0, 0.5, 0.2, 0.1, 0.0])
DRAWS = 100_000


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Candidates, positions and a scheme of any shape."""
    k, count = draw(st.integers(1, 12)), draw(st.integers(1, 30))
    scores = draw(st.lists(st.floats(-50, 50), min_size=count, max_size=count))
    exploration = Exploration(
        draw(st.floats(0, 1)), draw(st.integers(1, 14)), draw(st.integers(0, 12)), draw(st.none() | st.floats(0.05, 100, allow_nan=False))
    )
    held = draw(st.none() | st.lists(st.booleans(), min_size=k, max_size=k).map(np.array))
    return {"items": np.arange(1, count + 1), "scores": np.array(scores), "k": k, "exploration": exploration, "held": held}


@pytest.mark.parametrize("temperature", [None, 0.7], ids=["uniform", "softmax"])
def test_each_item_stands_at_each_position_as_often_as_its_propensity_says(temperature: float | None) -> None:
    exploration, random = Exploration(0.6, 2, 3, temperature), np.random.default_rng(5)
    held = np.array([False, False, True, False, False])
    counts, said = np.zeros((5, 8)), placements(ITEMS, SCORES, 5, exploration, held).chances
    for _ in range(DRAWS):
        shown, propensities = explore(ITEMS, SCORES, 5, exploration, random, held)
        counts[np.arange(5), shown - 11] += 1
    assert np.abs(counts / DRAWS - said).max() < 0.01
    assert propensities == pytest.approx(said[np.arange(5), shown - 11])
    assert said[[0, 2], [0, 2]].tolist() == [1.0, 1.0]  # protected, and held
    assert (said[np.ix_([1, 3, 4], [1, 3, 4, 5, 6, 7])] > 0).all()


def test_the_chances_of_one_and_of_two_exploring_positions_are_those_worked_out_by_hand() -> None:
    """One position and a pool of one: it is exchanged with chance .4, and half of the time with itself."""
    one = placements(ITEMS[:2], SCORES[:2], 1, Exploration(0.4, 1, 1))
    assert one.chances == pytest.approx(np.array([[0.8, 0.2]]))
    # two positions, no pool: each of two exchanges swaps the two with chance .2; they end swapped when just one of them does
    two = placements(ITEMS[:2], SCORES[:2], 2, Exploration(0.4, 1, 0))
    assert two.chances == pytest.approx(np.array([[0.68, 0.32], [0.32, 0.68]]))
    # softmax of log 3 and 0 draws the first place with chance .75, so that only a quarter of the exchanges changes anything
    soft = placements(ITEMS[:2], np.array([np.log(3) * 2, 0.0]), 1, Exploration(0.4, 1, 1, temperature=2.0))
    assert soft.chances == pytest.approx(np.array([[0.9, 0.1]]))


@given(requests(), st.integers(0, 1000))
def test_propensities_are_chances_and_no_item_comes_twice(request_: dict[str, Any], seed: int) -> None:
    shown, propensities = explore(**request_, random=np.random.default_rng(seed))
    possible = placements(**request_)
    assert len(shown) == len(propensities) == min(request_["k"], len(request_["items"]))
    assert len(set(shown.tolist())) == len(shown)
    assert ((propensities > 0) & (propensities <= 1)).all()
    assert propensities.tolist() == possible.of(shown).tolist()
    assert possible.chances.sum(axis=1) == pytest.approx(np.ones(len(shown)))
    assert (possible.chances.sum(axis=0) <= 1 + 1e-9).all()
    protected = min(request_["exploration"].first - 1, len(shown))
    assert shown[:protected].tolist() == request_["items"][:protected].tolist()
    assert propensities[:protected].tolist() == [1.0] * protected
    if request_["held"] is not None:
        still = request_["held"][: len(shown)]
        assert shown[still].tolist() == request_["items"][: len(shown)][still].tolist()
        assert (propensities[still] == 1.0).all()


def test_with_rate_nought_nothing_is_drawn_and_every_propensity_is_one() -> None:
    random = np.random.default_rng(1)
    shown, propensities = explore(ITEMS, SCORES, 4, Exploration(), random)
    assert shown.tolist() == [11, 12, 13, 14]
    assert propensities.tolist() == [1.0] * 4
    assert random.random() == np.random.default_rng(1).random()


def test_the_same_request_gives_the_same_slate_and_another_one_another() -> None:
    def slate(request_id: str) -> list[int]:
        shown: list[int] = explore(ITEMS, SCORES, 6, Exploration(1.0, 1, 2), request_stream(request_id)).items.tolist()
        return shown

    assert slate("rq-1") == slate("rq-1")
    assert len({tuple(slate(f"rq-{number}")) for number in range(50)}) > 40


def test_the_draws_of_a_request_id_never_change() -> None:
    """Slates that were logged a year ago must be redone with today's code."""
    assert explore(ITEMS, SCORES, 5, Exploration(0.5, 2, 3), request_stream("rq-golden")).items.tolist() == [11, 13, 12, 15, 14]


def test_another_policy_is_asked_how_likely_it_would_have_shown_what_was_logged() -> None:
    logging = Placements(np.array([1, 2, 3]), np.array([[0.8, 0.2, 0.0], [0.2, 0.7, 0.1]]))
    other = Placements(np.array([3, 1, 9]), np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]]))
    assert other.of(np.array([1, 2])).tolist() == [0.5, 0.0]
    assert other.of(np.array([3, 9])).tolist() == [0.5, 0.75]
    # at the top item 3 is never shown by the logging policy, at the second position item 9 is not
    assert other.covered_by(logging).tolist() == [0.5, 0.25]
    assert logging.covered_by(logging) == pytest.approx([1.0, 1.0])
    with pytest.raises(ValueError, match="differ in positions: 2 and 1"):
        logging.covered_by(Placements(np.array([1]), np.ones((1, 1))))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 1.1}, "rate is from 0 to 1"),
        ({"rate": float("nan")}, "rate is from 0 to 1"),
        ({"first": 0}, "first is 1 or more"),
        ({"pool": -1}, "pool 0 or more"),
        ({"temperature": 0.0}, "temperature is above 0"),
    ],
)
def test_a_scheme_that_cannot_be_drawn_from_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Exploration(**change)


def test_candidates_that_do_not_fit_are_refused() -> None:
    scheme = Exploration(0.5, 1, 2, temperature=1.0)
    with pytest.raises(ValueError, match="k is 1 or more"):
        placements(ITEMS, SCORES, 0, scheme)
    with pytest.raises(ValueError, match="8 candidates and 7 scores"):
        placements(ITEMS, SCORES[:7], 3, scheme)
    with pytest.raises(ValueError, match="comes twice"):
        placements(np.array([1, 2, 1]), SCORES[:3], 3, scheme)
    with pytest.raises(ValueError, match="each of 3 positions, found 2"):
        placements(ITEMS, SCORES, 3, scheme, np.array([True, False]))
    with pytest.raises(ValueError, match="finite"):
        placements(ITEMS, np.where(ITEMS == 13, -np.inf, SCORES), 3, scheme)
