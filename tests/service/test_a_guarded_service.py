"""The built bento as it faces the world: TLS, keys, signed releases, one port, JSON alone, and no patience with slow clients."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.random_bundle import write_random_bundle
from bentos import registry
from bentos.build import build
from bentos.routes.table import ENDPOINTS
from bentos.serve import plan
from bentos.web.patience import REQUEST_S
from footfall.errors import SettingsError
from footfall.pseudonyms import DEMO_KEY, write_key
from footfall.settings import load_settings
from footfall.signing import verify_key
from footfall.store import open_store, releases
from tests.service.built_bento import READY_WITHIN_S, Server
from tests.trials import SOAK, Trial

SIGNING = b"s" * 32
KEYS = {role: f"{role}-{role * 4}" for role in ("read", "write", "admin")}
GADGET = b"\x80\x04cos\nsystem\n(S'touch /tmp/footfall-canary'\ntR."
JUST_SO_LONG_S = 20.0
"""Longer than any connection may last that does not get on: 10 seconds."""
CLOSED_WITHIN_S = REQUEST_S + (1.0 if SOAK else 4.0)
"""The second is for the network and the test's own threads; four, where other tests have the processors."""
REFUSED_WITHIN_S = 0.1
"""413, from the header on."""
MEGABYTE = b" " * (1 << 20)
MEGABYTES = 11
AN_EVENT_POST = b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: " + KEYS["write"].encode() + b"\r\ncontent-type: application/json\r\n"


