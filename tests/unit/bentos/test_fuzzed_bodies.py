"""Bodies that no client should send, by the hundred thousand: no 5xx, no end of the service, and what is good among the bad is kept."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from footfall.store import open_store
from footfall.store.tables import events as table
from tests.trials import Trial
from tests.unit.bentos.asgi import Answer, ask_in_loop
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import bought
from tests.unit.bentos.test_openapi_is_true import FULL

TOGETHER = 16
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**400, 1e308, -0.0, 1e-320, 0.1, "", " ", "\x00", "\ud800", "\U0010ffff",
    "é" * 127, "𠮷" * 128, "x" * 129, "x" * 10_001, "%s", "{}", "'; DROP TABLE footfall_events; --", "null", "NaN", "1e5", "2017-02-30T00:00:00Z",
    "9999-12-31T23:59:60Z", "2017-11-03T08:00:00", "2017-11-03T08:00:00.123456789+23:59", "0001-01-01T00:00:00+14:00", "purchase", "PURCHASE",
    "theft", [], [[]], {}, {"a": {}}, [None], "\u202e", "\u0000a", "a\u0301", "\r\n", "../../etc/passwd",
]  # fmt: skip
SPLINTERS = (b"", b'"', b"\\", b"{", b"]", b"9" * 30, b"\\u0000", b"\\ud83d", b"null", b"\xff", b"\x00", b"1e999")


class Fuzzer:
    """Makes bodies; the first event of a list is good and has an id of its own, whatever comes after it."""

    def __init__(self, seed: int) -> None:
        self._luck = random.Random(seed)
        self._good = 0

    def mixed(self) -> tuple[str, bytes, int]:
        """(the id of its good event, a body of that one and up to three odd ones, how many there are)."""
        self._good += 1
        name = f"good-{self._good}"
        rows = [bought("a", event_id=name), *[self._odd_event() for _ in range(self._luck.randrange(4))]]
        return name, json.dumps({"events": rows}).encode("utf-8", "surrogatepass"), len(rows)

    def broken(self) -> bytes:
        """Bytes that were a good body once, or never."""
        if self._luck.random() < 0.1:
            return self._luck.randbytes(self._luck.randrange(300))
        body = bytearray(json.dumps({"events": [{**FULL, "event_id": f"broken-{self._luck.random()}"}]}).encode())
        for _ in range(self._luck.randrange(1, 6)):
            at = self._luck.randrange(len(body) + 1)
            part = self._luck.choice((*SPLINTERS, self._luck.randbytes(1), body[at : at + 40]))
            body[at : at + self._luck.randrange(4)] = part
        return bytes(body[: self._luck.randrange(1, len(body))] if self._luck.random() < 0.2 else body)

    def _odd_event(self) -> Any:
        if self._luck.random() < 0.1:
            return self._luck.choice(ODD)
        row: dict[str, Any] = {**FULL, "event_id": None}
        for _ in range(self._luck.randrange(1, 4)):
            name = self._luck.choice([*FULL, "extra", "", "received_at", "origin"])
            row[name] = self._luck.choice(ODD)
        if self._luck.random() < 0.3:
            row.pop(self._luck.choice(list(row)))
        return row


async def post(service: Service, body: bytes) -> Answer:
    return await ask_in_loop(service.app, "POST", "/v1/events", [body], {"content-type": "application/json"}, ("127.0.0.1", 3000))


async def send_all(service: Service, bodies: int, statuses: Counter[int], rejected: Counter[str]) -> set[str]:
    """Send that many bodies, half of them mixed, half broken. Returns the good events that were acknowledged."""
    fuzzer, acknowledged = Fuzzer(5), set()
    for _ in range(bodies // 2 // TOGETHER + 1):
        mixed, broken = [fuzzer.mixed() for _ in range(TOGETHER)], [fuzzer.broken() for _ in range(TOGETHER)]
        answers = await asyncio.gather(*[post(service, body) for _, body, _ in mixed], *[post(service, body) for body in broken])
        statuses.update(answer.status for answer in answers)
        for (name, body, rows), answer in zip(mixed, answers[:TOGETHER], strict=True):
            assert answer.status == 200, body
            told = answer.json
            assert told["accepted"] + told["duplicates"] + len(told["rejected"]) == rows, body
            assert all(row["index"] > 0 and row["field"] and row["expected"] and row["found"] for row in told["rejected"]), body
            rejected.update(row["field"] for row in told["rejected"])
            acknowledged.add(name)
        for body, answer in zip(broken, answers[TOGETHER:], strict=True):
            assert answer.status in (200, 400), (answer.status, body)
            assert answer.json
    return acknowledged


@pytest.mark.trial
def test_no_body_breaks_the_service_and_good_events_are_kept_beside_bad_ones(start: Callable[..., Service], store_url: str, trial: Trial) -> None:
    service, statuses, rejected = start(url=store_url, champion=None), Counter[int](), Counter[str]()
    acknowledged = asyncio.run(send_all(service, trial.count(small=600, stated=100_000), statuses, rejected))
    service.writer.close()
    engine = open_store(store_url)
    with engine.connect() as connection:
        found = set(connection.execute(sa.select(table.c.event_id)).scalars())
    engine.dispose()
    trial.note(bodies=statuses.total(), answers={str(key): count for key, count in statuses.items()}, rejected_rows=rejected.total())
    assert acknowledged <= found
    assert {"user_id", "occurred_at", "event_type", "quantity", "text", "event"} <= set(rejected)
    assert set(statuses) == {200, 400}
