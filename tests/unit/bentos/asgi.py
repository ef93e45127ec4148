"""Asking an ASGI application without a network: one function, no client library."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask_in_loop(app: ASGIApp, method: str, path: str, parts: list[bytes], headers: dict[str, str], server: tuple[str, int]) -> Answer:
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    answer = Answer()

    async def receive() -> Message:
        if not messages:
            await asyncio.sleep(3600)
        return messages.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "headers": raw, "scheme": "http", "server": server, "client": ("127.0.0.1", 1), "root_path": ""}
    await app(scope, receive, send)
    return answer


def ask(app: ASGIApp, method: str, path: str, body: object = None, *, server: tuple[str, int] = ("127.0.0.1", 3000), **headers: str) -> Answer:
    """Send one request; a body that is no bytes is sent as JSON, and `content_type=...` says otherwise."""
    parts = [] if body is None else [body] if isinstance(body, bytes) else body if isinstance(body, list) else [json.dumps(body).encode()]
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if method in ("POST", "PUT"):
        given = {"content-type": "application/json", **given}
    return asyncio.run(ask_in_loop(app, method, path, parts, given, server))
