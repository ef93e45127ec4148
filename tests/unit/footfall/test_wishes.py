"""Wishes, as the recommender grants them: one shop of six items in which all is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.bundle import Content
from footfall.core.baselines import ItemToItem
from footfall.core.item_facts import CatalogueFacts, catalogue_facts
from footfall.errors import ContractError
from footfall.recommender import POLICIES, History, Recommender, Slate, Wishes
from tests.unit.footfall.small_shop import DAY_US, FUSION, make_bundle_by_hand, use_table_scorer

NOW = 1000 * DAY_US
NOBODY = History([], [], [])
ITEMS = "abcdef"
NEIGHBOURS = ItemToItem(
    np.array([[1, 2, 3], [0, 2, 0], [1, 0, 3], [4, 2, 0], [3, 2, 0], [0, 0, 0]], np.int32),
    np.array([[0.9, 0.3, 0.1], [0.9, 0.5, 0.0], [0.5, 0.3, 0.2], [0.8, 0.1, 0.0], [0.8, 0.1, 0.0], [0.0, 0.0, 0.0]], np.float32),
)


def events(*told: tuple[str, str, float]) -> History:
    """(item, type, days ago)."""
    return History([item for item, _, _ in told], [kind for _, kind, _ in told], [NOW - round(days * DAY_US) for *_, days in told])


REGULAR = events(("c", "purchase", 9), ("d", "purchase", 5), ("c", "purchase", 2))


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_table_scorer(monkeypatch)
        content = Content(np.array([6.0, 5, 4, 3, 2, 1]), NEIGHBOURS, FUSION)
        folder = tmp_path_factory.mktemp("shop") / "bundle"
        return Recommender.open(make_bundle_by_hand(folder, items=6, logits=np.array([0, 0, 0, 0, 2.0, 3.0]), content=content))


@pytest.fixture(scope="module")
def facts(recommender: Recommender) -> CatalogueFacts:
    paths = ["tech > phones", "tech > phones", "tech > cases", "food > tea", "food > tea", "tech > phones"]
    rows: list[dict[str, Any]] = [
        {"item_id": item, "title": item, "category_path": path, "available": True, "recommendable": True}
        for item, path in zip(ITEMS, paths, strict=True)
    ]
    return catalogue_facts(recommender.vocabulary, rows)


def ask(recommender: Recommender, history: History, wishes: Wishes, policy: str = "fused") -> Slate:
    return recommender.recommend(recommender.encode([history]), NOW, wishes, policy)[0]


def shown(slate: Slate) -> str:
    return "".join(line.item_id for line in slate.items)


def mask(items: str) -> np.ndarray:
    return np.array([item in items for item in ITEMS])


def test_only_what_is_allowed_is_shown_and_popular_items_too_obey(recommender: Recommender) -> None:
    assert shown(ask(recommender, REGULAR, Wishes(6, allowed=mask("bdf")))) == "dbf"
    stranger = ask(recommender, NOBODY, Wishes(6, allowed=mask("bdf")))
    assert (shown(stranger), stranger.degraded) == ("bdf", "no_history")


@pytest.mark.parametrize("history", [NOBODY, REGULAR])
def test_when_nothing_passes_the_slate_is_empty_and_says_so(recommender: Recommender, history: History) -> None:
    for wishes in (Wishes(allowed=mask("")), Wishes(exclude=list(ITEMS)), Wishes(exclude=list("cdef"), allowed=mask("cd"))):
        for policy in POLICIES:
            assert ask(recommender, history, wishes, policy) == Slate([], policy, "nothing_passes")


def test_what_was_bought_before_is_left_out_where_that_is_wished(recommender: Recommender) -> None:
    told = events(("c", "purchase", 9), ("e", "view", 3), ("a", "purchase", -1))
    assert shown(ask(recommender, told, Wishes(6, unbought=True))) == "bfade"
    assert shown(ask(recommender, told, Wishes(6)))[0] == "c"


def test_a_context_item_draws_what_is_bought_with_it_and_is_not_shown_itself(recommender: Recommender) -> None:
    plain, drawn = ask(recommender, REGULAR, Wishes(6)), ask(recommender, REGULAR, Wishes(6, context=["a"]))
    assert shown(plain)[0] == "c"
    assert shown(plain).index("b") > 2
    assert shown(drawn)[:2] == "cb"  # c: bought before, and with a as well; b: the most with a
    assert "a" not in shown(drawn)
    assert {line.item_id: line.reason for line in drawn.items}["b"] == "often_bought_together"
    assert drawn.degraded is None


def test_looking_at_an_item_is_the_newest_event_of_a_stranger(recommender: Recommender) -> None:
    slate = ask(recommender, NOBODY, Wishes(6, context=["d"]))
    assert (shown(slate)[0], slate.items[0].reason, slate.degraded) == ("e", "often_bought_together", None)
    unknown = ask(recommender, NOBODY, Wishes(3, context=["nonsense"]))
    assert (shown(unknown), unknown.degraded) == ("abc", "no_history")


def test_a_view_of_the_context_item_is_what_the_model_reads_last(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    real = recommender.parts
    monkeypatch.setattr(recommender, "parts", lambda sequences, *rest: read.append(sequences) or real(sequences, *rest))
    ask(recommender, REGULAR, Wishes(context=["b"]))
    assert read[0].item_index.tolist() == [3, 4, 3, 2]
    assert (read[0].event_type[-1], read[0].occurred_at[-1]) == (2, NOW - 1)


def test_a_cart_is_context_and_what_lies_in_it_is_left_out(recommender: Recommender) -> None:
    told = events(("c", "purchase", 9), ("d", "cart", 0.1), ("b", "cart", 3))
    slate = ask(recommender, told, Wishes(6, cart=True))
    assert "d" not in shown(slate)
    assert "b" in shown(slate)  # put there days ago: forgotten
    assert shown(slate)[:2] == "ce"  # c: bought before, and with d as well; e: the most with d
    assert shown(ask(recommender, told, Wishes(6, cart=True))) == shown(ask(recommender, told, Wishes(6, context=["d"])))
    assert "d" in shown(ask(recommender, told, Wishes(6)))


def test_wishes_of_one_user_change_no_other_slate(recommender: Recommender) -> None:
    histories = [REGULAR, NOBODY, events(("e", "cart", 0.1)), REGULAR]
    asked = [Wishes(3), Wishes(2, allowed=mask("ef")), Wishes(6, cart=True, diversity=0.5), Wishes(5, ["c"], unbought=True, context=["a"])]
    together = recommender.recommend(recommender.encode(histories), NOW, asked)
    assert together == [ask(recommender, history, wishes) for history, wishes in zip(histories, asked, strict=True)]


@pytest.mark.parametrize("name", ["allowed", "popular"])
def test_a_row_of_another_vocabulary_is_refused(recommender: Recommender, name: str) -> None:
    wishes = Wishes(**{name: np.ones(5, bool if name == "allowed" else float)})
    with pytest.raises(ContractError, match=f"wishes do not fit the vocabulary\n  where: {name}"):
        ask(recommender, REGULAR, wishes)
    with pytest.raises(ContractError, match=f"where: {name}"):
        recommender.similar("a", wishes)


def test_what_is_popular_elsewhere_stands_in_only_where_popularity_would(recommender: Recommender) -> None:
    popular = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 1.0])
    stranger = ask(recommender, NOBODY, Wishes(3, popular=popular, exclude=["e"], allowed=mask("bcdef")))
    assert (shown(stranger), stranger.policy, stranger.degraded) == ("fdc", "popularity_in_segment_28d", "no_history")
    assert {line.reason for line in stranger.items} == {"popular_in_segment"}
    assert popular.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 1.0]
    for policy in POLICIES:
        told = ask(recommender, REGULAR, Wishes(6, popular=popular), policy)
        assert (told == ask(recommender, REGULAR, Wishes(6), policy)) is (policy != "popularity_28d")
    assert shown(ask(recommender, REGULAR, Wishes(6, popular=popular), "popularity_28d")) == "fedcba"


def test_a_diverse_slate_keeps_the_best_item_and_puts_what_is_unlike_it_next(recommender: Recommender) -> None:
    plain, diverse = ask(recommender, REGULAR, Wishes(6)), ask(recommender, REGULAR, Wishes(6, diversity=1.0))
    assert shown(diverse)[0] == shown(plain)[0] == "c"
    assert sorted(shown(diverse)) == sorted(shown(plain))
    # neighbours of c: b, a, d; of d: e, c; of e: d, c; f has none. So d is unlike c, e is like both, f is like nothing
    assert shown(plain)[:4] == "cdeb"
    assert shown(diverse)[:3] == "cdf"
    assert {line.item_id: line.score for line in diverse.items} == {line.item_id: line.score for line in plain.items}
    assert [line.position for line in diverse.items] == [1, 2, 3, 4, 5, 6]


@given(
    history=st.lists(
        st.tuples(st.sampled_from("abcdefX"), st.sampled_from(["view", "cart", "purchase"]), st.integers(1, 7200).map(lambda hours: hours / 24)),
        max_size=6,
    ),
    wishes=st.builds(
        Wishes,
        k=st.integers(1, 8),
        exclude=st.lists(st.sampled_from("abcX"), max_size=3),
        allowed=st.none() | st.lists(st.booleans(), min_size=6, max_size=6).map(np.array),
        unbought=st.booleans(),
        diversity=st.sampled_from([0.0, 0.3, 1.0]),
        context=st.lists(st.sampled_from("aefX"), max_size=2),
        cart=st.booleans(),
    ),
    policy=st.sampled_from(POLICIES),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_wish_holds_and_the_slate_is_as_long_as_it_can_be(
    recommender: Recommender, history: list[tuple[str, str, float]], wishes: Wishes, policy: str
) -> None:
    told = sorted(history, key=lambda event: -event[2])
    slate = ask(recommender, events(*told), wishes, policy)
    closed = {*wishes.exclude, *wishes.context}
    if wishes.unbought:
        closed |= {item for item, kind, _ in told if kind == "purchase"}
    if wishes.cart:
        put = {item for item, kind, days in told if kind == "cart" and days <= 1}
        closed |= {item for item in put if all(later != (item, "purchase") for later in _after_last_cart(told, item))}
    open_items = [item for number, item in enumerate(ITEMS) if item not in closed and (wishes.allowed is None or wishes.allowed[number])]
    assert len(slate.items) == min(wishes.k, len(open_items))
    assert len({line.item_id for line in slate.items}) == len(slate.items)
    assert {line.item_id for line in slate.items} <= set(open_items)
    assert (slate.degraded == "nothing_passes") == (not open_items)
    assert all(np.isfinite(line.score) and line.reason for line in slate.items)


def _after_last_cart(told: list[tuple[str, str, float]], item: str) -> list[tuple[str, str]]:
    """What happened from when an item was last put into the cart."""
    last = min(days for one, kind, days in told if (one, kind) == (item, "cart"))
    return [(one, kind) for one, kind, days in told if days <= last]


def test_similar_items_are_of_the_same_category_and_complementary_ones_of_another(recommender: Recommender, facts: CatalogueFacts) -> None:
    similar = recommender.similar("a", Wishes(3), facts)
    assert (shown(similar)[0], similar.policy, similar.degraded) == ("b", "similar", None)
    assert similar.items[0].reason == "similar"
    assert sorted(shown(similar)[:2]) == ["b", "f"]
    complementary = recommender.complementary("a", Wishes(3), facts)
    assert (shown(complementary), complementary.policy) == ("cdb", "complementary")
    assert [line.reason for line in complementary.items] == ["often_bought_together"] * 3
    assert shown(recommender.complementary("a", Wishes(3))) == "bcd"


def test_a_basket_has_complements_that_are_not_in_it(recommender: Recommender, facts: CatalogueFacts) -> None:
    slate = recommender.complementary(["a", "d", "nonsense", "a"], Wishes(6), facts)
    assert sorted(shown(slate)) == list("bcef")
    assert slate.items[-1].reason == "popular"
    assert shown(slate)[-1] == "f"


def test_what_goes_with_an_item_obeys_wishes(recommender: Recommender, facts: CatalogueFacts) -> None:
    for answer in (recommender.similar, recommender.complementary):
        assert set(shown(answer("a", Wishes(6, ["b"], context=["e"]), facts))) == set("cdf")
        assert shown(answer("a", Wishes(6, allowed=mask("af")), facts)) == "f"
        assert answer("a", Wishes(6, allowed=mask("a")), facts).degraded == "nothing_passes"


def test_with_an_unknown_item_go_the_popular_ones(recommender: Recommender) -> None:
    for slate in (recommender.similar("nonsense", Wishes(2)), recommender.complementary(["nonsense"], Wishes(2)), recommender.complementary([])):
        assert shown(slate)[:2] == "ab"
        assert (slate.policy, slate.degraded, slate.items[0].reason) == ("popularity_28d", "unknown_item", "popular")


def test_scores_of_given_items_are_those_of_the_slate(recommender: Recommender) -> None:
    sequences = recommender.encode([REGULAR, NOBODY])
    for policy in POLICIES:
        slates = recommender.recommend(sequences, NOW, Wishes(6), policy)
        scored = recommender.score(sequences, NOW, [["f", "nonsense", "c"], []], policy)
        by_item = {line.item_id: line.score for line in slates[0].items}
        assert scored[0].scores == [by_item["f"], None, by_item["c"]]
        assert scored[1].scores == []
        assert [one.degraded for one in scored] == [slate.degraded for slate in slates]
    with pytest.raises(ContractError, match="items do not fit the users"):
        recommender.score(sequences, NOW, [["a"]])
