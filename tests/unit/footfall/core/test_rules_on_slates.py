"""Merchant rules on scores: known answers by hand, and what holds of any rules and any scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.core.item_facts import catalogue_facts
from footfall.core.metrics import top_k
from footfall.core.rules import RuleBook, matching, place_pins
from footfall.core.vocabulary import Vocabulary
from footfall.rules import BOOST, BURY, EXCLUDE, KINDS, PIN, PLACES, Rule

#        0              1             2               3             4
ITEMS = ("milk", "cheese", "rice", "phone", "case")
BRANDS = ("Acme", "Bell", "Acme", "Bell", None)
PATHS = ("food > dairy > milk", "food > dairy", "food>rice", "foodless", None)
VOCABULARY = Vocabulary(ITEMS)
FACTS = catalogue_facts(
    VOCABULARY,
    [
        {"item_id": item, "title": item, "brand": brand, "category_path": path, "available": True, "recommendable": True}
        for item, brand, path in zip(ITEMS, BRANDS, PATHS, strict=True)
    ],
)
SCORES = np.array([0.5, 0.4, 0.3, 0.2, 0.1])
NOW = 1_000_000


def rule(rule_id: str, kind: str, **fields: Any) -> Rule:
    usual: dict[str, Any] = {BOOST: {"factor": 2.0}, PIN: {"position": 1}}.get(kind, {})
    return Rule(rule_id, kind, **(usual | fields))


def slate(rules: list[Rule], scores: np.ndarray = SCORES, k: int = 5, **asked: Any) -> tuple[list[str], list[tuple[str, ...]]]:
    ruled = RuleBook(rules, VOCABULARY, FACTS).apply(scores, at_us=NOW, **asked)
    best = top_k(ruled.scores[None, :], k)[0]
    columns, touched = ruled.finish(best[np.isfinite(ruled.scores[best])], k)
    return [ITEMS[column] for column in columns], touched


@pytest.mark.parametrize(
    ("named", "matched"),
    [
        ({"items": ["rice", "unknown"]}, [2]),
        ({"brands": ["Acme"]}, [0, 2]),
        ({"brands": ["Acme", "Bell"]}, [0, 1, 2, 3]),
        ({"brands": ["acme"]}, []),
        ({"categories": ["food"]}, [0, 1, 2]),
        ({"categories": ["food>dairy"]}, [0, 1]),
        ({"categories": ["food > dairy > milk", "foodless"]}, [0, 3]),
        ({"categories": ["foo"]}, []),
        ({"categories": ["food"], "brands": ["Acme"]}, [0, 2]),
        ({"categories": ["food"], "items": ["rice", "phone"]}, [2]),
    ],
)
def test_a_rule_matches_items_that_fit_all_it_names(named: dict[str, list[str]], matched: list[int]) -> None:
    assert matching(rule("r", EXCLUDE, **named), VOCABULARY, FACTS).tolist() == matched


def test_without_rules_nothing_changes() -> None:
    ruled = RuleBook([], VOCABULARY, FACTS).apply(SCORES, at_us=NOW)
    assert ruled.scores.tolist() == SCORES.tolist()
    assert slate([]) == (list(ITEMS), [()] * 5)


def test_a_boost_multiplies_and_says_what_it_touched() -> None:
    # 0.3 * 2 = 0.6 goes past 0.5
    assert slate([rule("more", BOOST, items=["rice"])]) == (["rice", "milk", "cheese", "phone", "case"], [("more",), (), (), (), ()])


def test_several_factors_on_an_item_are_all_applied() -> None:
    rules = [rule("a", BOOST, items=["rice", "case"]), rule("b", BURY, brands=["Acme"], factor=0.25)]
    # milk 0.5/4 = 0.125, cheese 0.4, rice 0.3*2/4 = 0.15, phone 0.2, case 0.1*2 = 0.2; equal ones by column
    assert slate(rules) == (["cheese", "phone", "case", "rice", "milk"], [(), (), ("a",), ("a", "b"), ("b",)])


def test_a_boost_never_lowers_a_score_and_a_factor_below_one_never_raises_one() -> None:
    scores = np.array([-4.0, -4.0, 0.0, -np.inf, 1.0])
    rules = [rule("up", BOOST, items=["milk", "rice", "phone"], factor=4.0), rule("down", BURY, items=["cheese", "case"], factor=0.5)]
    ruled = RuleBook(rules, VOCABULARY, FACTS).apply(scores, at_us=NOW)
    assert ruled.scores.tolist() == [-1.0, -8.0, 0.0, -np.inf, 0.5]
    # rice stays at 0 and phone is not shown: nothing touched them
    assert {rule_id: columns.tolist() for rule_id, columns in ruled.applied} == {"up": [0], "down": [1, 4]}


def test_what_is_buried_without_a_factor_comes_last_in_its_own_order() -> None:
    rules = [rule("end", BURY, brands=["Acme"]), rule("more", BOOST, items=["rice"], factor=100.0)]
    assert slate(rules)[0] == ["cheese", "phone", "case", "rice", "milk"]
    assert slate(rules, k=2) == (["cheese", "phone"], [(), ()])


def test_what_is_excluded_is_not_shown_even_when_it_is_pinned_with_a_higher_priority() -> None:
    rules = [rule("pin", PIN, items=["milk"], priority=9), rule("no", EXCLUDE, categories=["food > dairy"])]
    assert slate(rules) == (["rice", "phone", "case"], [(), (), ()])
    ruled = RuleBook(rules, VOCABULARY, FACTS).apply(SCORES, at_us=NOW)
    assert (ruled.kept_out(1), ruled.pins) == (("no",), {})


def test_a_rule_that_kept_nothing_out_of_the_slate_did_not_touch_it() -> None:
    rules = [rule("no", EXCLUDE, items=["case", "cheese"]), rule("more", BOOST, items=["milk"])]
    ruled = RuleBook(rules, VOCABULARY, FACTS).apply(np.array([0.5, -np.inf, 0.3, 0.2, 0.1]), at_us=NOW)
    # milk, rice and phone come before case; cheese could not be shown anyway
    assert (ruled.kept_out(3), ruled.kept_out(4)) == ((), ("no",))
    assert RuleBook(rules, VOCABULARY, FACTS).apply(np.array([0.5, -np.inf, 0.3, -np.inf, -np.inf]), at_us=NOW).kept_out(5) == ()


def test_what_was_kept_out_is_known_when_the_scores_have_been_overwritten() -> None:
    scores = SCORES.copy()
    ruled = RuleBook([rule("no", EXCLUDE, items=["milk"])], VOCABULARY, FACTS).apply(scores, at_us=NOW)
    scores[:] = ruled.scores
    assert ruled.kept_out(1) == ("no",)


def test_a_pinned_item_stands_where_it_was_pinned() -> None:
    rules = [rule("p2", PIN, items=["case"], position=2), rule("p4", PIN, items=["milk"], position=4), rule("x", BOOST, items=["case"], factor=1.5)]
    assert slate(rules) == (["cheese", "case", "rice", "milk", "phone"], [(), ("p2", "x"), (), ("p4",), ()])
    # a pin behind the last position does nothing
    assert slate(rules, k=3) == (["milk", "case", "cheese"], [(), ("p2", "x"), ()])


def test_an_item_that_must_not_be_shown_cannot_be_pinned() -> None:
    scores = np.array([0.5, -np.inf, 0.3, 0.2, 0.1])
    assert slate([rule("p", PIN, items=["cheese"]), rule("q", PIN, items=["unknown"])], scores)[0] == ["milk", "rice", "phone", "case"]


def test_of_two_pins_for_one_position_the_higher_priority_stands_and_then_the_lower_id() -> None:
    a, b, c = rule("a", PIN, items=["rice"]), rule("b", PIN, items=["phone"]), rule("c", PIN, items=["case"], priority=1)
    assert slate([a, b, c]) == (["case", "milk", "cheese", "rice", "phone"], [("c",), (), (), (), ()])
    assert slate([b, a])[0][0] == "rice"
    # of two positions for one item the first in order stands
    assert slate([rule("a", PIN, items=["rice"], position=3), rule("b", PIN, items=["rice"])])[0] == ["milk", "cheese", "rice", "phone", "case"]


@pytest.mark.parametrize(
    ("scope", "asked", "holds"),
    [
        ({}, {}, True),
        ({"places": ["home", "email"]}, {"place": "email"}, True),
        ({"places": ["home"]}, {"place": "cart"}, False),
        ({"places": ["home"]}, {}, False),
        ({"segments": ["vip", "tier=gold"]}, {"segments": frozenset({"tier=gold"})}, True),
        ({"segments": ["vip"]}, {"segments": {"vi"}}, False),
        ({"segments": ["vip"]}, {}, False),
        ({"starts": "1970-01-01T00:00:01Z"}, {}, True),
        ({"starts": "1970-01-01T00:00:01.000001Z"}, {}, False),
        ({"ends": "1970-01-01T00:00:01Z"}, {}, False),
        ({"ends": "1970-01-01T01:00:01.000001+01:00"}, {}, True),
        ({"enabled": False}, {}, False),
    ],
)
def test_a_rule_holds_only_where_for_whom_and_when_it_says(scope: dict[str, Any], asked: dict[str, Any], holds: bool) -> None:
    assert ("milk" not in slate([rule("no", EXCLUDE, items=["milk"], **scope)], **asked)[0]) == holds


def test_the_scores_that_came_are_left_as_they_were() -> None:
    scores = SCORES.copy()
    RuleBook([rule("no", EXCLUDE, items=["milk"]), rule("more", BOOST, brands=["Bell"])], VOCABULARY, FACTS).apply(scores, at_us=NOW)
    assert scores.tolist() == SCORES.tolist()


def test_pins_close_up_where_too_few_items_are_left() -> None:
    assert place_pins([7, 8], {5: 9, 2: 8}, 5).tolist() == [7, 8, 9]
    assert place_pins([], {}, 5).tolist() == []


@st.composite
def any_rule(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(KINDS))
    words: dict[str, Any] = {"items": draw(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=1 if kind == PIN else 3))}
    if kind != PIN and draw(st.booleans()):
        words = {"brands": draw(st.lists(st.sampled_from(["Acme", "Bell"]), min_size=1, max_size=2))}
    if kind == PIN:
        words["position"] = draw(st.integers(1, 6))
    if kind == BOOST:
        words["factor"] = draw(st.floats(1.01, 100))
    if kind == BURY:
        words["factor"] = draw(st.none() | st.floats(0.01, 0.99))
    places = draw(st.lists(st.sampled_from(PLACES), max_size=2))
    return Rule(draw(st.uuids()).hex, kind, places=places, priority=draw(st.integers(-1, 1)), **words)


SCORE = st.just(-np.inf) | st.floats(-100, 100, width=32)


@settings(max_examples=300)
@given(st.lists(any_rule(), max_size=8), st.lists(SCORE, min_size=5, max_size=5), st.integers(1, 6), st.sampled_from(PLACES), st.randoms())
def test_of_any_rules_and_scores_a_slate_keeps_its_promises(rules: list[Rule], scores: list[float], k: int, place: str, order: Any) -> None:
    before = np.array(scores)
    shown, touched = slate(rules, before, k, place=place)

    excluded = {
        ITEMS[c] for one in rules if one.kind == EXCLUDE and (not one.places or place in one.places) for c in matching(one, VOCABULARY, FACTS)
    }
    forbidden = excluded | {item for item, score in zip(ITEMS, scores, strict=True) if score == -np.inf}
    allowed = [item for item in ITEMS if item not in forbidden]
    assert not forbidden & set(shown)
    assert len(set(shown)) == len(shown) == min(k, len(allowed)) == len(touched)

    pins = [one for one in rules if one.kind == PIN and (not one.places or place in one.places) and one.items[0] in allowed]
    if pins:
        first = min(pins, key=lambda one: (-one.priority, one.rule_id))
        assert first.position is not None
        if first.position <= k:
            at = shown.index(first.items[0]) + 1
            assert at == first.position or (len(allowed) < k and at < first.position)
            assert touched[at - 1][0] == first.rule_id

    shuffled = list(rules)
    order.shuffle(shuffled)
    assert slate(shuffled, before, k, place=place) == (shown, touched)
