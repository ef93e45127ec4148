"""Spans for a collector (OpenTelemetry), where the operator asks for them; where not, nothing is loaded and a span costs a look at a variable.

    OTEL_EXPORTER_OTLP_ENDPOINT   where the collector listens: spans go there, and nowhere else
    OTEL_TRACES_EXPORTER          "otlp", "console" (a JSON line a span on standard output) or "none"

All else (sampling, headers, timeouts) is as the SDK reads it from its own variables. What a span says is what `note` takes, and its route's template:
no user, query, item, key or address. BentoML's own spans hold paths and addresses, so they stay off, and the provider here is known to
nothing else in the process. An exception leaves no words, and of what a client sends only `traceparent` is read, which holds numbers.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from footfall.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

EXPORTER, PROTOCOL, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_SDK_DISABLED"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
OTLP, CONSOLE, NONE = "otlp", "console", "none"

_HTTP = "http/protobuf"
_PACKAGE = "opentelemetry.exporter.otlp.proto.http"
_LAST_S = 3.0
"""How long the end of the process waits for the last spans to be taken."""
_NOTHING: AbstractContextManager[object] = nullcontext()

T = TypeVar("T")
_tracer: Tracer | None = None


def exporter_in(environment: Mapping[str, str] | None = None) -> str | None:
    """Where spans go, by the environment (default: the process's own): OTLP, CONSOLE or None.

    Raises:
        SettingsError: a variable says what cannot be done, or the exporter is not installed.
    """
    env = os.environ if environment is None else environment
    asked = env.get(EXPORTER) or (OTLP if any(env.get(name) for name in ENDPOINTS) else NONE)
    if asked == NONE:
        return None
    if asked not in (OTLP, CONSOLE):
        raise SettingsError("unusable exporter", where=EXPORTER, expected="otlp, console or none", found=asked, next_step=f"export {EXPORTER}=otlp")
    if asked == OTLP:
        _check_otlp(env)
    return asked


def switches(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the service's environment needs beside, after all telemetry has been switched off in it: nothing, where no spans are asked for."""
    return {DISABLED: "false"} if exporter_in(environment) else {}


def start() -> Callable[[], None]:
    """Make spans from now on, where the process's environment asks for them; what is returned sends the last ones and ends it.

    Raises:
        SettingsError: as `exporter_in`.
    """
    global _tracer  # noqa: PLW0603 - of a process, as OpenTelemetry's own
    asked = exporter_in()
    if asked is None:
        return _nothing_to_stop
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = Resource({"service.name": "footfall"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    exporter = _exporter(asked)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("footfall")
    return partial(_stop, provider.shutdown, exporter.shutdown)


def request(method: str, route: str, traceparent: str | None) -> AbstractContextManager[object]:
    """A request on its way through the service; the caller's own span is its parent where it sends one.

    Args:
        method: of HTTP.
        route: the path's template.
        traceparent: the header (W3C Trace Context), as it came.
    """
    tracer = _tracer  # which may end meanwhile
    return _NOTHING if tracer is None else _request(tracer, method, route, traceparent)


def step(name: str) -> AbstractContextManager[object]:
    """One step of the request that is being answered."""
    tracer = _tracer
    return _NOTHING if tracer is None else tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)


def note(*, status: int | None = None, release: str | None = None, arm: str | None = None, degraded: str | None = None) -> None:
    """Say of the request that is being answered what its log and metrics say too."""
    if _tracer is None:
        return
    from opentelemetry import trace

    span = trace.get_current_span()
    told = {"http.response.status_code": status, "footfall.release": release, "footfall.arm": arm, "footfall.degraded": degraded}
    span.set_attributes({name: value for name, value in told.items() if value is not None})
    if status is not None and status >= 500:
        span.set_status(trace.StatusCode.ERROR)


def carried(function: Callable[..., T]) -> Callable[..., T]:
    """The function, to be called once in another thread: its steps belong to the request of this one."""
    return function if _tracer is None else partial(copy_context().run, function)


@contextmanager
def _request(tracer: Tracer, method: str, route: str, traceparent: str | None) -> Iterator[None]:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent or ""}, Context())
    about: dict[str, Any] = {"kind": SpanKind.SERVER, "attributes": {"http.request.method": method, "http.route": route}}
    with tracer.start_as_current_span(f"{method} {route}", parent, record_exception=False, set_status_on_exception=False, **about):
        try:
            yield
        except Exception:
            note(status=500)
            raise


def _exporter(asked: str) -> SpanExporter:
    if asked == CONSOLE:
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter: SpanExporter = OTLPSpanExporter()
    return exporter


def _check_otlp(env: Mapping[str, str]) -> None:
    for name in (PROTOCOL, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        if (said := env.get(name) or _HTTP) != _HTTP:
            raise SettingsError("unusable protocol", where=name, expected=_HTTP, found=said, next_step=f"export {name}={_HTTP}")
    for name in ENDPOINTS:
        if (url := env.get(name)) and not url.startswith(("http://", "https://")):
            expected, again = "http:// or https:// and a host", f"export {name}=http://127.0.0.1:4318"
            raise SettingsError("unusable address of a collector", where=name, expected=expected, found="another text", next_step=again)
    if not _is_installed():
        named = ", ".join(name for name in (EXPORTER, *ENDPOINTS) if env.get(name))
        next_step = f"pip install 'footfall[tracing]', or export {EXPORTER}=none"
        raise SettingsError("the exporter of spans is not installed", where=named, expected=_PACKAGE, found="none", next_step=next_step)


def _is_installed() -> bool:
    try:
        return find_spec(_PACKAGE) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def _stop(shut_down: Callable[[], None], give_up: Callable[[], None]) -> None:
    """Make no more spans, and wait a little for the last ones: a collector that is away must not keep the service from ending."""
    global _tracer  # noqa: PLW0603
    _tracer = None
    ending = threading.Thread(target=shut_down, name="footfall-last-spans", daemon=True)
    ending.start()
    ending.join(_LAST_S)
    if ending.is_alive():
        give_up()
        ending.join(_LAST_S)


def _nothing_to_stop() -> None:
    """There were no spans."""
