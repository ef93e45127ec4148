from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from starlette.types import Message

from bentos.slates.ranking import Ranking
from bentos.slates.waiting import Patience, heed, patience_now
from bentos.web import endpoints
from footfall.recommender import Recommender, Slate, Wishes
from footfall.store.tables import exposures
from tests.unit.bentos.asgi import ask_in_loop
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_ranking import Recorder, history

FAR = 3_600.0


def test_work_that_nobody_waits_for_is_not_begun() -> None:
    done: list[str] = []
    for patience in (Patience(time.monotonic() - 1), Patience(time.monotonic() + FAR, ended=True)):
        with pytest.raises(TimeoutError):
            patience.run(done.append, "work")
    Patience(time.monotonic() + FAR).run(done.append, "wanted")
    assert done == ["wanted"]


def test_what_is_called_finds_the_patience_of_its_own_request_and_no_other_thread_does() -> None:
    patience = Patience(time.monotonic() + FAR)
    assert patience.run(patience_now) is patience
    assert patience_now() is None
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(patience.run, patience_now).result() is patience
        assert threads.submit(patience_now).result() is None
    heed(None)


def test_those_who_gave_up_while_they_waited_are_not_ranked() -> None:
    ranking, ranker = Ranking(), Recorder(held=True)
    late, stays = Patience(time.monotonic() + FAR), Patience(time.monotonic() + FAR)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(ranking.rank, ranker, history("first"), 0, Wishes(1))
        assert ranker.entered.wait(10)
        others = [threads.submit(patience.run, ranking.rank, ranker, history("x"), 0, Wishes(1)) for patience in (late, stays)]
        while len(ranking._queue) < 2:
            pass
        late.ended = True
        ranker.go.set()
        assert first.result().items
        with pytest.raises(TimeoutError):
            others[0].result()
        assert others[1].result().items
    assert ranker.asked == ["first", "x"]


def test_when_all_who_waited_gave_up_nothing_is_ranked() -> None:
    ranking, ranker, gone = Ranking(), Recorder(held=True), Patience(time.monotonic() + FAR)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ranking.rank, ranker, history("first"), 0, Wishes(1))
        assert ranker.entered.wait(10)
        other = threads.submit(gone.run, ranking.rank, ranker, history("x"), 0, Wishes(1))
        while not ranking._queue:
            pass
        gone.ended = True
        ranker.go.set()
        assert first.result().items
        with pytest.raises(TimeoutError):
            other.result()
    assert ranker.asked == ["first"]


class Held:
    """Holds every slate of a service's recommender until it is let go, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.entered, self.ranked = threading.Event(), threading.Event(), 0
        real: Callable[..., list[Slate]] = Recommender.recommend

        def recommend(ranker: Recommender, *arguments: object) -> list[Slate]:
            self.ranked += 1
            self.entered.set()
            assert self.go.wait(10)
            return real(ranker, *arguments)

        monkeypatch.setattr(Recommender, "recommend", recommend)


async def let_work_end(service: Service) -> None:
    """Until both threads of the test's service have nothing to do."""
    threads = service.app._app.state.parts.threads  # type: ignore[attr-defined]
    barrier = threading.Barrier(3)
    for _ in range(2):
        threads.submit(barrier.wait, 10)
    await asyncio.to_thread(barrier.wait, 10)


def shown(service: Service) -> int:
    service.written()
    with service.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count(exposures.c.request_id.distinct()))).scalar_one()


def test_a_request_whose_time_is_over_is_refused_not_ranked_later_and_shows_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(endpoints, "LOOK_S", 0.02)
    held = Held(monkeypatch)

    async def crowd() -> list[int]:
        body = [b'{"user_id": "ann"}']
        headers = {"content-type": "application/json"}
        asked = [ask_in_loop(service.app, "POST", "/v1/recommend", body, headers, ("127.0.0.1", 1)) for _ in range(4)]
        statuses = [answer.status for answer in await asyncio.gather(*asked)]
        held.go.set()
        await let_work_end(service)
        return statuses

    assert asyncio.run(crowd()) == [503] * 4
    assert held.ranked == 1  # the one that was in its pass already
    assert shown(service) == 0


def test_a_client_that_has_gone_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "LOOK_S", 0.02)
    held = Held(monkeypatch)

    async def asked_and_left() -> None:
        left = asyncio.Event()
        messages: list[Message] = [{"type": "http.request", "body": b'{"user_id": "ann"}', "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            """Nobody listens."""

        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/v1/recommend", "query_string": b""}
        scope |= {"headers": [(b"content-type", b"application/json")], "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 1), "scheme": "http"}
        task = asyncio.ensure_future(service.app({**scope, "raw_path": b"/v1/recommend", "root_path": ""}, receive, send))
        await asyncio.to_thread(held.entered.wait, 10)
        left.set()
        await asyncio.wait_for(task, 5)  # long before the 10 s of an answer
        held.go.set()
        await let_work_end(service)

    asyncio.run(asked_and_left())
    assert held.ranked == 1
    assert shown(service) == 0
