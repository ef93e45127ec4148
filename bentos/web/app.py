"""The ASGI application: the table's routes, and nothing that BentoML adds to an API of its own.

A mounted application answers more than twice as many requests as `@bentoml.api`, which builds a JSON schema for every answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos import tracing
from bentos.parts import Parts
from bentos.routes.table import ENDPOINTS
from bentos.web.bodies import read_object
from bentos.web.endpoints import LOOPBACK, WHO, Asked, Endpoint, now_us, read_body, unfitting
from bentos.web.fields import UnfitError
from bentos.web.problems import Answer, Problem, busy
from footfall.errors import FootfallError

logger = logging.getLogger("footfall.service")


def make_app() -> Starlette:
    """The application; it answers 503 until `app.state.parts` is set."""
    routes = [Route(endpoint.path, _handler(endpoint), methods=[endpoint.method]) for endpoint in ENDPOINTS]
    return Starlette(routes=[*routes, Route("/metrics", _metrics, methods=["GET"])], exception_handlers={HTTPException: _http_problem})


def _handler(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint's handler with its problems turned into answers, counted, timed and traced."""

    async def handle(request: Request) -> Response:
        parts = _parts(request)
        if parts is None:
            return busy("the service is starting").response()
        started = time.perf_counter()
        with tracing.request(endpoint.method, endpoint.path, request.headers.get("traceparent")):
            response = await _answer(endpoint, request, parts)
            tracing.note(status=response.status_code)
        parts.measures.count_request(endpoint.name, response.status_code, time.perf_counter() - started, response.release)
        return response

    return handle


async def _answer(endpoint: Endpoint, request: Request, parts: Parts) -> Answer:
    """What the endpoint answers, or what kept it from answering."""
    try:
        return await endpoint.handle(await _ask(endpoint, request, parts))
    except Problem as problem:
        return problem.response()
    except FootfallError as error:
        # what the store or a release could not do is no fault of the request: it may come again
        response = busy(error.what).response()
        said = {"route": endpoint.name, "status": response.status_code}
        logger.error("%s failed: %s (%s)", endpoint.name, error.what, error.found, extra=said)
        return response
    except TimeoutError:
        return busy("no answer in time").response()


async def _ask(endpoint: Endpoint, request: Request, parts: Parts) -> Asked:
    """The request, read and checked.

    Raises:
        Problem: it does not fit.
    """
    body: dict[str, Any] = {}
    at_us = now_us()
    if endpoint.body is not None:
        body, at_us = read_body(endpoint.body, await read_object(request), now_us=at_us, replay_clock=parts.replay_clock)
    path = {}
    for name, field in endpoint.parameters.items():
        try:
            path[name] = field.read(request.path_params[name])
        except UnfitError as unfit:
            raise unfitting(unfit, f"path: {name}") from unfit
    return Asked(parts, body, path, at_us, request.scope.get(WHO, LOOPBACK), request.is_disconnected)


async def _metrics(request: Request) -> Response:
    parts = _parts(request)
    if parts is None:
        return busy("the service is starting").response()
    page, content_type = await asyncio.get_running_loop().run_in_executor(parts.threads, parts.measures.page)
    return Response(page, headers={"content-type": content_type})


def _parts(request: Request) -> Parts | None:
    parts: Parts | None = getattr(request.app.state, "parts", None)
    return parts


async def _http_problem(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers: dict[str, str] = dict(getattr(error, "headers", None) or {})
    what: dict[int, Any] = {404: "there is no such page", 405: "this page takes another method"}
    return Problem(status, "method_not_allowed" if status == 405 else "refused", what.get(status, "refused"), headers=headers).response()
