"""Facts and rules for several vocabularies at once: made once for each that serves, and for no more of them than can serve."""

from __future__ import annotations

import pytest

from bentos.live import shop_window
from bentos.live.shop_window import MOST, ShopWindow
from footfall.core.vocabulary import Vocabulary
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import recommend
from tests.unit.bentos.test_arms import look, try_out
from tests.unit.bentos.test_rule_doors import PIN, put
from tests.unit.footfall.small_shop import make_bundle_by_hand

Made = list[Vocabulary]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The vocabularies that a shop was made for, in turn."""
    found: Made = []
    whole = shop_window.catalogue_facts
    monkeypatch.setattr(shop_window, "catalogue_facts", lambda vocabulary, rows: found.append(vocabulary) or whole(vocabulary, rows))
    return found


@pytest.fixture
def window(service: Service) -> ShopWindow:
    one = ShopWindow(service.store)
    one.look()
    return one


def vocabularies(number: int) -> Made:
    return [Vocabulary(("a", f"item {one}")) for one in range(number)]


def test_as_many_as_serve_are_kept_side_by_side(window: ShopWindow, made: Made) -> None:
    several = vocabularies(MOST)
    for _ in range(3):
        for one in several:
            assert window.of(one).vocabulary is one
    assert made == several


def test_of_more_the_one_that_was_asked_for_longest_ago_goes(window: ShopWindow, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third, fourth = vocabularies(4)
    for one in (first, second, third, first, fourth, first, third, fourth):
        window.of(one)
    assert made == [first, second, third, fourth]
    window.of(second)
    assert made[4:] == [second]
    window.of(third)
    window.of(fourth)
    assert made[5:] == []


def test_equal_vocabularies_of_two_releases_do_not_take_turns(window: ShopWindow, made: Made) -> None:
    one, other = Vocabulary(("a", "b")), Vocabulary(("a", "b"))
    for _ in range(3):
        window.of(one)
        window.of(other)
    assert len(made) == 2


def test_a_change_reaches_all_that_are_kept_and_is_not_made_for_those_that_nobody_asks_for(
    service: Service, window: ShopWindow, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, champion, canary = vocabularies(3)
    window.of(old)
    kept = window._kept[0]
    window.of(champion)
    window.of(canary)
    kept.asked -= 1e6  # long ago
    put(service, PIN)
    del made[:]
    window.look()
    assert made == [canary, champion]
    assert [len(window.of(one).book) for one in (champion, canary, old)] == [1, 1, 1]
    assert made[2:] == [old]


def test_a_release_serves_with_its_shop_made(service: Service, made: Made) -> None:
    service.changeover.close()
    make_bundle_by_hand(service.bundles / "c", items=7)
    try_out(service, "c")
    service.promote("b")
    look(service)
    assert [len(one) for one in made] == [7, 5]
    for user in range(20):
        recommend(service, user_id=f"user {user}")
    assert len(made) == 2
