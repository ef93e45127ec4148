"""All users of the store in pages, and who of them refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from footfall.store import Engine, consent, events, everybody, shop_users
from tests.unit.footfall.store.store_rows import event, events_table

NOW = datetime(2020, 5, 20, tzinfo=UTC)


@pytest.fixture
def shop(engine: Engine) -> Engine:
    """b, d and f shop, f's only event is withdrawn; a, b and e are told of."""
    events.append(engine, events_table(*[event(name, user_id=user) for name, user in (("e1", "d"), ("e2", "b"), ("e3", "b"), ("e4", "f"))]))
    events.withdraw(engine, ["e4"], "test")
    shop_users.put(engine, [shop_users.Told(user) for user in "eab"], NOW)
    return engine


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1000])
def test_everybody_comes_once_in_order_whoever_told_of_them(shop: Engine, size: int) -> None:
    pages = list(everybody.pages(shop, size))
    assert [user for page in pages for user in page] == ["a", "b", "d", "e"]
    assert all(len(page) == size for page in pages[:-1])
    assert everybody.count(shop) == 4


def test_who_comes_between_two_pages_is_met_later(shop: Engine) -> None:
    pages = everybody.pages(shop, 2)
    assert next(pages) == ["a", "b"]
    shop_users.put(shop, [shop_users.Told(user) for user in ("aa", "c")], NOW)
    assert list(pages) == [["c", "d"], ["e"]]


def test_nobody_is_in_an_empty_store(engine: Engine) -> None:
    assert (list(everybody.pages(engine, 10)), everybody.count(engine)) == ([], 0)


def test_who_refused_one_of_several_purposes_refuses(engine: Engine) -> None:
    for user, said in (("a", {"personalise": False}), ("b", {"advertise": False}), ("c", {"analyse": False}), ("d", {"advertise": True})):
        consent.say(engine, user, said, recorded_at=NOW, source="test")
    assert consent.refusing(engine, ["a", "b", "c", "d", "stranger"], ("personalise", "advertise")) == {"a", "b"}
    assert consent.refusing(engine, ["a", "b"], ("personalise",)) == {"a"}
    assert consent.refusing(engine, [f"n{number}" for number in range(500)] + ["b"], ("advertise",)) == {"b"}
    assert consent.refusing(engine, [], ("advertise",)) == set()
