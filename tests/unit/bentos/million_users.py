"""A process that answers users who never come again, as the service does in production, and says what it holds.

    python -m tests.unit.bentos.million_users FOLDER REQUESTS LOOKS REMEMBERED_BYTES

The last line is a list of (resident bytes, open files), a pair a look.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from starlette.types import ASGIApp

from benchmarks.random_bundle import write_random_bundle
from footfall.core.streaming_scorer import StreamingScorer
from tests.unit.bentos.asgi import ask_in_loop
from tests.unit.bentos.streaming_service import streaming_service

ITEMS, TOGETHER = 500, 4
BEGUN = datetime(2017, 10, 1, tzinfo=UTC)


async def ask_as_many(app: ASGIApp, first: int, count: int) -> None:
    """So many requests, each with three events of its own; every other one is kept as an exposure."""

    async def one_after_the_other(start: int) -> None:
        for number in range(first + start, first + count, TOGETHER):
            moments = [(BEGUN + timedelta(seconds=number + minute * 60)).isoformat() for minute in range(3)]
            events = [{"event_type": "purchase", "item_id": f"item{number % ITEMS:05d}", "occurred_at": moment} for moment in moments]
            body = {"events": events} | ({"user_id": f"user {number}"} if number % 2 else {})
            raw = [json.dumps({"k": 1, "at": "2017-10-29T00:00:00Z", **body}).encode()]
            answer = await ask_in_loop(app, "POST", "/v1/recommend", raw, {"content-type": "application/json"}, ("127.0.0.1", 3000))
            assert answer.status == 200, answer.body

    await asyncio.gather(*map(one_after_the_other, range(TOGETHER)))


def main(folder: Path, requests: int, looks: int, remembered: int) -> None:
    """Ask, and look now and then."""
    StreamingScorer.__init__.__defaults__ = (remembered,)  # type: ignore[attr-defined]
    write_random_bundle(folder / "bundle", items=ITEMS, seed=1)
    process, seen = psutil.Process(), []
    with streaming_service(f"sqlite:///{folder / 'store.db'}", folder / "bundle") as app:
        for look in range(looks):
            asyncio.run(ask_as_many(app, look * requests // looks, requests // looks))
            seen.append((process.memory_info().rss, process.num_fds()))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
