from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bentos.web import door
from bentos.web.door import Door, is_loopback
from tests.unit.bentos.asgi import ask, ask_in_loop
from tests.unit.bentos.conftest import Service


@pytest.mark.parametrize("path", ["/", "/docs.json", "/schema.json", "/static_content/index.css", "/v1", "/v1/recommend/", "/v1/../etc", "/%2e%2e"])
def test_no_other_page_exists(service: Service, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        assert ask(service.app, method, path).status == 404


def test_another_method_is_refused_and_the_right_one_named(service: Service) -> None:
    answer = ask(service.app, "GET", "/v1/recommend")
    assert (answer.status, answer.headers["allow"], answer.json["error"]) == (405, "POST", "method_not_allowed")


def test_without_keys_only_loopback_is_served(start: Callable[..., Service]) -> None:
    outside = ("192.0.2.7", 3000)
    assert ask(start().app, "POST", "/v1/recommend", {}, server=outside).status == 403
    assert ask(start(api_keys=("k" * 16,)).app, "POST", "/v1/recommend", {}, server=outside, x_api_key="k" * 16).status == 200


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.9.9.9", True), ("::ffff:127.0.0.1", True)]
    + [("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("example.org", False), ("", False)],
)
def test_loopback_is_recognised(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


def test_too_many_requests_at_once_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_IN_FLIGHT", 2)
    release = asyncio.Event()

    async def slow(scope: object, receive: object, send: Callable[..., object]) -> None:
        await release.wait()

    async def crowd() -> list[int]:
        app = Door(slow)
        waiting = [asyncio.create_task(ask_in_loop(app, "POST", "/v1/recommend", [], {}, ("127.0.0.1", 1))) for _ in range(2)]
        await asyncio.sleep(0)
        third = await ask_in_loop(app, "POST", "/v1/recommend", [], {}, ("127.0.0.1", 1))
        release.set()
        await asyncio.gather(*waiting)
        return [third.status, int(third.headers["retry-after"])]

    assert asyncio.run(crowd()) == [503, 1]


def test_all_who_come_at_the_same_time_are_counted_before_the_first_is_served() -> None:
    inside: list[int] = []

    async def at_once(scope: object, receive: object, send: Callable[..., object]) -> None:
        inside.append(app._ranked._inside)

    app = Door(at_once)

    async def together() -> None:
        await asyncio.gather(*(ask_in_loop(app, "POST", "/v1/recommend", [], {}, ("127.0.0.1", 1)) for _ in range(5)))

    asyncio.run(together())
    assert inside == [5, 4, 3, 2, 1]


def test_what_runs_behind_the_door_is_not_said(service: Service) -> None:
    assert "server" not in ask(service.app, "POST", "/v1/recommend", {}).headers
