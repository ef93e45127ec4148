from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from bentos import logs
from bentos.live.live_store import LiveStore
from bentos.logs import JsonLines, set_up_logs, without_values
from footfall.errors import SettingsError, StoreError
from footfall.settings import load_settings
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import bought, post_events

SECRET = "ann@example.org buys tea"


class Written:
    """A logger of its own, and what it wrote."""

    def __init__(self, form: str) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.logger = logging.getLogger("footfall.service")
        self.logger.addHandler(self.handler)
        set_up_logs(form, lambda: "r1")

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture(autouse=True)
def handlers_as_they_were() -> Iterator[None]:
    before = [(handler, handler.formatter, list(handler.filters)) for handler in logs._handlers()]
    yield
    for handler, formatter, filters in before:
        handler.setFormatter(formatter)
        handler.filters = filters


@pytest.fixture(params=["json", "text"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def written(form: str) -> Iterator[Written]:
    made = Written(form)
    yield made
    made.logger.removeHandler(made.handler)


@pytest.mark.parametrize("form", ["json"])
def test_a_line_is_one_object_of_the_stated_fields(written: Written) -> None:
    written.logger.warning("live store is %s", "back")
    written.logger.error("two\nlines", extra={"route": "events", "status": 503, "release": "r2"})
    back, failed = written.lines
    assert back.pop("time").endswith("+00:00")
    expected = {"level": "warning", "logger": "footfall.service", "message": "live store is back", "release": "r1", "route": None, "status": None}
    assert back == expected
    assert (failed["message"], failed["route"], failed["status"], failed["release"]) == ("two\nlines", "events", 503, "r2")


def fail() -> None:
    try:
        {}[SECRET]
    except KeyError as error:
        raise ValueError(f"{SECRET} is no row") from error


def test_an_exception_is_told_by_kind_and_place_and_never_in_its_own_words(written: Written) -> None:
    try:
        fail()
    except ValueError:
        written.logger.exception("release %s failed", "r1")
    assert "ann" not in written.text
    assert "ValueError" in written.text
    assert "KeyError" in written.text
    assert f"test_logs.py:{fail.__code__.co_firstlineno + 4} fail" in written.text


@pytest.mark.parametrize("form", ["json"])
def test_an_exception_lies_in_the_line_and_its_cause_behind_it(written: Written) -> None:
    try:
        fail()
    except ValueError:
        written.logger.exception("failed")
    (line,) = written.lines
    assert [told["kind"] for told in line["errors"]] == ["ValueError", "KeyError"]
    assert [told["at"][-1].rpartition(" ")[2] for told in line["errors"]] == ["fail", "fail"]


@pytest.mark.parametrize("form", ["json"])
def test_our_own_errors_also_say_what_was_wrong_and_what_to_do(written: Written) -> None:
    try:
        raise StoreError("live store is away", where="postgresql://db.example.org/shop", found=SECRET, next_step="footfall doctor")
    except StoreError:
        written.logger.exception("failed")
    (told,) = written.lines[0]["errors"]
    assert (told["what"], told["next"]) == ("live store is away", "footfall doctor")
    assert "example.org" not in written.text


def test_lines_of_the_server_around_the_service_are_held_to_the_same(form: str) -> None:
    stream = io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    try:
        set_up_logs(form, lambda: None)
        try:
            fail()
        except ValueError as error:
            logger.error("Exception in ASGI application", exc_info=error)
    finally:
        logger.removeHandler(handler)
    assert "ann" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert stream.getvalue().startswith("{") == (form == "json")


def test_without_json_a_line_reads_as_it_did() -> None:
    record = logging.LogRecord("footfall.service", logging.INFO, __file__, 1, "release %s serves", ("r1",), None)
    plain = logging.Formatter("%(levelname)s %(message)s").format(record)
    assert without_values(record)
    assert logging.Formatter("%(levelname)s %(message)s").format(record) == plain == "INFO release r1 serves"


def test_a_circle_of_causes_ends() -> None:
    error = ValueError("one")
    error.__context__ = RuntimeError("two")
    error.__context__.__context__ = error
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), (ValueError, error, None))
    told = json.loads(JsonLines(lambda: None).format(record))["errors"]
    assert [one["kind"] for one in told] == ["ValueError", "RuntimeError"] * 4


@pytest.mark.parametrize("form", ["json"])
def test_a_request_that_the_store_fails_says_its_route_and_status_and_no_user(
    service: Service, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("live store cannot be reached or refused", found="OperationalError 57P01")

    monkeypatch.setattr(LiveStore, "call", away)
    assert ask(service.app, "PUT", "/v1/users", {"users": [{"user_id": "ann", "attributes": {"tier": "gold"}}]}).status == 503
    post_events(service, bought("c"))
    failed = [line for line in written.lines if line["route"]]
    assert [(line["route"], line["status"], line["level"]) for line in failed] == [("users", 503, "error"), ("events", 503, "error")]
    assert "ann" not in written.text.replace("cannot", "")


@pytest.mark.parametrize("form", ["json"])
def test_a_line_about_a_release_names_that_one_and_a_bundle_that_cannot_be_opened_says_why(service: Service, written: Written) -> None:
    other = service.promote("b")
    (service.bundles / "b" / "manifest.json").unlink()
    service.changeover.look()
    first = service.changeover.ranker
    assert first is not None
    refused = next(line for line in written.lines if "cannot be served" in line["message"])
    assert (refused["level"], refused["release"]) == ("error", other)
    assert refused["errors"][0]["kind"] == "BundleError"
    assert refused["message"] == f"release {other} cannot be served; {first.release_id} goes on"


def test_the_form_is_text_unless_json_is_asked_for_and_nothing_else_is_taken() -> None:
    assert [load_settings(env).log for env in ({}, {"FOOTFALL_LOG": "json"}, {"FOOTFALL_LOG": ""}, {"FOOTFALL_LOG": "text"})] == [
        "text", "json", "text", "text",
    ]  # fmt: skip
    with pytest.raises(SettingsError) as caught:
        load_settings({"FOOTFALL_LOG": "xml"})
    assert (caught.value.where, caught.value.expected) == ("FOOTFALL_LOG", "text or json")
