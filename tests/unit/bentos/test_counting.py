from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from bentos.measures import Measures
from bentos.web.counting import Counting
from tests.unit.bentos.asgi import Answer, ask, ask_in_loop
from tests.unit.bentos.conftest import Service

LOOPBACK = ("127.0.0.1", 3000)


def test_refusals_are_counted_by_status_at_the_door_and_behind_it(service: Service) -> None:
    app = Counting(service.app, lambda: service.measures)
    statuses = [ask(app, "POST", "/v1/recommend", body).status for body in ({}, {"k": 0}, {"k": 101})]
    statuses += [ask(app, "GET", path).status for path in ("/etc/passwd", "/v1/recommend")]
    assert statuses == [200, 400, 400, 404, 405]
    page = service.measures.page()[0].decode()
    found = {text for text in page.splitlines() if text.startswith("footfall_http_refused_total")}
    assert found == {f'footfall_http_refused_total{{status="{status}"}} {number}.0' for status, number in ((400, 2), (404, 1), (405, 1))}
    assert "passwd" not in page


def test_requests_inside_are_those_that_have_come_and_not_gone() -> None:
    registry = CollectorRegistry()
    measures, leave = Measures(registry), asyncio.Event()
    inside: list[float | None] = []

    async def slow(scope: object, receive: object, send: Callable[..., object]) -> None:
        await leave.wait()
        raise ConnectionResetError

    async def crowd() -> list[Answer | BaseException]:
        app = Counting(slow, lambda: measures)
        waiting = [asyncio.create_task(ask_in_loop(app, "POST", "/v1/recommend", [], {}, LOOPBACK)) for _ in range(3)]
        await asyncio.sleep(0)
        inside.append(registry.get_sample_value("footfall_http_in_flight"))
        leave.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(one, ConnectionResetError) for one in asyncio.run(crowd()))
    assert [*inside, registry.get_sample_value("footfall_http_in_flight")] == [3, 0]


def test_while_the_service_starts_nothing_is_counted_and_everything_passes(service: Service) -> None:
    assert ask(Counting(service.app, lambda: None), "GET", "/nowhere").status == 404
    assert "footfall_http_refused_total{" not in service.measures.page()[0].decode()
