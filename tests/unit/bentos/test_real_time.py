"""What was acknowledged is in the next slate: a shopper's events, and the merchant's rules."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from bentos.live.shop_window import ShopWindow
from tests.trials import Trial
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import AT, bought, items, post_events, recommend

ITEMS = "abcde"


def put(service: Service, **rule: Any) -> None:
    answer = ask(service.app, "PUT", "/v1/rules", {"rules": [rule], "at": AT})
    assert (answer.status, answer.json["accepted"]) == (200, 1)


def pin(service: Service, item: str, position: int) -> None:
    put(service, rule_id="pinned", kind="pin", items=[item], position=position)


def hide(service: Service, item: str) -> None:
    put(service, rule_id="hidden", kind="exclude", items=[item])


@pytest.mark.trial
def test_every_event_and_every_rule_is_in_the_very_next_slate(service: Service, trial: Trial) -> None:
    rounds, luck = trial.count(small=20, stated=1_000), random.Random(6)
    for number in range(rounds):
        user, item = f"user {number}", luck.choice(ITEMS)
        assert recommend(service, user_id=user).json["degraded"] == "no_history"
        post_events(service, bought(item, user))
        after = recommend(service, user_id=user)
        assert (after.json["degraded"], items(after)[0]) == (None, item)

        pinned, hidden = luck.sample([other for other in ITEMS if other != item], 2)
        pin(service, pinned, 2)
        hide(service, hidden)
        ruled = recommend(service, user_id=user)
        assert (items(ruled)[1], ruled.json["items"][1]["rules"]) == (pinned, ["pinned"])
        assert hidden not in items(ruled)
        assert ruled.json["rules_excluding"] == ["hidden"]

        for rule in ("pinned", "hidden"):
            assert ask(service.app, "DELETE", f"/v1/rules/{rule}").json == {"removed": True}
        assert items(recommend(service, user_id=user)) == items(after)
    trial.note(rounds=rounds)


def test_another_worker_hears_of_a_rule_at_its_next_look(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    monkeypatch.setattr("bentos.live.poller.POLL_S", 0.02)  # 1 s in production
    vocabulary = service.changeover.ranker.vocabulary  # type: ignore[union-attr]
    elsewhere = ShopWindow(service.store)
    elsewhere.look()
    assert len(elsewhere.of(vocabulary).book) == 0
    elsewhere.start()
    pin(service, "d", 1)
    deadline = time.monotonic() + 10
    while not len(elsewhere.of(vocabulary).book) and time.monotonic() < deadline:
        time.sleep(0.01)
    elsewhere.close()
    assert len(elsewhere.of(vocabulary).book) == 1
