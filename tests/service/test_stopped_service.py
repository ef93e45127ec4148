"""The built bento is told to stop while shoppers ask and buy: what they had asked before is answered, and what was answered is kept."""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from footfall.store import events, exposures, open_store
from tests.service.built_bento import AT, NOON, Server, make_workspace
from tests.trials import Trial

SHOPPERS = 8
GRACE_S = 12.0
"""So long `footfall` waits for what it has told to stop, before it kills it."""


@dataclass
class Request:
    """One request.

    Attributes:
        sent: the moment at which its last byte had been handed over.
        torn: whether an answer began that never ended.
        buys: the id of the event in it.
    """

    sent: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    answer: Any = None
    answered: float = 0.0
    torn: bool = False
    buys: str | None = None


class Crowd:
    """Shoppers with a connection each, who always wait for an answer, until the service does not talk to them any more."""

    def __init__(self, port: int, name: str) -> None:
        self.requests: list[Request] = []
        self._port, self._name = port, name
        self._threads = [threading.Thread(target=self._shop, args=(number,)) for number in range(SHOPPERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Until the last of them has gone."""
        for thread in self._threads:
            thread.join()

    def _shop(self, number: int) -> None:
        connection, user, turn = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60), f"shopper {number}", 0
        try:
            connection.connect()
            while connection.sock is not None:  # a connection that is closed is not opened again
                turn += 1
                self._ask(connection, user, f"{self._name}-{number}-{turn}" if turn % 2 else None)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, user: str, buys: str | None) -> None:
        event = {"event_id": buys, "user_id": user, "event_type": "purchase", "item_id": "item00001", "occurred_at": NOON.isoformat()}
        path, body = ("/v1/recommend", {"user_id": user, "at": AT}) if buys is None else ("/v1/events", {"events": [event]})
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        request = Request(time.monotonic(), buys=buys)
        self.requests.append(request)
        answer = connection.getresponse()
        request.torn = True
        raw = answer.read()
        request.torn, request.answered = False, time.monotonic()
        request.status, request.headers, request.answer = answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(raw)


@pytest.mark.trial
def test_what_was_asked_before_the_signal_is_answered_and_kept(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    make_workspace(tmp_path, checkout)
    server, luck = Server(tmp_path, checkout), random.Random(29)
    requests: list[Request] = []
    under_way: list[int] = []
    statuses: Counter[int] = Counter()
    took, late = [], 0
    rounds = trial.count(small=1, stated=10)
    for number in range(rounds):
        server.start()
        assert server.process is not None
        workers = server.workers()
        crowd = Crowd(server.port, f"round {number}")
        time.sleep(luck.uniform(1.0, 2.0))
        told = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0
        took.append(time.monotonic() - told)
        crowd.join()
        assert not psutil.wait_procs(workers, 0)[1]
        before = [request for request in crowd.requests if request.sent < told]
        assert [request for request in before if not request.answered] == []
        assert not any(request.torn for request in crowd.requests)
        statuses.update(request.status for request in before)
        under_way.append(sum(request.answered > told for request in before))
        late += sum(not request.answered for request in crowd.requests)
        requests += crowd.requests

    answered = [request for request in requests if request.answered]
    trial.note(rounds=rounds, answered=len(answered), under_way=under_way, sent_too_late=late, longest_stop_s=round(max(took), 2))
    trial.note(statuses={str(status): count for status, count in statuses.items()})
    assert min(under_way) > 0
    for request in answered:
        assert request.status == 200 or (request.status == 503 and float(request.headers["retry-after"]) > 0)
    slates = [request.answer for request in answered if request.buys is None and request.status == 200]
    assert all(len(slate["items"]) == 10 for slate in slates)
    assert {slate["request_id"] for slate in slates} <= shown(server)
    assert {request.buys for request in answered if request.buys is not None and request.status == 200} <= bought(server)
    assert max(took) <= GRACE_S


def shown(server: Server) -> set[str]:
    """Every slate that was kept, whole."""
    engine, moment = open_store(server.url), datetime(2017, 10, 29, tzinfo=UTC)
    found = Counter(exposures.window(engine, moment, moment + timedelta(1)).column("request_id").to_pylist())
    engine.dispose()
    assert set(found.values()) == {10}
    return set(found)


def bought(server: Server) -> set[str]:
    """Every event that was kept."""
    engine = open_store(server.url)
    found = set(events.window(engine, NOON, NOON + timedelta(1)).column("event_id").to_pylist())
    engine.dispose()
    return found
