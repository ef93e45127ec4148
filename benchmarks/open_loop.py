"""An open loop: requests leave at constant intervals whether or not earlier ones have been answered, as users do.

    python -m benchmarks.open_loop PORT RATE SECONDS CONNECTIONS < BODIES      a JSON list of bodies; prints one JSON line

A request's time counts from the moment at which it should have left, so that a server that makes others wait is charged for it
(no coordinated omission: Tene, "How NOT to Measure Latency").
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

PATH = "/v1/recommend"


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, loop: OpenLoop) -> None:
        self._loop, self._left, self._due, self._held = loop, -1, 0.0, b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._loop.free(self)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._held += data
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._held[:end].lower()
            self._status = int(head[9:12])
            self._left = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) - (len(self._held) - end - 4)
            self._held = b""
        else:
            self._left -= len(data)
        if self._left == 0:
            self._left = -1
            self._loop.answered(self._status, self._due)
            self._loop.free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._due and self in self._loop.busy:
            self._loop.answered(0, self._due)


class OpenLoop:
    """What has left, what waits, and what came back."""

    def __init__(self, requests: list[bytes]) -> None:
        """Nothing has left yet."""
        self._requests, self._next = requests, 0
        self._free: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self.busy: set[_Connection] = set()
        self.seconds: list[float] = []
        self.by_status: dict[int, list[float]] = {}
        self.statuses: Counter[int] = Counter()

    def due(self, moment: float) -> None:
        """A request should leave now."""
        self._waiting.append(moment)
        self._send()

    def free(self, connection: _Connection) -> None:
        """A connection may be used."""
        self.busy.discard(connection)
        self._free.append(connection)
        self._send()

    def answered(self, status: int, due: float) -> None:
        """A request has been answered, or with status 0 has not."""
        self.statuses[status] += 1
        self.seconds.append(time.perf_counter() - due)
        self.by_status.setdefault(status, []).append(self.seconds[-1])

    def _send(self) -> None:
        while self._waiting and self._free:
            connection = self._free.popleft()
            self.busy.add(connection)
            connection.send(self._requests[self._next % len(self._requests)], self._waiting.popleft())
            self._next += 1


def histories(items: Sequence[str], users: int, events: int) -> list[dict[str, Any]]:
    """Bodies with a history each, of the last month."""
    chance, now = random.Random(7), datetime.now(UTC) - timedelta(minutes=5)  # noqa: S311
    found = []
    for _ in range(users):
        moments = [(now - timedelta(hours=hours)).isoformat() for hours in sorted((chance.uniform(0, 720) for _ in range(events)), reverse=True)]
        kinds = ["view" if n % 5 else "purchase" for n in range(events)]
        told = zip(kinds, chance.choices(items, k=events), moments, strict=True)
        found.append({"events": [{"event_type": kind, "item_id": item, "occurred_at": at} for kind, item, at in told], "k": 10})
    return found


def stored(port: int, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the histories into the service's store; requests that ask by user."""
    for number, body in enumerate(bodies):
        events = [{"user_id": f"user{number}", **event} for event in body["events"]]
        text = json.dumps({"events": events}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/events", text, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    return [{"user_id": f"user{number}", "k": 10} for number in range(len(bodies))]


def drive_apart(port: int, rate: float, seconds: float, connections: int, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """`drive` in a process of its own, on the last core."""
    command = [sys.executable, "-m", "benchmarks.open_loop", str(port), str(rate), str(seconds), str(connections)]
    done = subprocess.run(command, input=json.dumps(bodies).encode(), capture_output=True, check=True, preexec_fn=lambda: on_core(-1))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def on_core(number: int) -> None:
    """Keep this process on one of the cores that it may use."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number]})


async def drive(port: int, rate: float, seconds: float, connections: int, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Latencies of `rate` requests a second for so many seconds, those of the first fifth left out; `by_status` has those of all."""
    texts = [json.dumps(body).encode() for body in bodies]
    head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: "
    loop = OpenLoop([head.encode() + str(len(text)).encode() + b"\r\n\r\n" + text for text in texts])
    running = asyncio.get_running_loop()
    transports = [(await running.create_connection(lambda: _Connection(loop), "127.0.0.1", port))[0] for _ in range(connections)]
    began, sent, number = time.perf_counter(), 0, round(rate * seconds)
    while sent < number:
        now = time.perf_counter()
        while sent < number and began + sent / rate <= now:
            loop.due(began + sent / rate)
            sent += 1
        await asyncio.sleep(max(began + sent / rate - time.perf_counter(), 0))
    deadline = time.perf_counter() + 5.0
    while len(loop.seconds) < number and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    for transport in transports:
        transport.abort()
    unanswered = number - len(loop.seconds)
    by_status = {status: _quantiles(seconds) for status, seconds in loop.by_status.items()}
    told = {"rate": rate, "sent": number, "unanswered": unanswered, "statuses": dict(loop.statuses), "by_status": by_status}
    return told | _quantiles(loop.seconds[number // 5 :])


def _quantiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds; nothing of nothing."""
    taken = sorted(seconds)
    return {name: taken[min(int(share * len(taken)), len(taken) - 1)] * 1_000 for name, share in (("p50", 0.5), ("p99", 0.99)) if taken}


if __name__ == "__main__":
    port, rate, seconds, connections = (float(argument) for argument in sys.argv[1:5])
    found = asyncio.run(drive(int(port), rate, seconds, int(connections), json.load(sys.stdin)))
    sys.stdout.write(json.dumps(found) + "\n")
