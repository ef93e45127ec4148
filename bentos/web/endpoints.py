"""An endpoint, declared once: the application, the door and the OpenAPI document are all made of the same table (`bentos.routes.table`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from bentos.parts import Parts
from bentos.slates.waiting import Patience
from bentos.tracing import carried
from bentos.web.fields import AT, Field, Record, Schema, UnfitError, object_schema
from bentos.web.problems import Answer, Problem

READ, WRITE, ADMIN = "read", "write", "admin"
ROLES = (READ, WRITE, ADMIN)
"""Each may do what those before it may."""

ANSWER_TIMEOUT_S = 10.0

WHO = "footfall.who"
"""Where the door notes in the scope which key came in, by its name."""
LOOPBACK = "loopback"
"""Who comes in where there are no keys."""
LOOK_S = 0.1
"""How often a request that takes longer looks whether anybody still waits for it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A request whose body and path have been checked.

    Attributes:
        parts: what there is to answer with.
        body: its fields; empty where the endpoint takes none.
        path: parameters of the path.
        at_us: the moment that a replay states, else now, in microseconds.
        who: name of the key that came in.
        gone: whether whoever asked has gone.
    """

    parts: Parts
    body: dict[str, Any]
    path: dict[str, Any]
    at_us: int
    who: str = LOOPBACK
    gone: Callable[[], Awaitable[bool]] | None = None

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, without keeping other requests waiting. Once nobody waits for it, it is told so (`bentos.slates.waiting`).

        Raises:
            TimeoutError: it took too long, or whoever asked has gone.
        """
        patience = Patience(time.monotonic() + ANSWER_TIMEOUT_S)
        found = asyncio.get_running_loop().run_in_executor(self.parts.threads, carried(partial(patience.run, function, *arguments)))
        try:
            while not (await asyncio.wait((found,), timeout=LOOK_S))[0]:
                if patience.over or (self.gone is not None and await self.gone()):
                    raise TimeoutError
            return found.result()
        finally:
            patience.ended = True
            found.cancel()

    async def in_time(self, found: Awaitable[T]) -> T:
        """What is awaited.

        Raises:
            TimeoutError: it took too long.
        """
        return await asyncio.wait_for(found, ANSWER_TIMEOUT_S)


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    Attributes:
        method, path: as HTTP has them; parameters of the path in braces.
        role: what a key must be allowed.
        summary: one line for the document.
        handle: answers.
        answers: status -> words and schema of the answer, beside the refusals that every endpoint may give.
        body: what is sent; None: nothing.
        parameters: of the path.
    """

    method: str
    path: str
    role: str
    summary: str
    handle: Callable[[Asked], Awaitable[Answer]]
    answers: Mapping[int, tuple[str, Schema]]
    body: Record | None = None
    parameters: Mapping[str, Field] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For metrics and logs: never what a client wrote."""
        return self.path.removeprefix("/v1/").partition("/{")[0]


def read_body(record: Record, body: dict[str, Any], *, now_us: int, replay_clock: bool) -> tuple[dict[str, Any], int]:
    """Fields of a body, and the moment that it is for.

    Raises:
        Problem: 400, naming the first field that does not fit.
    """
    try:
        at_us = now_us
        if record.dated and "at" in body:
            body = dict(body)
            stated = body.pop("at")
            if stated is not None:
                at_us = _stated(stated, replay_clock=replay_clock)
        return record.read(body), at_us
    except UnfitError as unfit:
        raise unfitting(unfit, "body") from unfit


def _stated(value: object, *, replay_clock: bool) -> int:
    if not replay_clock:
        raise UnfitError("no field `at`: this service answers for now only", "a moment", "at")
    try:
        at_us: int = AT.read(value)
    except UnfitError as unfit:
        raise UnfitError(unfit.expected, unfit.found, "at") from unfit
    return at_us


def unfitting(unfit: UnfitError, where: str) -> Problem:
    """400 for a value that does not fit."""
    return Problem(
        400,
        "invalid",
        "the request does not fit",
        where=unfit.field or where,
        expected=unfit.expected,
        found=unfit.found,
        next_step="see /v1/openapi.json",
    )


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


REJECTED: Schema = object_schema(
    {"index": {"type": "integer", "minimum": 0}, "field": {"type": "string"}, "expected": {"type": "string"}, "found": {"type": "string"}}
)


def rejection(index: int, unfit: UnfitError, what: str) -> dict[str, Any]:
    """Why one of several was not taken, as REJECTED says."""
    return {"index": index, "field": unfit.field or what, "expected": unfit.expected, "found": unfit.found}
