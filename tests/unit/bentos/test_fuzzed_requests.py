from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.routes.events import EVENT_FIELDS
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import bought

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["purchase", "2017-01-01T00:00:00Z", "item"])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=10)
EVENT = st.dictionaries(st.sampled_from(sorted(EVENT_FIELDS)) | st.text(max_size=5), JSON, max_size=6)
SLATE = st.dictionaries(st.sampled_from(["user_id", "events", "k", "place", "context_item_id", "exclude", "at"]), JSON, max_size=5)

reusing = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@reusing
@given(SLATE | JSON)
def test_no_slate_request_makes_the_service_fail(service: Service, body: Any) -> None:
    assert ask(service.app, "POST", "/v1/recommend", json.dumps(body).encode("utf-8", "surrogatepass")).status in (200, 400)


@reusing
@given(st.lists(EVENT | JSON, max_size=5))
def test_no_event_makes_the_service_fail_and_good_ones_are_kept_beside_bad_ones(service: Service, rows: list[Any]) -> None:
    answer = ask(service.app, "POST", "/v1/events", json.dumps({"events": [bought("a"), *rows]}).encode("utf-8", "surrogatepass"))
    assert answer.status == 200
    told = answer.json
    assert told["accepted"] + told["duplicates"] + len(told["rejected"]) == len(rows) + 1
    assert 0 not in [row["index"] for row in told["rejected"]]


@reusing
@given(st.binary(max_size=200))
def test_no_bytes_make_the_service_fail(service: Service, body: bytes) -> None:
    for path in ("/v1/recommend", "/v1/events"):
        assert ask(service.app, "POST", path, body).status in (200, 400)
