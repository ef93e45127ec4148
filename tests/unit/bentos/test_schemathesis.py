"""Whatever the OpenAPI document allows, and much that it forbids: no 5xx, and every answer is what the document says."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from starlette.types import Receive, Scope, Send

from tests.trials import Trial
from tests.unit.bentos.conftest import Service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PROBES = {"/livez", "/readyz"}
"""BentoML's, not the application's."""


@pytest.mark.trial
def test_nothing_that_is_made_of_the_document_fails_or_is_answered_otherwise(service: Service, trial: Trial) -> None:
    async def on_loopback(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, b"127.0.0.1:3000" if name == b"host" else value) for name, value in scope["headers"]]
        await service.app({**scope, "headers": headers, "server": ("127.0.0.1", 3000)}, receive, send)

    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", on_loopback)
    operations = [found.ok() for found in schema.get_all_operations() if found.ok().path not in PROBES]
    forbids = {operation.label: bool(operation.body or operation.path_parameters) for operation in operations}
    asked = [(operation, mode) for operation in operations for mode in GenerationMode if mode.is_positive or forbids[operation.label]]
    wanted = trial.count(small=240, stated=10_000)
    each = wanted // sum(forbids[operation.label] for operation, _ in asked) + 1  # without body and parameters there is one case
    statuses: Counter[int] = Counter()

    def hold_to_it(case: Case) -> None:
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        statuses[response.status_code] += 1

    quiet = settings(max_examples=each, phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck))
    for operation, mode in asked:
        quiet(given(operation.as_strategy(generation_mode=mode))(hold_to_it))()
    trial.note(cases=statuses.total(), answers={str(status): count for status, count in sorted(statuses.items())})
    assert statuses.total() >= wanted
    assert {200, 400} <= set(statuses)
