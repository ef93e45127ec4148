"""Whatever is killed at whatever moment: every acknowledged event is in the store, and none is there twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from footfall.store import events, open_store
from footfall.store.tables import events as table
from tests.service.writing_process import NOON_US
from tests.trials import Trial

BATCH, OUTSTANDING = 20, 12


class Client:
    """Sends numbered batches to one writing process after the other, and remembers which were acknowledged."""

    def __init__(self, command: list[str], environment: dict[str, str], batches: int) -> None:
        self._command, self._environment = command, environment
        self.waiting = set(range(batches))
        self.acknowledged: set[int] = set()
        self.refused = 0

    def send_until(self, acknowledged: int, linger_s: float) -> None:
        """Send what is not acknowledged to a new process, and kill it `linger_s` after so many acknowledgements in all."""
        to_send = sorted(self.waiting, reverse=True)
        process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            for _ in range(min(OUTSTANDING, len(to_send))):
                process.stdin.write(f"{to_send.pop()} {BATCH}\n")
            while self.waiting and len(self.acknowledged) < acknowledged:
                line = process.stdout.readline()
                assert line, "the process ended by itself"
                self._note(line, to_send)
                if to_send:
                    process.stdin.write(f"{to_send.pop()} {BATCH}\n")
            time.sleep(linger_s)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:  # what it had said before it died counts
                self._note(line, to_send)
        process.wait(20)

    def _note(self, line: str, to_send: list[int]) -> None:
        *refused, batch, _ = line.split()
        if refused:
            self.refused += 1
            to_send.append(int(batch))
            return
        self.acknowledged.add(int(batch))
        self.waiting.discard(int(batch))


def send_through_kills(url: str, checkout: Path, trial: Trial, *options: str) -> Client:
    """Send the events of one trial while the process that stores them is killed again and again, and again until all are acknowledged."""
    kills, count = trial.count(small=2, stated=50), trial.count(small=2_000, stated=100_000)
    luck = random.Random(7)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(checkout)])}
    client = Client([sys.executable, str(checkout / "tests/service/writing_process.py"), url, *options], environment, count // BATCH)
    started = time.perf_counter()
    for moment in sorted(luck.sample(range(1, count // BATCH), kills)):
        client.send_until(moment, luck.uniform(0, 0.02))
    client.send_until(count // BATCH, 0)
    trial.note(kills=kills, events=count, refused_batches=client.refused, events_per_second=round(count / (time.perf_counter() - started)))
    assert not client.waiting
    return client


def stored_numbers(url: str) -> Counter[int]:
    """How often each numbered event is stored; its content is held against its number."""
    engine = open_store(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table.c.event_id, table.c.item_id, table.c.occurred_at)).all()
    engine.dispose()
    assert all((item, at) == (f"i{name[1:]}", NOON_US + int(name[1:])) for name, item, at in rows)
    return Counter(int(name[1:]) for name, _, _ in rows)


def exported_numbers(url: str) -> Counter[int]:
    """How often each event is handed out for export."""
    engine = open_store(url)
    batches = events.claim_export(engine, datetime(2100, 1, 1, tzinfo=UTC))
    engine.dispose()
    return Counter(int(name[1:]) for _, rows in batches for name in rows.column("event_id").to_pylist())


def hold_to_account(url: str, client: Client, trial: Trial) -> None:
    wanted = Counter(number for batch in client.acknowledged for number in range(batch * BATCH, (batch + 1) * BATCH))
    found = stored_numbers(url)
    trial.note(lost=len(wanted - found), twice=sum(times > 1 for times in found.values()))
    assert wanted - found == Counter()
    assert found == wanted == exported_numbers(url)


@pytest.mark.trial
def test_no_acknowledged_event_is_lost_or_doubled_by_kills(store_url: str, checkout: Path, trial: Trial) -> None:
    hold_to_account(store_url, send_through_kills(store_url, checkout, trial), trial)


@pytest.mark.trial
def test_kills_in_the_middle_of_a_checkpoint_harm_sqlite_no_more(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    client = send_through_kills(url, checkout, trial, "1")  # a checkpoint after every commit: most kills fall into one
    hold_to_account(url, client, trial)
    engine = open_store(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    engine.dispose()
