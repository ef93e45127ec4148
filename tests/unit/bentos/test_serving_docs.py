"""docs/serving.md is true: every example is sent to the real application, every table is held against the code."""

from __future__ import annotations

import io
import json
import re
import shlex
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentos.live import writer
from bentos.routes import batches, events, rules, shop, slates
from bentos.routes.table import ENDPOINTS
from bentos.web import bodies, crowd, door, endpoints, patience
from bentos.web.openapi import document
from footfall import home
from footfall.core import policies, slate_maker, streaming_scorer
from footfall.core.slates import MAX_K
from footfall.rules import KINDS, PLACES
from footfall.store import events as stored_events
from footfall.store import exposures
from footfall.store import rules as stored_rules
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.listening import listening

PAGE = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
NAMES = {"green-tea": "a", "black-tea": "b", "blue-mug": "c", "red-mug": "d"}
"""Items of the page, and who plays them in the application of the tests."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXACT = {"accepted", "duplicates", "rejected", "removed", "degraded", "item_id", "position", "score", "propensity", "probability", "reason", "policy"}
"""What an answer on the page must have as it is; of the rest the kind is enough."""


@dataclass(frozen=True)
class Example:
    """One curl command, and the answer that stands below it, if any."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    status: int
    answer: Any = None


def played(text: str) -> str:
    for name, letter in NAMES.items():
        text = text.replace(f'"{name}"', f'"{letter}"')
    return text


def read_curl(command: str, answer: str | None) -> Example:
    status = re.search(r"# (\d{3})\s*$", command)
    words = shlex.split(command, comments=True)[1:]
    method, body, headers, url = "", None, {}, ""
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word in ("--json", "-d"):
            body = played(words.pop(0)).encode()
            headers = {"content_type": "application/json" if word == "--json" else "application/x-www-form-urlencoded"}
        else:
            assert word.startswith("localhost:3000/"), word
            url = word.removeprefix("localhost:3000")
    method = method or ("GET" if body is None else "POST")
    return Example(method, url, body, headers, int(status[1]) if status else 200, None if answer is None else json.loads(played(answer)))


def examples() -> Iterator[Example]:
    blocks = BLOCK.findall(PAGE)
    for number, (kind, text) in enumerate(blocks):
        if kind != "sh":
            continue
        shown = blocks[number + 1][1] if number + 1 < len(blocks) and blocks[number + 1][0] == "json" else None
        commands = re.split(r"^(?=curl )", text, flags=re.MULTILINE)[1:]
        for command in commands:
            yield read_curl(command, shown if command is commands[-1] else None)


EXAMPLES = list(examples())
PYTHON = [text for kind, text in BLOCK.findall(PAGE) if kind == "python"]
"""With the client, and without."""


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def first_cells(title: str) -> list[str]:
    """Words in back quotes in the first column of the tables of a section."""
    rows = [line.split(" | ")[0] for line in section(title).splitlines() if line.startswith("| `")]
    return [word for cell in rows for word in re.findall(r"`(\w+)`", cell)]


def assert_like(shown: Any, real: Any, name: str = "") -> None:
    if isinstance(shown, dict):
        assert list(shown) == list(real), name
        for key, value in shown.items():
            assert_like(value, real[key], key)
    elif isinstance(shown, list):
        assert len(shown) == len(real), name
        for one, other in zip(shown, real, strict=True):
            assert_like(one, other, name)
    elif name in EXACT:
        assert shown == real, name
    else:
        assert type(shown) is type(real), name


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(replay_clock=False)


def test_every_command_on_the_page_gets_the_status_and_the_answer_that_it_says(service: Service) -> None:
    answered: list[Answer] = []
    for example in EXAMPLES:
        answer = ask(service.app, example.method, example.path, example.body, **example.headers)
        assert answer.status == example.status, (example, answer.body)
        if example.answer is not None:
            assert_like(example.answer, answer.json)
        if example.path.startswith("/v1/") and answer.status == 200 and "rejected" in answer.json and example.answer is None:
            assert answer.json["rejected"] == []
        answered.append(answer)
    assert sum(example.answer is not None for example in EXAMPLES) == PAGE.count("```json")
    assert len(answered) > 20


def test_every_endpoint_has_an_example_in_curl_and_one_in_python(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str]] = []

    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        body = None if request.data is None else played(request.data.decode()).encode()  # type: ignore[union-attr]
        sent.append((request.get_method(), request.selector))
        answer = ask(service.app, request.get_method(), request.selector, body)
        assert answer.status in (200, 202), (request.selector, answer.body)
        if answer.status == 200 and "rejected" in answer.json:
            assert answer.json["rejected"] == []
        return io.BytesIO(answer.body)

    _, block = PYTHON
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    exec(compile(block, "docs/serving.md", "exec"), {})
    for calls in (sent, [(example.method, example.path) for example in EXAMPLES if example.status < 300]):
        for endpoint in ENDPOINTS:
            pattern = re.sub(r"\{\w+\}", "[^/]+", endpoint.path)
            assert any(method == endpoint.method and re.fullmatch(pattern, path) for method, path in calls), endpoint.path


def test_the_example_of_the_client_gets_a_slate_and_says_what_was_seen_of_it(service: Service) -> None:
    said: dict[str, Any] = {}
    with listening(service.app) as url:
        exec(compile(PYTHON[0].replace("http://localhost:3000", url), "docs/serving.md", "exec"), said)
    service.written()
    assert [line.position for line in said["slate"].items] == [1, 2, 3]
    assert (exposures.count_slates(service.engine), stored_events.count(service.engine)) == (1, 1)


def test_every_page_that_the_door_knows_is_named() -> None:
    assert [path for path in door.PATHS if path not in PAGE] == []


