"""Releases are promoted and rolled back by command while shoppers ask: nobody is refused, and nobody sees the old release again after the new."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from starlette.types import ASGIApp

from benchmarks.random_bundle import write_random_bundle
from footfall.store import open_store, releases
from tests.trials import SOAK, Trial
from tests.unit.bentos.asgi import ask_in_loop
from tests.unit.bentos.streaming_service import streaming_service

SHOPPERS, EVERY_S = 3, 0.03
CALM_S = 0.5
"""Between two commands that change nothing: as long as it takes about until one that changes something is heard of."""
P99_RATIO = 2.0
ROLLBACK_WITHIN_S = 5 if SOAK else 60
MOMENT = datetime(2017, 10, 29, tzinfo=UTC)


class Load:
    """Shoppers who ask at constant intervals; remembers who answered, and how long it took from the moment at which each request was due."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.statuses: set[int] = set()
        self.seconds: list[float] = []
        self.calm_requests = 0
        self.served: list[list[str]] = [[] for _ in range(SHOPPERS)]
        self._stop = asyncio.Event()

    async def shop(self, number: int) -> None:
        body = json.dumps({"user_id": f"shopper {number}", "at": MOMENT.isoformat()}).encode()
        due = time.perf_counter() + number * EVERY_S / SHOPPERS
        while not self._stop.is_set():
            await asyncio.sleep(due - time.perf_counter())
            answer = await ask_in_loop(self._app, "POST", "/v1/recommend", [body], {"content-type": "application/json"}, ("127.0.0.1", 1))
            self.seconds.append(time.perf_counter() - due)
            self.statuses.add(answer.status)
            self.served[number].append(answer.json.get("release"))
            due += EVERY_S  # who was answered late asks at once: the wait is the service's

    async def until(self, release: str) -> None:
        """Until every shopper has been served by it."""
        async with asyncio.timeout(60):
            while {served[-1] if served else None for served in self.served} != {release}:
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()


async def say(url: str, checkout: Path, *words: str) -> None:
    """`footfall release ...` in a process of its own, as an operator types it."""
    environment = {**os.environ, "FOOTFALL_STORE": url, "FOOTFALL_ROOT": str(checkout), "PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{checkout}"}
    command = (sys.executable, "-m", "footfall_cli.main", "release", *words)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


async def change_over(load: Load, url: str, checkout: Path, first: str, second: str, rounds: int) -> list[float]:
    """Promote and roll back so many times under the load; returns the seconds from each rollback's command to its last effect.

    Before that the operator only looks, so that their process takes as much of the machine while nothing changes.
    """
    took = []
    shoppers = [asyncio.ensure_future(load.shop(number)) for number in range(SHOPPERS)]
    await load.until(first)
    load.seconds.clear()
    for _ in range(rounds):
        await say(url, checkout, "list")
        await asyncio.sleep(CALM_S)
    load.calm_requests = len(load.seconds)
    for _ in range(rounds):
        await say(url, checkout, "promote", second)
        await load.until(second)
        started = time.perf_counter()
        await say(url, checkout, "rollback")
        await load.until(first)
        took.append(time.perf_counter() - started)
    load.stop()
    await asyncio.gather(*shoppers)
    return took


@pytest.mark.trial
def test_promotion_and_rollback_by_command_fail_no_request(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    rounds, url = trial.count(small=1, stated=20), f"sqlite:///{tmp_path / 'store.db'}"
    engine, names = open_store(url), []
    for seed in (1, 2):
        names.append(write_random_bundle(tmp_path / f"bundle{seed}", items=2_000, seed=seed))
        releases.add(engine, releases.Release(names[-1], f"footfall:bundle{seed}", "candidate", MOMENT, MOMENT))
    first, second = names
    releases.promote(engine, first)
    engine.dispose()
    with streaming_service(url, tmp_path / "bundle1") as app:
        load = Load(app)
        took = asyncio.run(change_over(load, url, checkout, first, second, rounds))

    calm, changing = (np.quantile(seconds, 0.99) * 1e3 for seconds in (load.seconds[: load.calm_requests], load.seconds[load.calm_requests :]))
    trial.note(rounds=rounds, requests=len(load.seconds), longest_rollback_s=round(max(took), 2))
    trial.note(calm_p99_ms=round(calm, 1), p99_ms=round(changing, 1), p99_ratio=round(changing / calm, 2))
    assert load.statuses == {200}
    for served in load.served:
        changes = [name for before, name in zip([None, *served], served, strict=False) if name != before]
        assert changes == [first, *[second, first] * rounds]
    assert max(took) <= ROLLBACK_WITHIN_S
    assert not SOAK or changing <= P99_RATIO * calm