class Guarded(Server):
    """The same over TLS, with a key."""

    def __init__(self, root: Path, checkout: Path, certificate: Path) -> None:
        super().__init__(root, checkout)
        self.trust = ssl.create_default_context(cafile=str(certificate))

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=JUST_SO_LONG_S, context=self.trust)
        given = {"content-type": "application/json", "x-api-key": KEYS["admin"]} | (headers or {})
        try:
            connection.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body).encode(), given)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if answer.headers.get_content_type() == "application/json" else raw.decode()
        finally:
            connection.close()

    def connect(self, trust: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection to speak on by hand."""
        plain = socket.create_connection(("127.0.0.1", self.port), JUST_SO_LONG_S)
        try:
            return (trust or self.trust).wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """A workspace with a signed champion, built into a bento, and an unsigned release."""
    root = tmp_path_factory.mktemp("guarded")
    home = root / ".footfall" / "bentoml"
    write_key(root / ".footfall" / "pseudonym.key", DEMO_KEY)
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    moment = datetime(2017, 10, 29, tzinfo=UTC)
    for seed in (1, 2):
        identity = write_random_bundle(root / f"bundle{seed}", items=200, seed=seed)
        tag = registry.register(root / f"bundle{seed}", identity, {}, home=home)
        release = releases.add(engine, releases.Release(identity, tag, "candidate", moment, moment))
        if seed == 1:
            releases.set_bento_tag(engine, identity, build(checkout, tag, home=home))
            registry.vouch(release, SIGNING, (), home=home)
            releases.promote(engine, identity)
    engine.dispose()
    return root


@pytest.fixture(scope="module")
def server(root: Path, checkout: Path, certificate: tuple[Path, Path]) -> Iterator[Guarded]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOOTFALL_TLS_CERT", str(certificate[0]))
        patch.setenv("FOOTFALL_TLS_KEY", str(certificate[1]))
        patch.setenv("FOOTFALL_API_KEYS", ",".join(f"{role}r:{role}:{key}" for role, key in KEYS.items()))
        patch.setenv("FOOTFALL_VERIFY_KEYS", verify_key(SIGNING))
        patch.setenv("OTEL_TRACES_EXPORTER", "console")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        patch.setenv("FOOTFALL_SIGNING_KEY", base64.b64encode(SIGNING).decode())
        server = Guarded(root, checkout, certificate[0])
        server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop(signal.SIGKILL)


def processes(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    parent = psutil.Process(server.process.pid)
    return [parent, *parent.children(recursive=True)]


def test_it_speaks_tls_alone_with_the_certificate_that_it_was_given(server: Guarded) -> None:
    assert server.ask("POST", "/v1/recommend", {})[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        server.connect(ssl.create_default_context())
    plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=JUST_SO_LONG_S)
    plain.request("GET", "/livez")
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()


def test_one_port_listens_and_only_on_loopback(server: Guarded) -> None:
    listening = {
        (line.laddr.ip, line.laddr.port)
        for process in processes(server)
        for line in process.net_connections("inet")
        if line.status == psutil.CONN_LISTEN or (line.type == socket.SOCK_DGRAM and not line.raddr)
    }
    assert listening == {("127.0.0.1", server.port)}
    named = {line.laddr for process in processes(server) for line in process.net_connections("unix") if line.laddr}
    for path in (Path(name) for name in named if name.startswith("/")):
        assert path.parent.stat().st_mode & 0o077 == 0


def test_it_holds_no_key_that_signs(server: Guarded) -> None:
    for process in processes(server):
        assert "FOOTFALL_SIGNING_KEY" not in process.environ()


def test_its_spans_say_how_a_request_went_and_not_whose_it_was(server: Guarded) -> None:
    parent = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    status, answer = server.ask("POST", "/v1/recommend", {"user_id": "ann-the-canary"}, parent)
    assert (status, answer["degraded"]) == (200, "no_history")
    deadline = time.monotonic() + JUST_SO_LONG_S
    while not (spans := [json.loads(line) for line in server.log.splitlines() if "0x0af7651916cd43dd8448eb211c80319c" in line]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (root,) = [span for span in spans if span["parent_id"] == "0xb7ad6b7169203331"]
    assert root["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/v1/recommend",
        "http.response.status_code": 200,
        "footfall.release": answer["release"],
        "footfall.arm": "champion",
        "footfall.degraded": "no_history",
    }
    assert sorted(span["name"] for span in spans) == ["POST /v1/recommend", "log exposures", "rank", "read history"]
    assert "ann-the-canary" not in server.log


def test_keys_are_asked_for_and_their_roles_hold(server: Guarded) -> None:
    asked = {"events": []}
    statuses = {
        name: (server.ask("GET", "/v1/release", headers={"x-api-key": key})[0], server.ask("POST", "/v1/events", asked, {"x-api-key": key})[0])
        for name, key in {**KEYS, "wrong": "x" * 16, "none": ""}.items()
    }
    assert statuses == {"read": (200, 403), "write": (200, 400), "admin": (200, 400), "wrong": (401, 401), "none": (401, 401)}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.bentoml+pickle",
        "application/octet-stream",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.arrow.file",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/json; charset=utf-16",
        "application/jsonp",
        "",
    ],
)
def test_every_route_that_takes_a_body_takes_json_alone(server: Guarded, content_type: str) -> None:
    taken = [endpoint for endpoint in ENDPOINTS if endpoint.body is not None]
    assert taken
    for endpoint in taken:
        path = "/".join("x" if part.startswith("{") else part for part in endpoint.path.split("/"))
        status, answer = server.ask(
            endpoint.method, path, b"\x80\x04cos\nsystem\n(S'touch /tmp/footfall-canary'\ntR.", {"content-type": content_type}
        )
        assert (status, answer["error"]) == (415, "unsupported_media_type"), endpoint
    assert not Path("/tmp/footfall-canary").exists()


def test_no_address_in_a_request_is_ever_visited(server: Guarded) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1.0)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        urls = [f"{scheme}://{host}/x" for scheme in ("http", "https", "ftp", "s3", "gs", "ws", "file", "gopher", "dict", "ldap", "jar:http")]
        urls += [
            f"http://user:word@{host}/",
            f"//{host}/",
            f"http://[::ffff:127.0.0.1]:{host.split(':')[1]}/",
            f"\\\\{host}\\share",
            f"http://{host}#.png",
        ]
        urls += [
            f"${{jndi:ldap://{host}/x}}",
            f"<!ENTITY x SYSTEM 'http://{host}/'>",
            f"data:text/html,<img src=http://{host}/>",
            f"http://{host}/%0d%0aX:y",
        ]
        assert len(urls) == 20
        for url in urls:
            event = {"user_id": url, "event_type": "view", "occurred_at": "2017-10-28T12:00:00Z", "item_id": url, "text": url, "device": url[:64]}
            server.ask("POST", "/v1/events", {"events": [event]})
            server.ask("POST", "/v1/recommend", {"user_id": url, "exclude": [url], "context_item_id": url, "place": url})
            server.ask("POST", "/v1/recommend", {"url": url}, {"x-forwarded-host": host, "referer": url, "x-original-url": url})
        with pytest.raises(TimeoutError):
            listener.accept()


def test_slow_clients_are_closed_and_others_are_answered_meanwhile(server: Guarded) -> None:
    head = b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\nx-api-key: " + KEYS["read"].encode() + b"\r\ncontent-type: application/json\r\n"
    begins = {
        "nothing": b"",
        "headers": head,
        "body": head + b"content-length: 1000\r\n\r\n{",
        "chunks": head + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    }
    begins["handshake"] = b""
    ended: dict[str, float] = {}

    def wait(name: str) -> None:
        began = time.monotonic()
        plain = name == "handshake"
        with socket.create_connection(("127.0.0.1", server.port), JUST_SO_LONG_S) if plain else server.connect() as connection:
            connection.sendall(begins[name])
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while connection.recv(1 << 16):
                    pass
            ended[name] = time.monotonic() - began

    threads = [threading.Thread(target=wait, args=(name,)) for name in begins]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert server.ask("POST", "/v1/recommend", {})[0] == 200
        time.sleep(0.5)
    assert set(ended) == set(begins)  # whoever waits longer fails with a timeout, and is not here
    assert max(ended.values()) < CLOSED_WITHIN_S


def send_too_much(server: Guarded, begin: bytes, part: bytes, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Seconds from sending `begin` to the answer 413; then go on sending, `meanwhile` after each part, until the service closes."""
    with server.connect() as connection:
        began = time.monotonic()
        connection.sendall(begin)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
        took = time.monotonic() - began
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(MEGABYTES):
                connection.sendall(part)
                meanwhile()
    return took


STATED = AN_EVENT_POST + f"content-length: {MEGABYTES << 20}\r\n\r\n".encode()
CHUNK = f"{1 << 20:x}\r\n".encode() + MEGABYTE + b"\r\n"
UNSTATED = AN_EVENT_POST + b"transfer-encoding: chunked\r\n\r\n" + CHUNK + CHUNK  # the second is one too many


@pytest.mark.trial
def test_a_large_body_is_refused_before_it_came(server: Guarded, trial: Trial) -> None:
    best = min(send_too_much(server, STATED, b"") for _ in range(trial.count(small=1, stated=5)))
    trial.note(refused_ms=round(1000 * best, 1))
    if SOAK:  # elsewhere other tests have the processors
        assert best < REFUSED_WITHIN_S


@pytest.mark.trial
@pytest.mark.parametrize(("begin", "part"), [(STATED, MEGABYTE), (UNSTATED, CHUNK)], ids=["stated", "in chunks"])
def test_a_large_body_takes_no_memory(server: Guarded, trial: Trial, begin: bytes, part: bytes) -> None:
    def memory() -> int:
        return sum(process.memory_info().rss for process in processes(server))

    send_too_much(server, begin, part)  # what one costs for good is not this one's
    before = memory()
    seen = [before]
    send_too_much(server, begin, part, lambda: seen.append(memory()))
    grown = (max(seen) - before) / 1e6
    trial.note(grown_mb=round(grown, 1), looks=len(seen))
    assert len(seen) > 1
    assert grown <= 20


def test_json_that_nests_too_deep_is_refused(server: Guarded) -> None:
    assert server.ask("POST", "/v1/events", b"[" * 10_000 + b"]" * 10_000)[0] == 400
    assert server.ask("POST", "/v1/events", b'{"a":' * 10_000 + b"1" + b"}" * 10_000)[0] == 400


def test_an_unsigned_champion_is_refused_and_the_signed_one_goes_on(server: Guarded, root: Path) -> None:
    first = server.ask("GET", "/v1/release")[1]["release"]
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    second = next(release for release in releases.list_all(engine) if release.release_id != first)
    releases.promote(engine, second.release_id)
    deadline = time.monotonic() + READY_WITHIN_S
    while not (answer := server.ask("GET", "/v1/release")[1])["failed"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (answer["release"], answer["failed"]) == (first, f"{second.release_id}: bundle is not signed")
    assert server.ask("POST", "/v1/recommend", {})[1]["release"] == first
    assert f'release="{second.release_id}"' in server.ask("GET", "/metrics")[1]
    assert f"release {second.release_id} cannot be served" in server.log
    releases.rollback(engine)
    engine.dispose()


def test_neither_a_key_nor_a_line_of_code_stands_in_its_log(server: Guarded) -> None:
    assert not any(key in server.log for key in KEYS.values())
    assert base64.b64encode(SIGNING).decode() not in server.log


def test_a_certificate_that_cannot_be_used_stops_the_start(root: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(root / ".footfall" / "bentoml"))
    settings = load_settings({"FOOTFALL_ROOT": str(root)})
    for cert, key in ((certificate[0], None), (None, certificate[1]), (certificate[1], certificate[0]), (root / "none", certificate[1])):
        for name, path in (("FOOTFALL_TLS_CERT", cert), ("FOOTFALL_TLS_KEY", key)):
            monkeypatch.setenv(name, "" if path is None else str(path))
        with pytest.raises(SettingsError, match="unusable certificate"):
            plan(settings)
