"""Traffic for a running service: trips replayed in order, or requests at a constant rate. No retries anywhere: whatever is not a 200 is a failure.

A replay's trip is a request for a slate at the trip's moment, then the trip's own events. Each user's trips go in order; users go side by side.
Steady traffic is an open loop: requests leave on schedule whether or not earlier ones were answered, and latency counts from the schedule.
Raw user ids leave this client; the service's door turns them into pseudonyms before anything is written.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from footfall.contracts import EVENTS, C

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S = 30.0
"""After this long a request has failed."""

RECOMMEND, REPORT = "/v1/recommend", "/v1/events"
Step = Callable[["Traffic"], None]


@dataclass(frozen=True)
class Trip:
    """One visit of one user: its first and last moment and its events as the service's JSON."""

    user_id: str
    at: datetime
    until: datetime
    events: list[dict[str, Any]]


@dataclass
class Traffic:
    """What was sent and what came back.

    Attributes:
        sent: requests that left, slates and events together.
        failed: requests whose answer was not a 200, or that got none.
        slates: slates received; `trips`: trips finished.
        accepted, duplicates, rejected: events, as the service counted them.
        releases: answers by the release they name, in the order first seen.
        degraded: slates by the reason that they name.
        faults: failures by kind (status or error name).
        latencies: seconds a slate took.
        seconds: how long it took in all.
    """

    sent: int = 0
    failed: int = 0
    slates: int = 0
    trips: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    releases: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def quantile(self, share: float) -> float | None:
        """Latency in seconds that `share` of the slates stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    def summary(self) -> dict[str, Any]:
        """JSON-ready figures; latencies as milliseconds."""
        shares = {name: self.quantile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))}
        return {
            "sent": self.sent,
            "failed": self.failed,
            "slates": self.slates,
            "trips": self.trips,
            "events": {"accepted": self.accepted, "duplicates": self.duplicates, "rejected": self.rejected},
            "releases": dict(self.releases),
            "degraded": dict(self.degraded),
            "faults": dict(self.faults),
            "latency_ms": {name: None if value is None else round(value * 1000, 2) for name, value in shares.items()},
            "seconds": round(self.seconds, 2),
            "requests_per_second": round(self.sent / self.seconds, 1) if self.seconds else None,
        }


SENT_COLUMNS = tuple(name for name in EVENTS.schema.names if name not in (C.RECEIVED_AT, C.ORIGIN))
"""What an event carries over HTTP: the service itself says when it was received, and by which door."""


def as_json(table: pa.Table) -> list[dict[str, Any]]:
    """Rows of EVENTS as the service's JSON: moments in ISO 8601, absent values left out."""
    columns = [name for name in SENT_COLUMNS if name in table.column_names and table.column(name).null_count < table.num_rows]
    rows = table.select(columns).to_pylist()
    return [{name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items() if value is not None} for row in rows]


def trips_of(table: pa.Table) -> Iterator[Trip]:
    """The trips in a table of raw events, by moment, then session: rows of one session of one user are one trip.

    Events without a session are trips of their own: they may lie months apart, and what is sent together is received together.
    """
    at = C.OCCURRED_AT
    table = table.sort_by([(name, "ascending") for name in (C.USER_ID, C.SESSION_ID, at, C.EVENT_ID)])
    rows, found, start = as_json(table), [], 0
    moments = table.column(at).to_pylist()
    sessions = [session or moment for session, moment in zip(table.column(C.SESSION_ID).to_pylist(), moments, strict=True)]
    keys = list(zip(table.column(C.USER_ID).to_pylist(), sessions, strict=True))
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[start]:
            found.append((moments[start], str(keys[start][1]), Trip(keys[start][0], moments[start], moments[end - 1], rows[start:end])))
            start = end
    found.sort(key=lambda each: (each[0], each[1], each[2].user_id))
    return (trip for _, _, trip in found)


