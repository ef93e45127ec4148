"""Shadow and canary come and go by command while shoppers ask: nobody is refused, and each shopper is answered by the arm that is the shopper's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from benchmarks.random_bundle import write_random_bundle
from footfall.contracts import C
from footfall.core.assignment import takes_part
from footfall.pseudonyms import DEMO_KEY, pseudonym
from footfall.recommender import Recommender
from footfall.store import exposures, open_store, releases
from tests.service.test_changeovers import MOMENT, say
from tests.trials import Trial
from tests.unit.bentos.asgi import ask_in_loop
from tests.unit.bentos.streaming_service import streaming_service

SHARE, SHOPPERS, PAUSE_S = 0.5, 6, 0.02
FROM_HERE = ("127.0.0.1", 1)


class Shopping:
    """Shoppers who ask again and again, each with a history in the request; remembers what they were answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.statuses: set[int] = set()
        self.arms: list[list[tuple[str, str]]] = [[] for _ in range(SHOPPERS)]
        self._stop = asyncio.Event()

    async def shop(self, number: int) -> None:
        bought = [{"event_type": "purchase", "item_id": f"item{number:05d}", "occurred_at": (MOMENT - timedelta(days=1)).isoformat()}]
        body = json.dumps({"user_id": f"shopper {number}", "at": MOMENT.isoformat(), "events": bought}).encode()
        while not self._stop.is_set():
            answer = await ask_in_loop(self._app, "POST", "/v1/recommend", [body], {"content-type": "application/json"}, FROM_HERE)
            self.statuses.add(answer.status)
            self.arms[number].append((str(answer.json.get("release")), str(answer.json.get("arm"))))
            await asyncio.sleep(PAUSE_S)

    async def release(self) -> Any:
        return (await ask_in_loop(self._app, "GET", "/v1/release", [], {}, FROM_HERE)).json

    async def metrics(self) -> str:
        return (await ask_in_loop(self._app, "GET", "/metrics", [], {}, FROM_HERE)).body.decode()

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(60):
            while not await true():
                await asyncio.sleep(0.02)

    async def answered_by(self, expected: Sequence[tuple[str, str]]) -> None:
        """Until the last answer of every shopper was by that release in that arm."""

        async def so() -> bool:
            return [one[-1] if one else None for one in self.arms] == list(expected)

        await self.until(so)

    async def stands(self, **arm: Any) -> None:
        """Until the service says this of an arm."""

        async def so() -> bool:
            return any(arm.items() <= one.items() for one in (await self.release())["arms"])

        await self.until(so)

    async def during(self, acts: Awaitable[None]) -> None:
        """Shop while something happens."""
        shopping = [asyncio.ensure_future(self.shop(number)) for number in range(SHOPPERS)]
        try:
            await acts
        finally:
            self._stop.set()
            await asyncio.gather(*shopping)


