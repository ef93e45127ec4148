from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.baselines import ItemToItem
from footfall.core.item_facts import CatalogueFacts, catalogue_facts
from footfall.core.related import NOT_TOGETHER, PROFILE, Related, companions, substitutes
from footfall.core.vocabulary import Vocabulary

PHONE, RIVAL, CASE, CABLE, TEA, NOVELTY = range(6)
# both phones are bought with case and cable; tea is bought with a case once; nobody bought the novelty with anything
NEIGHBOURS = [[CASE, CABLE, RIVAL], [CASE, CABLE, 0], [PHONE, RIVAL, TEA], [PHONE, RIVAL, 0], [CASE, 0, 0], [0, 0, 0]]
SIMILAR = [[0.8, 0.5, 0.1], [0.8, 0.5, 0.0], [0.8, 0.8, 0.1], [0.5, 0.5, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]]
PATHS = ["tech > phones > smart", "tech > phones > smart", "tech > cases", "tech > cables", "food > tea", "tech > phones > folding"]
SHOP = Vocabulary(("phone", "rival", "case", "cable", "tea", "novelty"))


def related(popularity: tuple[float, ...] = (0,) * 6, vectors: np.ndarray | None = None) -> Related:
    table = ItemToItem(np.array(NEIGHBOURS, np.int32), np.array(SIMILAR, np.float32))
    return Related.of(table, np.array(popularity, float), vectors)


@pytest.fixture
def facts() -> CatalogueFacts:
    rows: list[dict[str, Any]] = [
        {"item_id": item, "title": "", "category_path": path, "available": True, "recommendable": True}
        for item, path in zip(SHOP.item_ids, PATHS, strict=True)
    ]
    return catalogue_facts(SHOP, rows)


def test_together_sums_similarities_and_pulls_towards_what_many_buy() -> None:
    assert related().together(np.array([PHONE])) == pytest.approx([0, 0.1, 0.8, 0.5, 0, 0])
    assert related().together(np.array([CASE, CABLE])) == pytest.approx([1.3, 1.3, 0, 0, 0.1, 0])
    assert related((0, 0, 0, 3, 0, 0)).together(np.array([PHONE])) == pytest.approx([0, 0.1, 0.8, 1.0, 0, 0])  # sqrt(1 + 3) = 2


def test_items_bought_with_the_same_things_are_alike_though_never_bought_together() -> None:
    found = related().alike(RIVAL)
    # profiles: phone (.1 rival, .8 case, .5 cable), rival (.8 case, .5 cable), tea (.1 case)
    assert found[PHONE] == pytest.approx((0.8 * 0.8 + 0.5 * 0.5) / np.sqrt(0.9 * 0.89), abs=1e-6)
    assert found[TEA] == pytest.approx(0.8 / np.sqrt(0.89), abs=1e-6)
    assert found[PHONE] > found[TEA] > found[NOVELTY] > 0


def test_an_item_that_nobody_bought_with_anything_is_compared_by_vectors() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 1], [-1, 0], [0, 0], [2, 0]], np.float32)
    found = related(vectors=vectors).alike(NOVELTY)
    assert found == pytest.approx([1, 0, np.sqrt(0.5), 0, 0, 1], abs=1e-6)
    assert related(vectors=vectors).alike(RIVAL) == pytest.approx(related().alike(RIVAL))
    assert related((9, 4, 1, 0, 0, 0)).alike(NOVELTY).argsort()[::-1][:3].tolist() == [PHONE, RIVAL, CASE]  # without vectors by popularity


def test_substitutes_are_of_the_same_category_first(facts: CatalogueFacts) -> None:
    assert (-substitutes(related(), PHONE)).argsort()[0] == RIVAL
    best = (-substitutes(related((0, 0, 99, 99, 99, 0)), PHONE, facts)).argsort(kind="stable")
    assert [column for column in best.tolist() if column != PHONE][:2] == [RIVAL, NOVELTY]  # the whole path, then two levels of it
    assert substitutes(related(), PHONE, facts)[RIVAL] == pytest.approx(3)


def test_companions_are_of_another_category_first(facts: CatalogueFacts) -> None:
    found = companions(related(), np.array([PHONE]), facts)
    assert (-found).argsort()[:3].tolist() == [CASE, CABLE, RIVAL]
    assert found[CASE] == pytest.approx(2)
    assert found[RIVAL] == pytest.approx(0.1 / 0.8)
    assert 0 < found[TEA] <= NOT_TOGETHER
    lifted = related((0, 9999, 0, 0, 0, 0))
    assert (-companions(lifted, np.array([PHONE]))).argsort()[0] == RIVAL
    assert (-companions(lifted, np.array([PHONE]), facts)).argsort()[:3].tolist() == [CASE, CABLE, RIVAL]


def test_a_basket_has_companions_outside_all_of_its_categories(facts: CatalogueFacts) -> None:
    found = companions(related(), np.array([PHONE, CASE]), facts)
    assert found[[PHONE, CASE]].max() <= NOT_TOGETHER
    assert (-found).argsort()[:2].tolist() == [CABLE, TEA]


def test_without_facts_of_the_item_no_category_is_preferred() -> None:
    nothing = catalogue_facts(SHOP, [])
    assert np.array_equal(companions(related(), np.array([PHONE]), nothing), companions(related(), np.array([PHONE])))
    assert np.array_equal(substitutes(related(), PHONE, nothing), substitutes(related(), PHONE))


@given(st.integers(0, 2**32 - 1))
def test_nearness_is_the_cosine_of_profiles(seed: int) -> None:
    random = np.random.default_rng(seed)
    items, width = 9, 4
    lists = np.stack([random.permutation([j for j in range(items) if j != i])[:width] for i in range(items)]).astype(np.int32)
    similar = np.sort(random.random((items, width)).astype(np.float32))[:, ::-1] * (np.arange(width) < random.integers(0, width + 1, (items, 1)))
    lists = np.where(similar > 0, lists, 0)
    profiles = np.zeros((items, items))
    np.maximum.at(profiles, (np.arange(items)[:, None], lists), similar)
    profiles /= np.maximum(np.linalg.norm(profiles, axis=1, keepdims=True), 1e-9)
    chosen = random.permutation(items)[:5]
    near = Related.of(ItemToItem(lists.astype(np.int32), similar.astype(np.float32)), np.zeros(items)).near(chosen)
    for position in (3, 0, 3, 4):
        assert near(position) == pytest.approx(profiles[chosen] @ profiles[chosen[position]], abs=1e-5)


def test_a_profile_is_made_of_the_closest_neighbours_alone() -> None:
    items = PROFILE + 3
    lists = np.tile(np.arange(2, items, dtype=np.int32), (items, 1))
    lists[1, -1] = 0  # unlike the others' only beyond the closest
    similar = np.full(lists.shape, 0.5, np.float32)
    alone = Related.of(ItemToItem(lists[:, :PROFILE], similar[:, :PROFILE]), np.zeros(items)).near(np.array([0, 1]))(0)
    whole = Related.of(ItemToItem(lists, similar), np.zeros(items))
    assert whole.near(np.array([0, 1]))(0) == pytest.approx(alone)
    assert whole.near(np.array([0, 1]), PROFILE + 1)(0)[1] == pytest.approx(PROFILE / (PROFILE + 1))
