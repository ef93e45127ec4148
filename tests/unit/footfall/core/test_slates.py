from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.item_facts import CatalogueFacts, catalogue_facts
from footfall.core.metrics import top_k
from footfall.core.related import Near
from footfall.core.slates import CANDIDATES, Filters, Wishes, choose, diversify, lean
from footfall.core.vocabulary import Vocabulary
from footfall.errors import ContractError

SHOP = Vocabulary(("phone", "case", "banana", "gift", "mystery"))
NOW = 100
ROWS: list[dict[str, Any]] = [
    {"item_id": "phone", "category_path": "tech > phones", "brand": "Acme", "price_minor": 500, "currency": "EUR"},
    {"item_id": "case", "category_path": "tech > cases", "brand": "Zeta", "price_minor": 0, "currency": "EUR", "available": False},
    {"item_id": "banana", "category_path": "food", "price_minor": 30, "currency": "CNY", "available_from": NOW + 1},
    {"item_id": "gift", "category_path": "", "brand": "Acme", "recommendable": False},
]


@pytest.fixture(scope="module")
def facts() -> CatalogueFacts:
    return catalogue_facts(SHOP, [{"title": "", "available": True, "recommendable": True} | row for row in ROWS])


def matrix(near: np.ndarray) -> Callable[[np.ndarray], Near]:
    """Nearness from a square table of all items, as `choose` asks for it."""
    return lambda columns: lambda position: near[np.ix_(columns, columns)][position].astype(np.float32)


@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        (Filters(), ["phone", "case", "banana", "gift", "mystery"]),
        (Filters(categories=["tech"]), ["phone", "case"]),
        (Filters(categories=["tech > cases", "food"]), ["case", "banana"]),
        (Filters(categories=["toys"]), []),
        (Filters(brands=["Acme"]), ["phone", "gift"]),
        (Filters(brands=["Acme", "Zeta"], categories=["tech"]), ["phone", "case"]),
        (Filters(price_from=0), ["phone", "case", "banana"]),
        (Filters(price_to=30), ["case", "banana"]),
        (Filters(price_from=30, price_to=500), ["phone", "banana"]),
        (Filters(price_to=500, currency="EUR"), ["phone", "case"]),
        (Filters(price_from=1, price_to=0), []),
        (Filters(price_from=-5, price_to=-1), []),
        (Filters(in_stock=True), ["phone", "gift"]),
        (Filters(recommendable=True), ["phone", "case", "banana"]),
    ],
)
def test_an_item_passes_all_that_is_asked_and_none_that_asks_for_a_fact_it_lacks(facts: CatalogueFacts, filters: Filters, passing: list[str]) -> None:
    assert [item for item, passes in zip(SHOP.item_ids, filters.passing(facts, NOW), strict=True) if passes] == passing


PATHS = ["a", "a > b", "a > b > c", "a > bb", "d", ""]
DRAWN_ROWS = st.lists(
    st.none()
    | st.fixed_dictionaries(
        {
            "category_path": st.sampled_from(PATHS),
            "brand": st.sampled_from([None, "x", "y"]),
            "price_minor": st.none() | st.integers(0, 5),
            "currency": st.sampled_from([None, "EUR", "CNY"]),
            "available": st.booleans(),
            "available_from": st.none() | st.integers(NOW - 1, NOW + 1),
            "recommendable": st.booleans(),
        }
    ),
    min_size=5,
    max_size=5,
)
DRAWN_FILTERS = st.builds(
    Filters,
    categories=st.lists(st.sampled_from(PATHS), max_size=2),
    brands=st.lists(st.sampled_from(["x", "y", "z"]), max_size=2),
    price_from=st.none() | st.integers(0, 5),
    price_to=st.none() | st.integers(0, 5),
    currency=st.sampled_from([None, "EUR"]),
    in_stock=st.booleans(),
    recommendable=st.booleans(),
)


def holds(filters: Filters, row: dict[str, Any] | None) -> bool:
    """The same rule, a row at a time."""
    if row is None:
        return filters == Filters(categories=[], brands=[])
    path, price = row["category_path"], row["price_minor"]
    rules = [
        not filters.categories or any(path and asked and (path == asked or path.startswith(f"{asked} > ")) for asked in filters.categories),
        not filters.brands or row["brand"] in filters.brands,
        filters.price_from is None or (price is not None and price >= filters.price_from),
        filters.price_to is None or (price is not None and price <= filters.price_to),
        filters.currency is None or row["currency"] == filters.currency,
        not filters.in_stock or (row["available"] and (row["available_from"] is None or row["available_from"] <= NOW)),
        not filters.recommendable or row["recommendable"],
    ]
    return all(rules)


