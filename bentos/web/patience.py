"""How long a connection is waited for: uvicorn's HTTP protocol with an end to every wait and to every header.

Uvicorn waits for the rest of a request for ever, so that a few thousand clients that send a byte a minute keep everybody else out.
Here a connection is closed when a request is not whole REQUEST_S after its first byte, when nothing comes at all, when its headers are too
long, when it goes on sending a body that was refused long ago, or when nobody reads its last answer; and there are only so many connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import uvicorn.config
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 10.0
"""From the first byte of a request, or from the connection, to the request's last byte. `bodies` answers 408 before that where it can."""
MAX_HEADER_BYTES = 32 << 10
MAX_UNREAD_BYTES = 16 << 20
"""Of a body whose request has been answered: so much is thrown away, so that the client comes to read the answer."""
LAST_S = 2.0
"""How long a connection that is to be closed stays, until the client has closed it."""
MAX_CONNECTIONS = 800
"""A process may usually open 1,024 files."""

_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def be_patient_no_longer() -> None:
    """Make every uvicorn that this process starts from now on use this protocol, and no other kind: BentoML offers no setting for it."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:PatientProtocol"
    uvicorn.config.WS_PROTOCOLS["auto"] = None
    uvicorn.config.LOOP_FACTORIES["auto"] = f"{__name__}:patient_loop_factory"


def patient_loop_factory(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvicorn's own choice of a loop, which lets a TLS handshake take REQUEST_S and not a minute."""
    make = auto_loop_factory(use_subprocess)

    def new_loop() -> asyncio.AbstractEventLoop:
        loop = make()
        listen = loop.create_server

        def create_server(*arguments: Any, **named: Any) -> Any:
            limit = {} if named.get("ssl") is None else {"ssl_handshake_timeout": REQUEST_S}
            return listen(*arguments, **(limit | named))

        loop.create_server = create_server  # type: ignore[method-assign]
        return loop

    return new_loop


class PatientProtocol(HttpToolsProtocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None  # of the request that comes
    _last: asyncio.TimerHandle | None = None  # of an answer that is not read, and of the end
    _in_headers = _in_body = _leaving = False
    _header_bytes = _unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        """Begin to wait for the first request."""
        if len(self.connections) >= MAX_CONNECTIONS:
            transport.abort()
        super().connection_made(cast("asyncio.Transport", _Lingering(transport, self)))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        for timer in (self._deadline, self._last):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        if self._leaving or (self._in_body and self.cycle.response_complete):
            self._unread_bytes += len(data)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.abort()
        if self._leaving:
            return
        self._wait()
        self._header_bytes += 0 if self._in_body else len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > MAX_HEADER_BYTES:
            self.transport.write(_TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = True
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The application is asked from here on."""
        self._in_headers, self._in_body = False, True
        self._header_bytes = self._unread_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._abort_later()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does."""
        if self._last is not None and not self._leaving:
            self._last.cancel()
            self._last = None
        super().resume_writing()

    @property
    def leaving(self) -> bool:
        """Whether nothing of what comes is read any more."""
        return self._leaving

    def leave(self, transport: asyncio.Transport) -> None:
        """Close, but not before the client had time to read its last answer: whoever is still sending would lose it otherwise."""
        if self._leaving:
            return
        self._leaving = True
        self._abort_later()
        if not (self._in_body or self._in_headers):
            transport.close()
            return
        self.flow.resume_reading()  # to throw it away
        if transport.can_write_eof():
            transport.write_eof()

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # it is the application that has not read yet
            self._wait()
        else:
            self.transport.abort()

    def _abort_later(self) -> None:
        if self._last is not None:
            self._last.cancel()
        self._last = self.loop.call_later(LAST_S if self._leaving else REQUEST_S, self.transport.abort)


class _Lingering:
    """A transport whose `close` is the protocol's to do."""

    def __init__(self, transport: asyncio.Transport, protocol: PatientProtocol) -> None:
        self._transport, self._protocol = transport, protocol

    def close(self) -> None:
        self._protocol.leave(self._transport)

    def is_closing(self) -> bool:
        return self._protocol.leaving or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
