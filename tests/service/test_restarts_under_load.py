"""Events keep coming at a steady rate while the service is ended and started again: nothing acknowledged is lost, and the lag goes back."""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from footfall.store import open_store
from footfall.store.tables import events as table
from tests.trials import Trial

RATE, BATCH = 500, 25
BETWEEN_S = 1.0
SENDERS = 4


class Listener:
    """The listening process, ended and started at will, always on the same port."""

    def __init__(self, url: str, checkout: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._command = [sys.executable, str(checkout / "tests/service/listening_process.py"), url, str(self.port)]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(checkout)])}
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        self._process.wait(30)


class Shop:
    """Makes numbered batches of events at a constant rate, and sends each until it is acknowledged."""

    def __init__(self, port: int) -> None:
        self.port, self.made = port, 0
        self.acknowledged: set[int] = set()
        self.accepted = self.repeated = 0
        self.answers: Counter[int | str] = Counter()
        self._waiting: queue.Queue[int] = queue.Queue()
        self._note = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=target) for target in (self._make, *[self._send] * SENDERS)]
        for thread in self._threads:
            thread.start()

    @property
    def lag(self) -> int:
        """Events made and not acknowledged."""
        return (self.made - len(self.acknowledged)) * BATCH

    def close_shop(self) -> None:
        """Make no more, and wait until all is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _make(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(max(0.0, begun + self.made * BATCH / RATE - time.monotonic())):
            self._waiting.put(self.made)
            self.made += 1

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self._stop.is_set() or self.lag:
            try:
                batch = self._waiting.get(timeout=0.05)
            except queue.Empty:
                continue
            try:
                status, answer, again = self._post(connection, batch)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status, answer, again = type(error).__name__, {}, 0.05
            with self._note:
                self.answers[status] += 1
                if status == 200:
                    self.acknowledged.add(batch)
                    self.accepted += answer["accepted"]
                    self.repeated += answer["duplicates"]
                    continue
            self._waiting.put(batch)
            time.sleep(again)
        connection.close()

    def _post(self, connection: http.client.HTTPConnection, batch: int) -> tuple[int | str, dict[str, Any], float]:
        rows = [
            {"event_id": f"e{number}", "user_id": f"u{number % 97}", "event_type": "search", "occurred_at": "2017-11-03T12:00:00Z"}
            for number in range(batch * BATCH, (batch + 1) * BATCH)
        ]
        connection.request("POST", "/v1/events", json.dumps({"events": rows, "at": "2017-11-03T12:00:01Z"}), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), float(answer.headers.get("retry-after", 0))


def seconds_until(shop: Shop, lag: int) -> float:
    started = time.monotonic()
    while shop.lag > lag:
        assert time.monotonic() < started + 120, shop.answers
        time.sleep(0.01)
    return time.monotonic() - started


@pytest.mark.trial
def test_events_at_a_steady_rate_survive_restarts(store_url: str, checkout: Path, tmp_path: Path, trial: Trial) -> None:
    restarts, luck = trial.count(small=1, stated=10), random.Random(11)
    listener = Listener(store_url, checkout, tmp_path / "listener.log")
    shop, lags, waits = Shop(listener.port), [], []
    for number in range(restarts):
        seconds_until(shop, 2 * BATCH)
        time.sleep(BETWEEN_S * luck.random())
        listener.end(signal.SIGTERM if number % 2 else signal.SIGKILL)
        time.sleep(0.2)
        lags.append(shop.lag)
        listener.start()
        waits.append(seconds_until(shop, 2 * BATCH))
    shop.close_shop()
    listener.end(signal.SIGTERM)

    engine = open_store(store_url)
    with engine.connect() as connection:
        found = Counter(connection.execute(sa.select(table.c.event_id)).scalars())
    engine.dispose()
    wanted = Counter(f"e{number}" for number in range(shop.made * BATCH))
    trial.note(restarts=restarts, events=shop.made * BATCH, lost=len(wanted - found), most_lag_events=max(lags))
    trial.note(longest_catch_up_s=round(max(waits), 2), answers={str(key): count for key, count in shop.answers.items()})
    assert found == wanted
    assert shop.accepted + shop.repeated == shop.made * BATCH
    assert max(lags) > 0
    assert set(shop.answers) - {200} <= {503, "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}
