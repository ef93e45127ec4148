"""What segments bought, on every database."""

from __future__ import annotations

import pytest

from footfall.contracts import ANALYSE, PERSONALISE
from footfall.store import Engine, consent, erasures, events, segments, shop_users
from footfall.store.moments import to_us
from footfall.store.shop_users import Told
from tests.unit.footfall.store.store_rows import MINUTE, NOON, event, events_table

GOLD = {"tier": "gold"}


def tell(engine: Engine, *users: str) -> None:
    shop_users.put(engine, [Told(user, GOLD, NOON) for user in users], NOON)


def ids(engine: Engine) -> list[str]:
    return [user for user, _ in segments.told(engine, "", 100)]


def bought(engine: Engine, *users: str) -> dict[str, dict[str, int]]:
    return segments.bought(engine, users, to_us(NOON), to_us(NOON + 60 * MINUTE))


def test_users_come_page_by_page_with_what_the_shop_says_of_them(engine: Engine) -> None:
    tell(engine, "u3", "u1", "u2")
    shop_users.put(engine, [Told("u0"), Told("u2", {"城市": "上海"})], NOON)
    assert segments.told(engine, "", 2) == [("u1", GOLD), ("u2", {"城市": "上海"})]
    assert segments.told(engine, "u2", 2) == [("u3", GOLD)]
    assert segments.told(engine, "u3", 2) == []


@pytest.mark.parametrize("purpose", [PERSONALISE, ANALYSE])
def test_who_refused_to_be_read_or_counted_is_passed_over(engine: Engine, purpose: str) -> None:
    tell(engine, "u1", "u2", "u3")
    consent.say(engine, "u1", {purpose: False}, recorded_at=NOON, source="test")
    consent.say(engine, "u2", {"advertise": False, purpose: True}, recorded_at=NOON, source="test")
    assert ids(engine) == ["u2", "u3"]


def test_purchases_of_the_window_are_counted_by_item(engine: Engine) -> None:
    tea = {"item_id": "tea"}
    rows = [
        event("1", 0, **tea), event("2", 59, **tea), event("3", 5, item_id="mug"), event("4", 5, user_id="u2", **tea),
        event("before", -1, **tea), event("after", 60, **tea), event("seen", 5, event_type="view", **tea),
        event("none", 5, item_id=None), event("taken back", 5, **tea), event("other", 5, user_id="u3", **tea),
    ]  # fmt: skip
    events.append(engine, events_table(*rows))
    events.withdraw(engine, ["taken back"], "test")
    assert bought(engine, "u1", "u2", "nobody") == {"u1": {"tea": 2, "mug": 1}, "u2": {"tea": 1}}
    assert bought(engine) == {}


def test_the_erased_are_gone(engine: Engine) -> None:
    tell(engine, "u1", "u2")
    events.append(engine, events_table(event("1"), event("2", user_id="u2")))
    erasures.begin(engine, "u1", NOON + MINUTE)
    assert ids(engine) == ["u2"]
    assert bought(engine, "u1", "u2") == {"u2": {"item-2": 1}}


def test_the_last_moment_is_that_of_the_newest_event_before_now(engine: Engine) -> None:
    assert segments.last_moment(engine, to_us(NOON)) == 0
    events.append(engine, events_table(event("1", 3), event("2", 1), event("ahead", 99)))
    assert segments.last_moment(engine, to_us(NOON + 60 * MINUTE)) == to_us(NOON + 3 * MINUTE)
