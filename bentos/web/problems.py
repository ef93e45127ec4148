"""What goes wrong with a request, as one exception and one JSON shape: {error, what, where, expected, found, next}.

An answer never repeats a user id, a query or free text: what was found is described by its kind and size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

RETRY_AFTER_S = 1


class Problem(Exception):  # noqa: N818 - an answer, as RFC 9457 calls it
    """A request that is answered with a status other than 200.

    Args:
        status: HTTP status.
        error: one word for programs.
        what: one sentence for people.
    """

    def __init__(
        self,
        status: int,
        error: str,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        next_step: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Keep the parts."""
        self.status = status
        self.headers = headers or {}
        self.body = {"error": error, "what": what, "where": where, "expected": expected, "found": found, "next": next_step}
        super().__init__(what)

    def response(self) -> Answer:
        """The answer."""
        return answer(self.body, self.status, self.headers)


class Answer(Response):
    """JSON, and whose it is.

    Attributes:
        release: whose answer it is, the canary's too; None: no release was asked.
    """

    def __init__(self, body: dict[str, Any], status: int, headers: Mapping[str, str], release: str | None) -> None:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        super().__init__(text.encode(), status, {"x-content-type-options": "nosniff", **headers}, media_type="application/json")
        self.release = release


def answer(body: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None, *, release: str | None = None) -> Answer:
    """A JSON answer, of a release where one made it."""
    return Answer(body, status, headers or {}, release)


def busy(what: str) -> Problem:
    """503 that asks to come again: nothing of the request was kept."""
    return Problem(503, "unavailable", what, next_step="send it again", headers={"retry-after": str(RETRY_AFTER_S)})


def too_many(wait_s: float) -> Problem:
    """429 that says when the key may come again."""
    seconds = str(max(1, math.ceil(wait_s)))
    return Problem(429, "too_many_requests", "this key sends too many requests", next_step=f"wait {seconds} s", headers={"retry-after": seconds})
