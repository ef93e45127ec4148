"""Spans: off by default, sent where the operator says, in the caller's trace, and without a word of whom they are about."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bentos import tracing
from footfall.errors import SettingsError, StoreError
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HERE = "http://127.0.0.1:4318"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary-5f3a"
AT = "2020-05-20T12:00:00Z"


@dataclass
class Collector:
    """Takes OTLP over HTTP and keeps what came."""

    raw: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        sent = [ExportTraceServiceRequest.FromString(raw) for raw in self.raw]
        return [span for one in sent for group in one.resource_spans for scope in group.scope_spans for span in scope.spans]


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector, and where it listens."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.paths.append(self.path)
            kept.raw.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kept, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Callable[[], None]]]:
    """Start tracing with these variables; what it gives ends it."""
    stops: list[Callable[[], None]] = []

    def beginning(**variables: str) -> Callable[[], None]:
        monkeypatch.setattr(tracing, "_LAST_S", 60.0)
        monkeypatch.delenv(tracing.DISABLED, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        stops.append(tracing.start())
        return stops[-1]

    yield beginning
    for stop in stops:
        stop()


@pytest.fixture
def traced(begin: Callable[..., Callable[[], None]], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Trace to standard output; what it gives ends it and tells the spans."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    stop = begin(OTEL_TRACES_EXPORTER="console")

    def told() -> list[dict[str, Any]]:
        stop()
        return [json.loads(line) for line in out.getvalue().splitlines()]

    return told


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: HERE}, None),
        ({"OTEL_TRACES_EXPORTER": "", ENDPOINT: ""}, None),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({ENDPOINT: HERE}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "otlp"),
    ],
)
def test_spans_are_made_only_where_a_variable_asks_for_them(variables: dict[str, str], asked: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _name: object())
    assert tracing.exporter_in(variables) == asked
    assert tracing.switches(variables) == ({} if asked is None else {"OTEL_SDK_DISABLED": "false"})


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({ENDPOINT: HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({ENDPOINT: "collector:4318"}, ENDPOINT),
    ],
)
def test_what_cannot_be_done_is_said(variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _name: object())
    with pytest.raises(SettingsError) as caught:
        tracing.exporter_in(variables)
    assert caught.value.where == named


@pytest.mark.parametrize("missing", ["the exporter", "what it lies in"])
def test_a_missing_exporter_keeps_the_service_from_starting(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> None:
        if missing == "what it lies in":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(tracing, "find_spec", find)
    monkeypatch.setenv(ENDPOINT, HERE)
    with pytest.raises(SettingsError, match="not installed") as caught:
        tracing.start()
    assert "footfall[tracing]" in str(caught.value.next_step)
    assert caught.value.where == ENDPOINT
    assert tracing.exporter_in({"OTEL_TRACES_EXPORTER": "console"}) == "console"


def test_where_nobody_asks_nothing_is_loaded_and_a_step_is_nothing(service: Service) -> None:
    loaded = "import sys, bentos.tracing as t; t.start()(); print(any(name.startswith('opentelemetry') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert tracing.step("rank") is tracing.step("read history") is tracing.request("GET", "/v1/release", None)
    assert tracing.carried(ask) is ask
    assert ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "at": AT}, traceparent=f"00-{TRACE}-{PARENT}-01").status == 200


def test_the_switch_of_the_sdk_holds(begin: Callable[..., Callable[[], None]], service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    begin(OTEL_TRACES_EXPORTER="console", OTEL_SDK_DISABLED="true")()
    assert ask(service.app, "GET", "/v1/release").status == 200
    assert capsys.readouterr().out == ""


def test_a_slate_is_one_trace_below_its_callers_span(traced: Callable[[], list[dict[str, Any]]], service: Service) -> None:
    answer = ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "at": AT}, traceparent=f"00-{TRACE}-{PARENT}-01").json
    spans = {span["name"]: span for span in traced()}
    assert set(spans) == {"POST /v1/recommend", "read history", "rank", "log exposures"}
    assert {span["context"]["trace_id"] for span in spans.values()} == {f"0x{TRACE}"}
    root = spans.pop("POST /v1/recommend")
    assert (root["parent_id"], root["kind"]) == (f"0x{PARENT}", "SpanKind.SERVER")
    assert {span["parent_id"] for span in spans.values()} == {root["context"]["span_id"]}
    assert root["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/v1/recommend",
        "http.response.status_code": 200,
        "footfall.release": answer["release"],
        "footfall.arm": answer["arm"],
        "footfall.degraded": "no_history",
    }
    assert root["resource"]["attributes"] == {"service.name": "footfall"}


@pytest.mark.parametrize(
    ("path", "body", "steps"),
    [
        ("/v1/home", {"user_id": "ann"}, ["read history", "rank", "log exposures"]),
        ("/v1/score", {"user_id": "ann", "item_ids": ["a"]}, ["read history", "rank"]),
        ("/v1/similar", {"item_id": "a"}, ["rank"]),
        ("/v1/recommend", {}, ["rank"]),
        ("/v1/recommend", {"events": [{"item_id": "d", "event_type": "purchase"}], "explain": True}, ["rank", "explain"]),
    ],
)
def test_each_question_has_its_steps(
    traced: Callable[[], list[dict[str, Any]]], service: Service, path: str, body: dict[str, Any], steps: list[str]
) -> None:
    answer = ask(service.app, "POST", path, {**body, "at": AT}).json
    *found, root = traced()
    assert list(dict.fromkeys(span["name"] for span in found)) == steps
    assert root["name"] == f"POST {path}"
    assert root["attributes"]["footfall.release"] == answer["release"]
    assert root["attributes"].get("footfall.degraded") == answer["degraded"]


def test_two_requests_at_once_keep_their_steps_apart(traced: Callable[[], list[dict[str, Any]]], service: Service) -> None:
    def one(number: int) -> None:
        parent = f"00-{number:032x}-{PARENT}-01"
        assert ask(service.app, "POST", "/v1/recommend", {"user_id": f"user{number}", "at": AT}, traceparent=parent).status == 200

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = traced()
    roots = {span["context"]["span_id"]: span["context"]["trace_id"] for span in spans if span["kind"] == "SpanKind.SERVER"}
    assert sorted(roots.values()) == [f"0x{number:032x}" for number in range(1, 9)]
    steps = [span for span in spans if span["kind"] != "SpanKind.SERVER"]
    assert len(steps) == 3 * len(roots)
    assert all(roots[span["parent_id"]] == span["context"]["trace_id"] for span in steps)


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{CANARY}-01"])
def test_a_header_that_is_none_begins_a_trace_of_its_own(traced: Callable[[], list[dict[str, Any]]], service: Service, header: str) -> None:
    assert ask(service.app, "GET", "/v1/release", traceparent=header).status == 200
    (span,) = traced()
    assert span["parent_id"] is None
    assert CANARY not in json.dumps(span)


def test_a_caller_that_does_not_sample_is_followed(traced: Callable[[], list[dict[str, Any]]], service: Service) -> None:
    assert ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "at": AT}, traceparent=f"00-{TRACE}-{PARENT}-00").status == 200
    assert traced() == []


def test_what_goes_wrong_is_an_error_without_words(
    traced: Callable[[], list[dict[str, Any]]], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError(CANARY)

    def broken(*_: object, **__: object) -> None:
        raise KeyError(CANARY)

    monkeypatch.setattr(service.answering, "similar", away)
    assert ask(service.app, "POST", "/v1/similar", {"item_id": "a"}).status == 503
    monkeypatch.setattr(service.answering, "similar", broken)
    with pytest.raises(KeyError):
        ask(service.app, "POST", "/v1/similar", {"item_id": "a"})
    assert ask(service.app, "POST", "/v1/similar", {"item": CANARY}).status == 400
    spans = traced()
    assert [span["attributes"]["http.response.status_code"] for span in spans] == [503, 500, 400]
    assert [span["status"] for span in spans] == [{"status_code": "ERROR"}, {"status_code": "ERROR"}, {"status_code": "UNSET"}]
    assert [span["events"] for span in spans] == [[], [], []]
    assert CANARY not in json.dumps(spans)


def everything(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests in which every word that a client may choose, and the key, is a canary."""
    given = {"x_api_key": key, "user_agent": CANARY, "traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": f"a={CANARY}", "baggage": f"a={CANARY}"}
    event = {"user_id": CANARY, "event_type": "search", "query": CANARY, "occurred_at": "2020-05-19T12:00:00Z"}
    assert ask(service.app, "POST", "/v1/events", {"events": [event], "at": AT}, **given).status == 200
    slate = {"user_id": CANARY, "exclude": [CANARY], "events": [{"event_type": "view", "item_id": CANARY}], "explain": True, "at": AT}
    assert ask(service.app, "POST", "/v1/recommend", slate, **given).status == 200
    assert ask(service.app, "POST", "/v1/similar", {"item_id": CANARY}, **given).json["degraded"] == "unknown_item"
    assert ask(service.app, "DELETE", f"/v1/users/{CANARY}", **given).status == 202
    assert ask(service.app, "DELETE", f"/v1/rules/{CANARY}", **given).status in (200, 404)

    def broken(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(service.answering._slating._ranking["champion"], "rank", broken)
    assert ask(service.app, "POST", "/v1/recommend", {"user_id": CANARY, "at": AT}, **given).json["degraded"] == "model_failed"


def test_no_span_says_whom_it_is_about(
    traced: Callable[[], list[dict[str, Any]]], start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{CANARY}-{'k' * 16}"
    everything(start(api_keys=(key,)), key, monkeypatch)
    spans = traced()
    assert {span["attributes"]["http.route"] for span in spans if span["kind"] == "SpanKind.SERVER"} == {
        "/v1/events",
        "/v1/recommend",
        "/v1/similar",
        "/v1/users/{user_id}",
        "/v1/rules/{rule_id}",
    }
    assert not any(word in json.dumps(spans) for word in (CANARY, "127.0.0.1"))


def test_spans_reach_a_collector_and_nothing_else_does(
    begin: Callable[..., Callable[[], None]], collector: tuple[Collector, str], start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    kept, url = collector
    stop, key = begin(**{ENDPOINT: url}), f"{CANARY}-{'k' * 16}"
    everything(start(api_keys=(key,)), key, monkeypatch)
    stop()
    assert set(kept.paths) == {"/v1/traces"}
    spans = kept.spans()
    assert {span.name for span in spans} >= {"POST /v1/recommend", "read history", "rank", "log exposures", "DELETE /v1/users/{user_id}"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (slate, failed) = [span for span in spans if span.name == "POST /v1/recommend"]
    assert slate.parent_span_id.hex() == failed.parent_span_id.hex() == PARENT
    told = {one.key: one.value.string_value for one in failed.attributes}
    assert (told["footfall.degraded"], told["http.route"]) == ("model_failed", "/v1/recommend")
    assert not any(word in b"".join(kept.raw) for word in (CANARY.encode(), b"127.0.0.1"))


def test_a_collector_that_is_away_keeps_nobody_waiting(
    begin: Callable[..., Callable[[], None]], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens there: the slate is answered, and the end comes although the last span was not taken."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    stop = begin(**{ENDPOINT: "http://127.0.0.1:1"})
    assert ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "at": AT}).status == 200
    monkeypatch.setattr(tracing, "_LAST_S", 2.0)
    stop()
    assert tracing.step("rank") is tracing.step("read history")
    assert not [thread for thread in threading.enumerate() if thread.name in ("footfall-last-spans", "OtelBatchSpanRecordProcessor")]
