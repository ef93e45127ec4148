"""One HTTP connection that is kept alive: JSON out, JSON in, every failure a `ClientError`."""

from __future__ import annotations

import contextlib
import http.client
import json
import selectors
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import SplitResult, quote, urlsplit

from footfall.errors import ClientError

TIMEOUT_S = 10.0
"""A service answers, or says that it cannot, within this time."""

_BROKEN = (http.client.HTTPException, ConnectionError, ssl.SSLError)
"""What a connection dies of, as opposed to taking too long."""


class Connection:
    """A connection to one service. Not for several threads at once.

    Args:
        url: `http://host:port` or `https://host`.
        api_key: sent as a bearer token; never part of an error.
        timeout_s: how long to wait for the connection, and for each part of an answer.
        tls: for https; the system's certificates where there is none.

    Raises:
        ClientError: the address or the key cannot be one.
    """

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None) -> None:
        """Connect with the first request, not now."""
        parts = _parts(url)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key != ""):
            # http.client would refuse it too, and quote it
            raise ClientError("unusable API key", where="api_key", expected="printable ASCII without white space around it")
        self._where, self._prefix = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        if parts.scheme == "https":
            context = tls or ssl.create_default_context()
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=context)
        else:
            self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
        self._headers = {"Accept": "application/json", **({} if api_key is None else {"Authorization": f"Bearer {api_key}"})}

    def close(self) -> None:
        """Hang up; a later request connects anew."""
        self._http.close()

    def ask(
        self, method: str, template: str, values: Mapping[str, str] | None = None, body: bytes | None = None, *, again: bool, counted: bool = False
    ) -> Any:
        """The answer to one request, as JSON.

        Args:
            method: as HTTP has it.
            template: the path, with what `values` holds in braces; errors name it as it stands, for a value may be a user.
            values: for the braces.
            body: JSON.
            again: whether the same request may be sent once more when the connection breaks: asked twice, it does what it does once.
            counted: a 400 that counts what it took, and says why of the rest, is an answer and no error.

        Raises:
            ClientError: no answer, or one that refuses.
        """
        path = _path(template, values or {})
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        where = f"{self._where}{template}"
        try:
            try:
                answer, text = self._send(method, path, body, headers)
            except _BROKEN as error:
                self.close()
                if not again or isinstance(error, ssl.SSLCertVerificationError):
                    raise
                answer, text = self._send(method, path, body, headers)
        except TimeoutError as error:
            self._fail("no answer in time", where, error, f"within {self._http.timeout} s")
        except (*_BROKEN, OSError) as error:
            self._fail("no answer", where, error, "a service")
        document = _json(text)
        if 200 <= answer.status < 300:
            if document is None:
                raise ClientError("the answer is no JSON", status=answer.status, where=where, expected="a JSON object")
            return document
        if counted and answer.status == 400 and isinstance(document, dict) and "accepted" in document:
            return document
        raise _refusal(answer.status, document, answer.headers, where)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        self._drop_if_stale()
        with contextlib.suppress(BrokenPipeError):  # who refuses a body unread hangs up on it, and may have said why: the next line reads it
            self._http.request(method, self._prefix + path, body, dict(headers))
        answer = self._http.getresponse()
        return answer, answer.read()

    def _drop_if_stale(self) -> None:
        """A kept connection that has something to say before it was asked has been closed at the other end."""
        if self._http.sock is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._http.sock, selectors.EVENT_READ)
            if selector.select(0):
                self.close()

    def _fail(self, what: str, where: str, error: Exception, expected: str) -> NoReturn:
        self.close()  # what may still come would be taken for the answer to the next request
        next_step = "footfall status says whether the service is up"
        raise ClientError(what, where=where, expected=expected, found=_said(error), next_step=next_step) from error


def _parts(url: str) -> SplitResult:
    expected = "http://host:port or https://host"
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ClientError("unusable address of a service", where="url", expected=expected, found="another port") from error
    if not fits or parts.username is not None or parts.query or parts.fragment:
        raise ClientError("unusable address of a service", where="url", expected=expected, found="something else")
    return parts


def _path(template: str, values: Mapping[str, str]) -> str:
    try:
        return template.format(**{name: quote(value, safe="") for name, value in values.items()})
    except (UnicodeEncodeError, TypeError) as error:
        raise ClientError("this cannot be said in a path", where=template, expected="text", found=type(error).__name__) from error


def to_json(value: object) -> bytes:
    """A value as JSON; moments as ISO 8601.

    Raises:
        ClientError: it cannot be JSON.
    """
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:  # ValueError: NaN, or half of a surrogate pair
        raise ClientError(
            "this cannot be sent as JSON", expected="text, finite numbers, truths, moments, lists, objects", found=type(error).__name__
        ) from error


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__


def _refusal(status: int, document: object, headers: http.client.HTTPMessage, where: str) -> ClientError:
    """The problem that the service states, or what can be said of an answer that states none."""
    after = headers.get("retry-after", "")
    told = document if isinstance(document, dict) and isinstance(document.get("what"), str) else {"what": f"the service answered {status}"}
    return ClientError(
        told["what"],
        status=status,
        error=told.get("error"),
        retry_after_s=float(after) if after.isdigit() else None,
        where=told.get("where") or where,
        expected=told.get("expected"),
        found=told.get("found"),
        next_step=told.get("next"),
    )