class Shop:
    """A store with a champion and two candidates whose bundles lie beside each other."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder, self.checkout, self.url = folder, checkout, f"sqlite:///{folder / 'store.db'}"
        engine, self.names = open_store(self.url), list[str]()
        for seed in (1, 2, 3):
            self.names.append(write_random_bundle(folder / f"bundle{seed}", items=500, seed=seed))
            releases.add(engine, releases.Release(self.names[-1], f"footfall:bundle{seed}", "candidate", MOMENT, MOMENT))
        releases.promote(engine, self.names[0])
        engine.dispose()

    async def say(self, *words: str) -> None:
        await say(self.url, self.checkout, *words)

    def whose(self, canary: str) -> list[tuple[str, str]]:
        """Release and arm of each shopper while there is that canary."""
        users = [pseudonym(f"shopper {number}", DEMO_KEY) for number in range(SHOPPERS)]
        return [(canary, "canary") if takes_part(user, canary, SHARE) else self.champions[0] for user in users]

    @property
    def champions(self) -> list[tuple[str, str]]:
        return [(self.names[0], "champion")] * SHOPPERS

    def shown(self) -> set[tuple[str, str, str]]:
        """User, release and arm of all that was logged."""
        engine = open_store(self.url)
        rows = exposures.window(engine, MOMENT, MOMENT + timedelta(days=1)).to_pylist()
        engine.dispose()
        return {(row[C.USER_ID], row[C.RELEASE], row[C.ARM]) for row in rows}


@pytest.fixture
def shop(tmp_path: Path, checkout: Path) -> Shop:
    return Shop(tmp_path, checkout)


@pytest.mark.trial
def test_arms_that_come_and_go_by_command_fail_no_request_and_change_no_users_arm(shop: Shop, trial: Trial) -> None:
    champion, canary, shadow = shop.names
    rounds = trial.count(small=1, stated=20)
    mixed = shop.whose(canary)
    assert len(set(mixed)) == 2

    async def acts() -> None:
        for _ in range(rounds):
            await shopping.answered_by(shop.champions)
            await shop.say("canary", canary, "--share", str(SHARE))
            await shop.say("shadow", shadow)
            await shopping.answered_by(mixed)
            await shopping.stands(arm="shadow", release=shadow, open=True, failed=None)
            await shopping.until(followed)
            await shop.say("end", "canary")
            await shop.say("end", "shadow")
        await shopping.answered_by(shop.champions)

    async def followed() -> bool:
        return f'footfall_shadow_overlap_count{{release="{shadow}"}}' in await shopping.metrics()

    with streaming_service(shop.url, shop.folder / "bundle1") as app:
        shopping = Shopping(app)
        asyncio.run(shopping.during(acts()))

    trial.note(rounds=rounds, requests=sum(map(len, shopping.arms)))
    assert shopping.statuses == {200}
    for found, own in zip(shopping.arms, mixed, strict=True):
        assert set(found) == {(champion, "champion"), own}
    users = [pseudonym(f"shopper {number}", DEMO_KEY) for number in range(SHOPPERS)]
    logged = {(user, *arm) for user, own in zip(users, mixed, strict=True) for arm in ((champion, "champion"), own)}
    assert shop.shown() == logged  # nothing of the shadow's


def test_a_promoted_canary_answers_all_and_a_rollback_brings_the_champion_back(shop: Shop) -> None:
    canary = shop.names[1]

    async def acts() -> None:
        await shop.say("canary", canary, "--share", str(SHARE))
        await shopping.answered_by(shop.whose(canary))
        await shop.say("promote", canary)
        await shopping.answered_by([(canary, "champion")] * SHOPPERS)
        assert (await shopping.release())["arms"] == []
        await shop.say("rollback")
        await shopping.answered_by(shop.champions)

    with streaming_service(shop.url, shop.folder / "bundle1") as app:
        shopping = Shopping(app)
        asyncio.run(shopping.during(acts()))
    assert shopping.statuses == {200}


def test_a_damaged_canary_and_one_that_fails_harm_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged, failing = shop.names[1:]
    weights = shop.folder / "bundle2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    whole = Recommender.recommend

    def recommend(ranker: Recommender, *rest: Any, **named: Any) -> Any:
        if ranker.release_id == failing and wrong:
            raise RuntimeError("as a broken model does")
        return whole(ranker, *rest, **named)

    wrong: list[bool] = []
    monkeypatch.setattr(Recommender, "recommend", recommend)

    async def acts() -> None:
        await shopping.answered_by(shop.champions)
        await shop.say("canary", damaged, "--share", str(SHARE))
        await shopping.stands(arm="canary", release=damaged, open=False, failed=f"{damaged}: bundle file is damaged")
        await shopping.answered_by(shop.champions)
        await shop.say("end", "canary")
        await shop.say("canary", failing, "--share", str(SHARE))
        await shopping.answered_by(shop.whose(failing))
        wrong.append(True)
        await shopping.answered_by(shop.champions)
        assert f'footfall_canary_failures_total{{release="{failing}"}}' in await shopping.metrics()
        assert (await shopping.release())["failed"] is None

    with streaming_service(shop.url, shop.folder / "bundle1") as app:
        shopping = Shopping(app)
        asyncio.run(shopping.during(acts()))
    assert shopping.statuses == {200}
    assert {release for _, release, _ in shop.shown()} == {shop.names[0], failing}
