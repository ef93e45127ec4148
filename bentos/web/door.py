"""The door: a pure ASGI middleware in front of everything that BentoML serves.

Only the paths listed here exist. BentoML's own pages (`/`, `/docs.json`, `/schema.json`, static files) are closed: its index page
loads a tag manager from outside, and the document that is true of this service is `/v1/openapi.json`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Callable, Mapping

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.routes.table import ENDPOINTS
from bentos.web.crowd import Crowd
from bentos.web.endpoints import READ, WHO
from bentos.web.keys import Quota, read_keys, whose
from bentos.web.problems import Problem, busy, too_many

PROBES = frozenset({"/livez", "/readyz", "/healthz"})
"""Open without a key: they say nothing but yes or no."""

METRICS = "/metrics"


def _by_path(*, named: bool) -> dict[str, dict[str, str]]:
    """Path -> method -> role, of the paths with parameters or of the others; who may GET may ask for the HEAD too."""
    found: dict[str, dict[str, str]] = {}
    for endpoint in ENDPOINTS:
        if bool(endpoint.parameters) is named:
            methods = (endpoint.method, "HEAD") if endpoint.method == "GET" else (endpoint.method,)
            found.setdefault(endpoint.path, {}).update(dict.fromkeys(methods, endpoint.role))
    return found


_FIXED: dict[str, dict[str, str]] = _by_path(named=False) | {path: {"GET": READ, "HEAD": READ} for path in (*PROBES, METRICS)}
PATHS = frozenset(_FIXED)
"""Every page whose path names nothing."""
_NAMED = [(compile_path(path)[0], roles) for path, roles in _by_path(named=True).items()]
_HOST = re.compile(r":\d*$")
"""The port behind a host."""

RANKED = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.role == READ and endpoint.body is not None)
"""Where a release has to think: they wait for each other, and no more are let in than can be answered soon."""

MAX_IN_FLIGHT = 128
"""Requests inside at once, of any kind; more are refused at once, because an answer that comes too late helps nobody."""

FORBIDDEN = Problem(403, "forbidden", "this service has no API keys and answers on loopback only", next_step="set FOOTFALL_API_KEYS")
UNAUTHORIZED = Problem(
    401, "unauthorized", "an API key is needed", where="header authorization", expected="Bearer KEY", headers={"www-authenticate": "Bearer"}
)


class Door:
    """Lets in known paths, with a key that may go there when keys are set, and no more requests than can be answered.

    Args:
        app: what lies behind.
        api_keys: accepted keys as FOOTFALL_API_KEYS lists them (`keys.read_keys`); none means that only loopback is served.
        rate: requests a second that each key may send; None: as many as it likes.
        clock: seconds that never go back.

    Raises:
        SettingsError: a key cannot be used.
    """

    def __init__(self, app: ASGIApp, api_keys: tuple[str, ...] = (), rate: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep what is needed to know a key, and not its text."""
        self._app = app
        self._keys = read_keys(api_keys)
        self._quota = None if rate is None else Quota(rate, clock)
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
            if ranked:
                await asyncio.sleep(0)  # whoever came at the same time is counted too, before the first is served
            await self._app(scope, receive, _quiet(send))
        finally:
            self._in_flight -= 1
            if ranked:
                self._ranked.leave()

    def _refusal(self, scope: Scope) -> Problem | None:
        path: str = scope["path"]
        roles = _roles(path)
        refused = self._stranger(scope, path, roles.get(scope["method"], READ) if roles else READ)
        if refused is not None:
            return refused
        if not roles:
            return Problem(
                404, "not_found", "there is no such page", where="path", expected=", ".join(sorted(PATHS)), next_step="see /v1/openapi.json"
            )
        if self._in_flight >= MAX_IN_FLIGHT and path not in PROBES:
            return busy("too many requests at once")
        if path in RANKED and self._ranked.full:
            return busy("an answer would take too long")
        return None

    def _stranger(self, scope: Scope, path: str, role: str) -> Problem | None:
        """Why whoever asks must not come in, or not there, or not now."""
        if not self._keys:
            return None if _is_loopback(scope) else FORBIDDEN
        if path in PROBES:
            return None
        key = whose(_given(scope), self._keys)
        if key is None:
            return UNAUTHORIZED
        if not key.may(role):
            return Problem(403, "forbidden", "this key may not do that", where="header authorization", expected=f"a key for {role}", found=key.role)
        scope[WHO] = key.name
        wait = 0.0 if self._quota is None else self._quota.wait_s(key.name)
        return too_many(wait) if wait else None


def _quiet(send: Send) -> Send:
    """Leave out what says which software answers."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [(name, value) for name, value in message["headers"] if name.lower() != b"server"]
        await send(message)

    return sending


def _roles(path: str) -> Mapping[str, str]:
    """Method -> role that it asks for; empty where there is no such page."""
    found = _FIXED.get(path)
    return {method: role for pattern, roles in _NAMED if pattern.match(path) for method, role in roles.items()} if found is None else found


def _given(scope: Scope) -> bytes:
    """The key that came, in one header or the other; where several came, none that could be told from the others."""
    given = {
        value[7:].strip() if name == b"authorization" else value.strip()
        for name, value in scope["headers"]
        if name == b"x-api-key" or (name == b"authorization" and value[:7].lower() == b"bearer ")
    }
    return given.pop() if len(given) == 1 else b""


def _is_loopback(scope: Scope) -> bool:
    """Whether the address that the request came in by is one of this machine alone, and so is the name that was asked for.

    A page from elsewhere, opened in a browser on this machine, reaches loopback by a name of its own (DNS rebinding).
    """
    server: tuple[str, int | None] | None = scope.get("server")
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if not all(is_loopback(_HOST.sub("", host).strip("[]")) for host in hosts):
        return False
    return server is None or server[1] is None or is_loopback(server[0])  # no address: a socket in the file system


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is reachable from this machine alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
