"""The door: a pure ASGI middleware in front of everything that BentoML serves.

Only the paths listed here exist. BentoML's own pages (`/`, `/docs.json`, `/schema.json`, static files) are closed: its index page
loads a tag manager from outside, and the document that is true of this service is `/v1/openapi.json`.
"""

from __future__ import annotations

import hmac
import ipaddress

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.routes.table import ENDPOINTS
from bentos.web.crowd import Crowd
from bentos.web.endpoints import READ
from bentos.web.problems import Problem, busy

PROBES = frozenset({"/livez", "/readyz", "/healthz"})
"""Open without a key: they say nothing but yes or no."""

PATHS = PROBES | {"/metrics"} | {endpoint.path for endpoint in ENDPOINTS if not endpoint.parameters}
_WITH_PARAMETERS = [compile_path(endpoint.path)[0] for endpoint in ENDPOINTS if endpoint.parameters]

RANKED = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.role == READ and endpoint.body is not None)
"""Where a release has to think: they wait for each other, and no more are let in than can be answered soon."""

MAX_IN_FLIGHT = 128
"""Requests inside at once, of any kind; more are refused at once, because an answer that comes too late helps nobody."""


class Door:
    """Lets in known paths, with a key when keys are set, and no more requests than can be answered.

    Args:
        app: what lies behind.
        api_keys: accepted keys; none means that only loopback is served.
    """

    def __init__(self, app: ASGIApp, api_keys: tuple[str, ...] = ()) -> None:
        """Keep the keys as bytes, for comparing in constant time."""
        self._app = app
        self._keys = [key.encode() for key in api_keys]
        self._in_flight = 0
        self._ranked = Crowd()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        problem = self._refusal(scope)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        ranked = scope["path"] in RANKED
        self._in_flight += 1
        if ranked:
            self._ranked.enter()
        try:
            await self._app(scope, receive, _quiet(send))
        finally:
            self._in_flight -= 1
            if ranked:
                self._ranked.leave()

    def _refusal(self, scope: Scope) -> Problem | None:
        path: str = scope["path"]
        if not self._keys and not _is_loopback(scope.get("server")):
            return Problem(403, "forbidden", "this service has no API keys and answers on loopback only", next_step="set FOOTFALL_API_KEYS")
        if self._keys and path not in PROBES and not self._has_key(scope):
            return Problem(
                401,
                "unauthorized",
                "an API key is needed",
                where="header authorization",
                expected="Bearer KEY",
                headers={"www-authenticate": "Bearer"},
            )
        if path not in PATHS and not any(one.match(path) for one in _WITH_PARAMETERS):
            return Problem(
                404, "not_found", "there is no such page", where="path", expected=", ".join(sorted(PATHS)), next_step="see /v1/openapi.json"
            )
        if self._in_flight >= MAX_IN_FLIGHT and path not in PROBES:
            return busy("too many requests at once")
        if path in RANKED and self._ranked.full:
            return busy("an answer would take too long")
        return None

    def _has_key(self, scope: Scope) -> bool:
        given = b""
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
            elif name == b"x-api-key":
                given = value.strip()
        # every key is compared, whichever fits: the time it takes says nothing
        return any([hmac.compare_digest(given, key) for key in self._keys])  # noqa: C419


def _quiet(send: Send) -> Send:
    """Leave out what says which software answers."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [(name, value) for name, value in message["headers"] if name.lower() != b"server"]
        await send(message)

    return sending


def _is_loopback(server: tuple[str, int | None] | None) -> bool:
    """Whether the address that the request came in by is one of this machine alone."""
    if server is None or server[1] is None:  # a socket in the file system
        return True
    return is_loopback(server[0])


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is reachable from this machine alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
