"""The ASGI application: routes, and nothing that BentoML adds to an API of its own.

A mounted application answers more than twice as many requests as `@bentoml.api`, which builds a JSON schema for every answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos.answering import Answering
from bentos.bodies import read_object
from bentos.measures import Measures
from bentos.openapi import document
from bentos.problems import Problem, answer, busy
from bentos.requests import read_events_request, read_slate_request
from footfall.errors import FootfallError

logger = logging.getLogger("footfall.service")

ANSWER_TIMEOUT_S = 10.0
THREADS = 16
"""Slates are made in threads: they read the store side by side, and are ranked together (`ranking`)."""

Handler = Callable[[Request, "Parts"], Awaitable[Response]]


@dataclass(frozen=True)
class Parts:
    """What the routes need; the service puts it into `app.state.parts` once it has started."""

    answering: Answering
    measures: Measures
    pseudonymise: Callable[[str], str]
    replay_clock: bool
    threads: ThreadPoolExecutor


def make_app() -> Starlette:
    """The application; it answers 503 until `app.state.parts` is set."""
    routes = [
        Route("/v1/recommend", _counted("recommend", _recommend), methods=["POST"]),
        Route("/v1/events", _counted("events", _events), methods=["POST"]),
        Route("/v1/release", _counted("release", _release), methods=["GET"]),
        Route("/v1/openapi.json", _counted("openapi", _openapi), methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_problem})


async def _recommend(request: Request, parts: Parts) -> Response:
    body = await read_object(request)
    wanted = read_slate_request(body, now_us=_now_us(), pseudonymise=parts.pseudonymise, replay_clock=parts.replay_clock)
    loop = asyncio.get_running_loop()
    return answer(await asyncio.wait_for(loop.run_in_executor(parts.threads, parts.answering.recommend, wanted), ANSWER_TIMEOUT_S))


async def _events(request: Request, parts: Parts) -> Response:
    body = await read_object(request)
    # a full request takes some 20 ms to check: long enough to keep others waiting
    check = partial(read_events_request, body, now_us=_now_us(), pseudonymise=parts.pseudonymise, replay_clock=parts.replay_clock)
    found = await asyncio.get_running_loop().run_in_executor(parts.threads, check) if request_is_large(body) else check()
    if not found.rows:
        parts.measures.count_events(0, 0, len(found.rejected))
        return answer({"accepted": 0, "duplicates": 0, "rejected": found.rejected}, 400)
    appended = await asyncio.wait_for(asyncio.wrap_future(parts.answering.append(found.rows)), ANSWER_TIMEOUT_S)
    parts.measures.count_events(appended.accepted, len(appended.duplicates), len(found.rejected))
    return answer({"accepted": appended.accepted, "duplicates": len(appended.duplicates), "rejected": found.rejected})


def request_is_large(body: dict[str, Any]) -> bool:
    """Whether checking the events of this body is work for a thread."""
    events = body.get("events")
    return isinstance(events, list) and len(events) > 50


async def _release(_request: Request, parts: Parts) -> Response:
    return answer(parts.answering.describe())


async def _openapi(_request: Request, parts: Parts) -> Response:
    return answer(document(replay_clock=parts.replay_clock))


async def _metrics(request: Request) -> Response:
    parts: Parts | None = getattr(request.app.state, "parts", None)
    if parts is None:
        return busy("the service is starting").response()
    page, content_type = await asyncio.get_running_loop().run_in_executor(parts.threads, parts.measures.page)
    return Response(page, headers={"content-type": content_type})


def _counted(route: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The route's handler with its problems turned into answers, counted and timed."""

    async def handle(request: Request) -> Response:
        parts: Parts | None = getattr(request.app.state, "parts", None)
        if parts is None:
            return busy("the service is starting").response()
        started = time.perf_counter()
        try:
            response = await handler(request, parts)
        except Problem as problem:
            response = problem.response()
        except FootfallError as error:
            # what the store or a release could not do is no fault of the request: it may come again
            logger.error("%s failed: %s (%s)", route, error.what, error.found)
            response = busy(error.what).response()
        except TimeoutError:
            response = busy("no answer in time").response()
        parts.measures.count_request(route, response.status_code, time.perf_counter() - started)
        return response

    return handle


async def _http_problem(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers: dict[str, str] = dict(getattr(error, "headers", None) or {})
    what: dict[int, Any] = {404: "there is no such page", 405: "this page takes another method"}
    return Problem(status, "method_not_allowed" if status == 405 else "refused", what.get(status, "refused"), headers=headers).response()


def _now_us() -> int:
    return time.time_ns() // 1000
