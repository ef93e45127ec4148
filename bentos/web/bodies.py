"""Reading a JSON body within bounds: size, time, depth, content type."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from bentos.web.problems import Problem

MAX_BODY_BYTES = 1 << 20
_CLOSE = {"connection": "close"}
BODY_TIMEOUT_S = 8.0
"""Shorter than the connection is waited for (`patience`), so that the client is told."""


async def read_object(request: Request) -> dict[str, Any]:
    """The request's body, which must be one JSON object.

    Raises:
        Problem: 415 another content type, 413 too large, 408 too slow, 400 no JSON object.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json" or parameters.strip().lower().replace('"', "") not in ("", "charset=utf-8"):
        raise Problem(415, "unsupported_media_type", "only JSON is read", where="header content-type", expected="application/json")
    raw = await _read(request)
    return _parse(raw)


async def _read(request: Request) -> bytes:
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > MAX_BODY_BYTES:
        raise _too_large(f"{int(stated)} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise _too_large(f"more than {MAX_BODY_BYTES} bytes")
                parts.append(part)
    except TimeoutError as error:
        raise Problem(
            408, "too_slow", "the body did not arrive in time", where="body", expected=f"within {BODY_TIMEOUT_S:.0f} s", headers=_CLOSE
        ) from error
    except ClientDisconnect as error:
        raise Problem(400, "incomplete", "the connection ended inside the body", where="body") from error
    return b"".join(parts)


def _too_large(found: str) -> Problem:
    # the rest of the body is not read: the connection must not be used again
    return Problem(
        413,
        "too_large",
        "the body is too large",
        where="body",
        expected=f"at most {MAX_BODY_BYTES} bytes",
        found=found,
        next_step="send it in parts",
        headers=_CLOSE,
    )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise _malformed(f"no UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno} column {error.colno}" if raw.strip() else "nothing") from error
    except ValueError as error:  # NaN, Infinity, or an integer of thousands of digits
        raise _malformed("a number that JSON does not have or nobody needs") from error
    except RecursionError as error:
        raise _malformed("lists or objects nested too deep") from error
    if not isinstance(body, dict):
        raise Problem(400, "malformed", "the body is no JSON object", where="body", expected="a JSON object", found=describe(body))
    return body


def _malformed(found: str) -> Problem:
    return Problem(
        400, "malformed", "the body cannot be read as JSON", where="body", expected="a JSON object", found=found, next_step="see /v1/openapi.json"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def describe(value: object) -> str:
    """What a value is, without saying it."""
    kinds: list[tuple[type, str]] = [(bool, "true or false"), (int, "an integer"), (float, "a number"), (dict, "an object")]
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return next((words for kind, words in kinds if isinstance(value, kind)), type(value).__name__)