@given(DRAWN_ROWS, DRAWN_FILTERS)
def test_filters_hold_for_every_item(rows: list[dict[str, Any] | None], filters: Filters) -> None:
    told = [{"item_id": item, "title": "", **row} for item, row in zip(SHOP.item_ids, rows, strict=True) if row is not None]
    passing = filters.passing(catalogue_facts(SHOP, told), NOW)
    assert passing.tolist() == [holds(filters, row) for row in rows]


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"k": 101}, {"diversity": -0.1}, {"diversity": 1.1}, {"diversity": float("nan")}, {"exclude": "ab"}, {"context": "ab"}]
)
def test_wishes_out_of_bounds_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match=next(iter(wrong))):
        Wishes(**wrong)


def test_the_second_position_goes_to_what_is_worth_less_and_unlike_the_first() -> None:
    near = np.eye(4)
    near[0, 1] = near[1, 0] = 0.9
    scores = np.array([1.0, 0.8, 0.5, 0.0])
    # at .5: item 1 has .5 * .8 - .5 * .9 = -.05, item 2 has .25; then item 3 has 0
    assert choose(scores, 4, 0.5, matrix(near)).tolist() == [0, 2, 3, 1]
    # at .1: item 1 has .9 * .8 - .09 = .63, item 2 has .45
    assert choose(scores, 3, 0.1, matrix(near)).tolist() == [0, 1, 2]


def test_what_was_taken_long_ago_still_counts() -> None:
    near = np.eye(4)
    near[0, 3] = near[3, 0] = 1.0
    assert choose(np.array([1.0, 0.9, 0.8, 0.7]), 3, 0.9, matrix(near)).tolist() == [0, 1, 2]


def test_equal_scores_are_told_apart_by_nearness_alone() -> None:
    near = np.eye(3)
    near[0, 1] = near[1, 0] = 0.5
    assert choose(np.ones(3), 3, 0.2, matrix(near)).tolist() == [0, 2, 1]


def test_only_the_best_candidates_compete_however_unlike_the_others_are() -> None:
    items = CANDIDATES + 50
    near = np.ones((items, items))
    near[-50:] = near[:, -50:] = 0.0
    assert choose(np.arange(items, 0.0, -1), 5, 1.0, matrix(near)).max() < CANDIDATES


def test_leaning_lifts_what_goes_best_to_twice_the_best_at_most() -> None:
    scores = np.array([4.0, 1.0, 0.0, 0.5])
    assert lean(scores, np.array([0.0, 3.0, 1.5, 0.0])).tolist() == [0.0, 4.0, 2.0, 0.0]
    assert lean(scores, np.zeros(4)).tolist() == [0.0, 0.0, 0.0, 0.0]


@st.composite
def shelves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(V,) scores, many of them equal, some -inf, and (V, V) nearness."""
    items = draw(st.integers(1, 30))
    scores = draw(st.lists(st.sampled_from([-np.inf, 0.0, 0.25, 0.5, 1.0, 7.0, 1e-9]), min_size=items, max_size=items))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.array(scores), random.random((items, items))


@given(shelves(), st.integers(1, 40), st.floats(0, 1))
def test_a_slate_holds_nothing_twice_nothing_forbidden_and_all_that_fits(shelf: tuple[np.ndarray, np.ndarray], k: int, dial: float) -> None:
    scores, near = shelf
    found = choose(scores, k, dial, matrix(near))
    assert len(set(found.tolist())) == len(found) == min(k, int(np.isfinite(scores).sum()))
    assert np.isfinite(scores[found]).all()
    if len(found):
        assert scores[found[0]] == scores.max()


@given(shelves(), st.integers(1, 40))
def test_a_dial_at_0_leaves_the_ranking_as_it_is(shelf: tuple[np.ndarray, np.ndarray], k: int) -> None:
    scores, near = shelf
    plain = top_k(scores[None], k)[0]
    plain = plain[np.isfinite(scores[plain])]
    assert choose(scores, k, 0.0, matrix(near)).tobytes() == plain.tobytes()
    everything = top_k(scores[None], len(scores))[0]
    everything = everything[np.isfinite(scores[everything])]
    if len(everything):  # and what re-ranks comes to the same of itself
        assert diversify(scores[everything], matrix(near)(everything), 0.0, k).tolist() == list(range(min(k, len(everything))))
