"""Slow, endless and unread connections are closed. The waits are cut to tenths of seconds here; the service ring knows the real ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from bentos.web import bodies, patience
from bentos.web.patience import PatientProtocol, be_patient_no_longer
from bentos.web.problems import Problem, answer

WAIT_S = 0.4
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads a JSON body where one is posted; a GET is answered at once, whatever follows it."""
    if scope["type"] != "http":
        return
    try:
        response = answer(await bodies.read_object(Request(scope, receive))) if scope["method"] == "POST" else answer({"size": "x" * 100})
    except Problem as problem:
        response = problem.response()
    if scope["path"] == "/large":
        response = answer({"size": "x" * (4 << 20)})
    await response(scope, receive, send)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[Callable[[], Coroutine[None, None, Client]], ServerState]]:
    config, state = uvicorn.Config(app, log_config=None, timeout_keep_alive=1), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: PatientProtocol(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    async with server:
        yield connect, state
        for protocol in list(state.connections):
            protocol.transport.abort()
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REQUEST_S", WAIT_S)
    monkeypatch.setattr(patience, "LAST_S", WAIT_S)
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", WAIT_S / 2)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), 10)
    return b""


async def dribble(writer: asyncio.StreamWriter, text: bytes) -> None:
    """A byte at a time, slower than the wait as a whole, quicker than it each time."""
    with contextlib.suppress(ConnectionError):
        while text:
            for byte in text:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(WAIT_S / 8)


async def slowly(begin: bytes, text: bytes) -> bytes:
    """What comes back of a connection that begins like this and goes on slowly for ever; fails when it is not closed."""
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(begin)
        task = asyncio.create_task(dribble(writer, text))
        try:
            return await closed(reader)
        finally:
            task.cancel()
            writer.close()


POST = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def test_headers_that_never_end_are_given_up() -> None:
    assert asyncio.run(slowly(b"GET / HTTP/1.1\r\n", b"x-slow: loris\r\n")) == b""


def test_a_connection_that_sends_nothing_is_closed() -> None:
    assert asyncio.run(slowly(b"", b"")) == b""


def test_empty_lines_keep_no_connection_open() -> None:
    assert asyncio.run(slowly(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n")).startswith(b"HTTP/1.1 200 ")


def test_a_slow_body_is_told_so_and_the_connection_closed() -> None:
    found = asyncio.run(slowly(POST + b"content-length: 1000\r\n\r\n", b" "))
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in found


def test_a_slow_chunked_body_as_well() -> None:
    assert asyncio.run(slowly(POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n")).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_goes_on_after_its_answer_does_not_hold_the_connection() -> None:
    assert asyncio.run(slowly(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n", b" ")).startswith(b"HTTP/1.1 200 ")


def test_a_second_request_that_stops_half_way_is_given_up_too() -> None:
    found = asyncio.run(slowly(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n", b"x-slow: loris\r\n"))
    assert found.count(b"HTTP/1.1 200 ") == 1


def test_headers_that_are_too_long_are_refused_at_once() -> None:
    async def ask(begin: bytes, more: bytes) -> bytes:
        async with served() as (connect, _):
            reader, writer = await connect()
            writer.write(begin + more * (patience.MAX_HEADER_BYTES // len(more) + 1))
            return await closed(reader)

    for begin, more in ((b"GET / HTTP/1.1\r\n", b"x-long: y\r\n"), (b"GET /", b"y" * 100), (b"GET / HTTP/1.1\r\nx: ", b"y" * 100)):
        assert asyncio.run(ask(begin, more)).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_is_too_large_is_answered_while_it_is_still_sent_and_nothing_of_it_is_kept() -> None:
    """11 MB are announced and sent; the answer stands there to be read, although it was given before they had come."""

    async def ask() -> tuple[bytes, bytes]:
        async with served() as (connect, state):
            reader, writer = await connect()
            writer.write(POST + b"content-length: 11000000\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            kept = max(len(protocol.cycle.body) for protocol in state.connections)  # type: ignore[union-attr]
            assert kept == 0
            for _ in range(11):
                writer.write(b" " * 1_000_000)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            return head, await closed(reader)

    head, rest = asyncio.run(ask())
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head
    assert b"too_large" in rest
    assert b"HTTP" not in rest


def test_a_body_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MAX_UNREAD_BYTES", 1 << 20)
    monkeypatch.setattr(patience, "LAST_S", 60.0)

    async def ask() -> int:
        async with served() as (connect, _):
            _, writer = await connect()
            writer.write(POST + b"content-length: 100000000\r\n\r\n")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 100_000_000:
                    writer.write(b" " * 100_000)
                    await writer.drain()
                    sent += 100_000
            return sent

    assert asyncio.run(ask()) < 50_000_000


def test_an_answer_that_nobody_reads_holds_no_connection() -> None:
    async def ask() -> int:
        async with served() as (connect, state):
            _, writer = await connect()
            writer.transport.pause_reading()
            writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
            await asyncio.sleep(WAIT_S / 2)
            assert len(state.connections) == 1
            deadline = asyncio.get_running_loop().time() + 10
            while state.connections and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(WAIT_S / 4)
            return len(state.connections)

    assert asyncio.run(ask()) == 0


def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(patience, "REQUEST_S", 60.0)

    async def ask() -> list[bytes]:
        async with served() as (connect, _):
            found = []
            for _ in range(5):
                reader, writer = await connect()
                with contextlib.suppress(ConnectionError):
                    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                    found.append((await reader.read(12))[-3:])
            return found

    assert [status for status in asyncio.run(ask()) if status] == [b"200"] * 3


def test_whoever_is_in_time_notices_nothing() -> None:
    """Ten requests on one connection, with pauses, a body in pieces, and two sent at once."""

    async def ask() -> list[bytes]:
        async with served() as (connect, _):
            reader, writer = await connect()
            found = []
            for number in range(10):
                writer.write(POST + b"content-length: 4\r\n\r\n{ ")
                await asyncio.sleep(WAIT_S / 10)
                writer.write(b" }" + (POST + b"content-length: 2\r\n\r\n{}" if number == 5 else b""))
                found.append(await asyncio.wait_for(reader.readuntil(b"{}"), 5))
                if number == 5:
                    found.append(await asyncio.wait_for(reader.readuntil(b"{}"), 5))
            writer.close()
            return found

    found = asyncio.run(ask())
    assert [line[:13] for line in found] == [b"HTTP/1.1 200 "] * 11


def test_uvicorn_takes_it_and_no_web_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    monkeypatch.setattr(uvicorn.config, "WS_PROTOCOLS", dict(uvicorn.config.WS_PROTOCOLS))
    monkeypatch.setattr(uvicorn.config, "LOOP_FACTORIES", dict(uvicorn.config.LOOP_FACTORIES))
    be_patient_no_longer()
    config = uvicorn.Config(app, log_config=None)
    config.load()
    assert config.http_protocol_class is PatientProtocol
    assert config.ws_protocol_class is None
    factory = config.get_loop_factory()
    assert factory is not None
    loop = factory()
    assert loop.create_server.__module__ == patience.__name__
    loop.close()
