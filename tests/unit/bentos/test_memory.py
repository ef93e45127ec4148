"""A million different users: what the service remembers of them is bounded, and its memory stays where it is."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
from starlette.types import ASGIApp

from benchmarks.random_bundle import write_random_bundle
from footfall.core.streaming_scorer import StreamingScorer
from tests.trials import SOAK, Trial
from tests.unit.bentos.asgi import ask_in_loop
from tests.unit.bentos.streaming_service import streaming_service

ITEMS, TOGETHER, LOOKS = 500, 4, 40
BEGUN = datetime(2017, 10, 1, tzinfo=UTC)
WARM = 0.25
"""The share of the requests after which all that is remembered has been filled."""


async def ask_as_many(app: ASGIApp, first: int, count: int) -> None:
    """So many requests of users who never come again, each with three events of its own; every other one is kept as an exposure."""

    async def one_after_the_other(start: int) -> None:
        for number in range(first + start, first + count, TOGETHER):
            moments = [(BEGUN + timedelta(seconds=number + minute * 60)).isoformat() for minute in range(3)]
            events = [{"event_type": "purchase", "item_id": f"item{number % ITEMS:05d}", "occurred_at": moment} for moment in moments]
            body = {"events": events} | ({"user_id": f"user {number}"} if number % 2 else {})
            raw = [json.dumps({"k": 1, "at": "2017-10-29T00:00:00Z", **body}).encode()]
            answer = await ask_in_loop(app, "POST", "/v1/recommend", raw, {"content-type": "application/json"}, ("127.0.0.1", 3000))
            assert answer.status == 200

    await asyncio.gather(*map(one_after_the_other, range(TOGETHER)))


@pytest.mark.trial
def test_memory_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: Trial) -> None:
    if not SOAK:  # so that it is full after a few hundred users, as 64 MiB are after some ten thousand
        monkeypatch.setattr(StreamingScorer.__init__, "__defaults__", (1 << 20,))
    requests = trial.count(small=2_000, stated=1_000_000)
    write_random_bundle(tmp_path / "bundle", items=ITEMS, seed=1)
    process, taken, files = psutil.Process(), [], []
    with streaming_service(f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "bundle") as app:
        for look in range(LOOKS):
            asyncio.run(ask_as_many(app, look * requests // LOOKS, requests // LOOKS))
            taken.append(process.memory_info().rss)
            files.append(process.num_fds())
    warm = np.array(taken[round(WARM * LOOKS) :], dtype=np.float64)
    grown = float(np.polyfit(np.arange(len(warm)), warm, 1)[0]) * len(warm)
    trial.note(
        requests=requests, memory_slope=round(grown / float(warm.mean()), 5), mib=[round(one / 2**20, 1) for one in (taken[0], warm[0], warm[-1])]
    )
    assert max(files[1:]) - min(files[1:]) <= 8
    assert grown <= (0.01 * warm.mean() if SOAK else 4 << 20)  # 1,500 users who are never forgotten take 8 MiB