def test_every_word_of_degraded_and_of_reason_is_told_and_no_other() -> None:
    told = [word for word in first_cells("What `degraded` and `reason` say") if word not in ("degraded", "reason")]
    reasons = {*policies._REASONS.values(), policies.POPULAR, policies.POPULAR_IN_SEGMENT, slate_maker.SIMILAR}
    assert sorted(told) == sorted({*slates.DEGRADED, *reasons})
    for words in (PLACES, KINDS, (home.FOR_YOU, home.BUY_AGAIN, home.BECAUSE, home.CATEGORY, home.POPULAR)):
        assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_every_status_of_the_openapi_document_has_a_row() -> None:
    told = {row.split(" | ")[0].strip("| ") for row in section("What a status means").splitlines() if re.match(r"\| \d{3} ", row)}
    listed = {status for path in document()["paths"].values() for operation in path.values() for status in operation["responses"]}
    assert listed <= told
    assert {"404", "405"} <= told  # those of pages that the document does not have


def test_endpoints_ask_for_the_roles_that_the_page_says() -> None:
    found = {(endpoint.method, endpoint.path): endpoint.role for endpoint in ENDPOINTS}
    about_and_slates = ("recommend", "similar", "complementary", "score", "home", "release", "openapi.json")
    for (method, path), role in found.items():
        first = path.removeprefix("/v1/").partition("/")[0]
        said = "read" if first in about_and_slates else "admin" if method == "DELETE" or first == "rules" else "write"
        assert role == said, path


LIMITS = {
    "a body": [bodies.MAX_BODY_BYTES, int(bodies.BODY_TIMEOUT_S), patience.MAX_HEADER_BYTES >> 10, int(patience.REQUEST_S)],
    "events, items": [events.MAX_EVENTS],
    "`k`": [MAX_K, slates.MAX_ROWS],
    "`events` inside": [slates.MAX_INLINE_EVENTS],
    "`exclude`": [slates.MAX_ITEMS],
    "`categories`": [slates.MAX_WORDS],
    "`attributes`": [shop.MAX_ATTRIBUTES_BYTES, shop._DEEPEST],
    "items of a campaign": [shop.MAX_CAMPAIGN_ITEMS],
    "rules on record": [stored_rules.MAX_RULES, rules.MAX_CHANGES],
    "requests inside": [door.MAX_IN_FLIGHT, crowd.FEW, int(1000 * crowd.TARGET_S)],
    "connections at once": [patience.MAX_CONNECTIONS],
    "event rows": [writer.EVENT_CAPACITY],
    "an answer": [int(endpoints.ANSWER_TIMEOUT_S)],
}


@pytest.mark.parametrize("row", LIMITS)
def test_the_limits_are_those_of_the_code(row: str) -> None:
    (cells,) = [line for line in section("Limits").splitlines() if line.startswith(f"| {row}")]
    for number in LIMITS[row]:
        assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", cells), (cells, number)


def test_a_batch_of_anything_is_as_long_as_one_of_events() -> None:
    assert batches.MAX_BATCH == events.MAX_EVENTS
    assert bodies.BODY_TIMEOUT_S < patience.REQUEST_S  # whoever is too slow is told


@pytest.mark.parametrize(("field", "longest"), [("user_id", 128), ("query", 512), ("text", 10_000)])
def test_the_lengths_of_texts_are_those_of_the_code(field: str, longest: int) -> None:
    assert events.EVENT_FIELDS[field].schema["maxLength"] == longest
    assert f"{longest:,} characters" in section("Limits") or f"{longest:,} |" in section("Limits")


def test_what_one_worker_took_counts_on_another_as_the_page_says(start: Callable[..., Service]) -> None:
    here, there = start(replay_clock=False), start(replay_clock=False, champion=None)

    def slate(service: Service) -> Any:
        return ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "k": 3}).json

    assert slate(there)["degraded"] == "no_history"
    bought = {"user_id": "ann", "event_type": "purchase", "item_id": "e", "occurred_at": "2025-05-19T12:00:00Z"}
    assert ask(here.app, "POST", "/v1/events", {"events": [bought]}).json["accepted"] == 1
    for service in (here, there):
        assert (slate(service)["degraded"], slate(service)["items"][0]["reason"]) == (None, "bought_before")

    assert ask(here.app, "PUT", "/v1/rules", {"rules": [{"rule_id": "hide", "kind": "exclude", "items": ["e"]}]}).status == 200
    assert "e" not in [line["item_id"] for line in slate(here)["items"]]
    there.answering.shop_window.look()  # as it does each second
    assert "e" not in [line["item_id"] for line in slate(there)["items"]]


def test_what_is_kept_of_whom_is_as_the_page_says(service: Service) -> None:
    event = {"event_type": "view", "item_id": "a"}
    for path, body in (
        ("recommend", {"events": [event]}), ("home", {}), ("similar", {"item_id": "a"}), ("complementary", {"item_ids": ["a"]}),
        ("score", {"user_id": "ann", "events": [event], "item_ids": ["a"]}),
    ):  # fmt: skip
        assert ask(service.app, "POST", f"/v1/{path}", body).status == 200
    assert ask(service.app, "PUT", "/v1/users", {"users": [{"user_id": "ann", "consent": {"personalise": False}}]}).status == 200
    refused = ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "events": [event]}).json
    service.written()
    assert f"at most {streaming_scorer._REMEMBERED_BYTES >> 20} MiB" in section("What is kept of whom")
    assert refused["degraded"] == "no_consent"
    assert (exposures.count_slates(service.engine), stored_events.count(service.engine)) == (1, 0)