@asynccontextmanager
async def _session(url: str, api_key: str | None) -> AsyncIterator[aiohttp.ClientSession]:
    import aiohttp

    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(url, headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, Any], traffic: Traffic) -> dict[str, Any] | None:
    """Send once; count it; return the answer of a 200 and None for anything else."""
    import aiohttp

    traffic.sent += 1
    try:
        async with session.post(path, data=json.dumps(body)) as answer:
            content = await answer.read()
            if answer.status != 200:
                traffic.failed += 1
                traffic.faults[f"{path} {answer.status}"] += 1
                return None
        document: dict[str, Any] = json.loads(content)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        traffic.failed += 1
        traffic.faults[f"{path} {type(error).__name__}"] += 1
        return None
    return document


async def _slate(session: aiohttp.ClientSession, body: dict[str, Any], traffic: Traffic, *, scheduled: float | None = None) -> None:
    begun = time.perf_counter() if scheduled is None else scheduled
    answer = await _post(session, RECOMMEND, body, traffic)
    if answer is not None:
        traffic.latencies.append(time.perf_counter() - begun)
        traffic.slates += 1
        traffic.releases[str(answer.get("release"))] += 1
        if answer.get("degraded"):
            traffic.degraded[str(answer["degraded"])] += 1


async def replay(
    url: str, trips: Iterable[Trip], *, workers: int = 16, k: int = 10, api_key: str | None = None, on_step: Step | None = None
) -> Traffic:
    """Send all trips: each user's in order, by `workers` side by side, roughly in the order of time.

    Args:
        url: the service.
        trips: in order of time.
        workers: how many trips are under way at once.
        k: slate length.
        api_key: sent as a bearer token.
        on_step: told after each trip.
    """
    traffic, begun = Traffic(), time.perf_counter()
    queues: list[asyncio.Queue[Trip | None]] = [asyncio.Queue(maxsize=32) for _ in range(workers)]

    async def work(queue: asyncio.Queue[Trip | None], session: aiohttp.ClientSession) -> None:
        while (trip := await queue.get()) is not None:
            await _slate(session, {"user_id": trip.user_id, "k": k, "at": trip.at.isoformat()}, traffic)
            if answer := await _post(session, REPORT, {"events": trip.events, "at": trip.until.isoformat()}, traffic):
                traffic.accepted += int(answer.get("accepted", 0))
                traffic.duplicates += _count(answer.get("duplicates"))
                traffic.rejected += _count(answer.get("rejected"))
            traffic.trips += 1
            if on_step is not None:
                traffic.seconds = time.perf_counter() - begun
                on_step(traffic)

    async with _session(url, api_key) as session, asyncio.TaskGroup() as group:
        for queue in queues:
            group.create_task(work(queue, session))
        for trip in trips:
            await queues[zlib.crc32(trip.user_id.encode()) % workers].put(trip)
        for queue in queues:
            await queue.put(None)
    traffic.seconds = time.perf_counter() - begun
    return traffic


def _count(value: object) -> int:
    """A number of events, given as such or as a list of them."""
    return len(value) if isinstance(value, list) else int(value) if isinstance(value, int) else 0


async def steady(
    url: str,
    users: Sequence[str],
    *,
    rate: float,
    until: Callable[[Traffic], bool],
    at: datetime | None = None,
    k: int = 10,
    api_key: str | None = None,
    on_step: Step | None = None,
) -> Traffic:
    """Ask for slates at a constant `rate` a second, round the known `users`, until `until` says so; then wait for the last answers.

    Args:
        url: the service.
        users: raw ids of known users.
        rate: requests a second; the schedule never waits for an answer.
        until: asked before each request.
        at: the moment that requests state, for a replayed clock.
        k: slate length.
        api_key: sent as a bearer token.
        on_step: told after each request left.
    """
    traffic, begun, number = Traffic(), time.perf_counter(), 0
    moment = {} if at is None else {"at": at.isoformat()}
    async with _session(url, api_key) as session, asyncio.TaskGroup() as group:
        while not until(traffic):
            scheduled = begun + number / rate
            if (wait := scheduled - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(_slate(session, {"user_id": users[number % len(users)], "k": k, **moment}, traffic, scheduled=scheduled))
            number += 1
            traffic.seconds = time.perf_counter() - begun
            if on_step is not None:
                on_step(traffic)
    traffic.seconds = time.perf_counter() - begun
    return traffic
