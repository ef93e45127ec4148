"""The service is killed while shoppers come and buy: it is back soon, and what it had said is what it kept."""

from __future__ import annotations

import http.client
import random
import signal
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.random_bundle import write_random_bundle
from footfall.store import open_store
from footfall.store.tables import events, exposures
from tests.service.built_bento import BACK_WITHIN_S, Server, make_workspace
from tests.service.serving import Serving
from tests.trials import SOAK, Trial

SHOPPERS, K = 3, 5
LAST_S = 0.1 if SOAK else 1.0
"""Slates that were answered in so many seconds before a kill may be missing; a desk that does other things besides writes more slowly."""


class Crowd:
    """Shoppers who ask for a slate and buy something, again and again, until the service does not answer any more."""

    def __init__(self, serving: Serving | Server) -> None:
        self._serving = serving
        self.answered: dict[str, float] = {}
        self.acknowledged: set[str] = set()
        self.refused: Counter[int] = Counter()
        self._bought = 0
        self._note = threading.Lock()

    def come(self) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._shop, args=(f"shopper {number}",)) for number in range(SHOPPERS)]
        for thread in threads:
            thread.start()
        return threads

    def _shop(self, user: str) -> None:
        try:
            while True:
                status, slate = self._serving.post("/v1/recommend", {"user_id": user, "k": K, "at": "2017-10-29T00:00:00Z"})
                with self._note:
                    self.refused[status] += status != 200
                    self.answered[slate["request_id"]] = time.monotonic()
                    self._bought += 1
                    name = f"e{self._bought}"
                event = {"event_id": name, "user_id": user, "event_type": "purchase", "item_id": "item00001", "occurred_at": "2017-10-28T12:00:00Z"}
                status, _ = self._serving.post("/v1/events", {"events": [event]})
                with self._note:
                    self.refused[status] += status != 200
                    self.acknowledged.add(name)
        except (OSError, http.client.HTTPException):
            return  # it was killed


@pytest.mark.trial
def test_a_killed_service_is_back_soon_with_whole_slates_and_every_acknowledged_event(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    write_random_bundle(tmp_path / "bundle", items=200, seed=1)
    kill_again_and_again(Serving(tmp_path, checkout), trial.count(small=1, stated=20), trial)


@pytest.mark.trial
@pytest.mark.skipif(not SOAK, reason="in `make test` the built bento is killed once: test_the_built_bento.py")
def test_so_is_the_built_bento(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    make_workspace(tmp_path, checkout)
    kill_again_and_again(Server(tmp_path, checkout), 5, trial)


def kill_again_and_again(serving: Serving | Server, kills: int, trial: Trial) -> None:
    """Kill it in the midst of shoppers, and look at what is there each time that it is back."""
    luck = random.Random(16)
    crowd, waits, late = Crowd(serving), [serving.start()], 0.0
    missing: set[str] = set()
    counted: list[int] = []
    for kill in range(kills + 1):
        threads = crowd.come()
        time.sleep(luck.uniform(0.7, 1.5))
        killed = time.monotonic()
        serving.end(signal.SIGTERM if kill == kills else signal.SIGKILL)  # at last it may write what waits
        for thread in threads:
            thread.join()
        lost = set(crowd.answered) - set(slates(serving)) - missing
        missing |= lost
        assert not lost or kill < kills
        late = max([late, *(killed - crowd.answered[name] for name in lost)])
        if kill < kills:
            waits.append(serving.start())
            counted.append(lost_exposures(serving))
            assert counted[-1] >= K * len(lost)

    trial.note(kills=kills, slates=len(crowd.answered), missing_slates=len(missing), oldest_missing_ms=round(late * 1e3))
    trial.note(counted_on_start=sum(counted))
    trial.note(events=len(crowd.acknowledged), longest_until_ready_s=round(max(waits), 2))
    assert crowd.refused.total() == 0
    assert {tuple(positions) for positions in slates(serving).values()} == {tuple(range(1, K + 1))}
    assert crowd.acknowledged <= stored_events(serving)
    assert late <= LAST_S
    # more than are missing: slates whose answer the kill cut off, and those whose commit it met; far from all that were ever shown
    assert sum(counted) < K * len(crowd.answered) / 2
    assert max(waits) <= BACK_WITHIN_S


def slates(serving: Serving | Server) -> dict[str, list[int]]:
    """Positions of every slate that was kept."""
    found: dict[str, list[int]] = {}
    engine = open_store(serving.url)
    with engine.connect() as connection:
        for name, position in connection.execute(sa.select(exposures.c.request_id, exposures.c.position).order_by(exposures.c.position)):
            found.setdefault(name, []).append(position)
    engine.dispose()
    return found


def stored_events(serving: Serving | Server) -> set[str]:
    engine = open_store(serving.url)
    with engine.connect() as connection:
        found = list(connection.execute(sa.select(events.c.event_id)).scalars())
    engine.dispose()
    assert len(found) == len(set(found))
    return set(found)


def lost_exposures(serving: Serving | Server) -> int:
    """What the process has counted as lost."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{serving.port}/metrics", timeout=20).read().decode()
    return round(float(next(line.split()[1] for line in page.splitlines() if line.startswith("footfall_exposures_lost_total "))))
