"""What the client does when connections break, answers are strange, or lists are long: against a service of a few lines that does as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.client import Client, ClientError, Rule
from footfall.client import lists as parts
from footfall.client.answers import Release, RuleChange, ScoredItem, Scores
from footfall.client.lists import parts_of
from footfall.client.reading import read
from tests.unit.test_floors import FRAMEWORKS, import_with_little

SCORES = {"release": "r1", "degraded": None, "items": [{"item_id": "a", "score": 1}]}
SLATE = {"release": "r1", "arm": "champion", "request_id": "0" * 32, "policy": "fused", "degraded": None, "rules_excluding": [], "items": []}
STORED = {"accepted": 1, "duplicates": 0, "rejected": []}
HANG_UP, SAY_NOTHING = "hang up", "say nothing"


@dataclass
class Told:
    """A service that does, request by request, what it was told; `asked` is what came, `connections` how often somebody connected."""

    script: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    def serve(self, door: socket.socket) -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rwb") as file:
                while self._answer(file):
                    pass

    def _answer(self, file: Any) -> bool:
        first = file.readline().decode().split()
        if not first:
            return False
        headers = dict(line.decode().strip().split(": ", 1) for line in iter(file.readline, b"\r\n"))
        body = file.read(int(headers.get("Content-Length", 0)))
        self.asked.append((first[0], first[1], headers, body))
        step = self.script.pop(0)
        if step == HANG_UP:
            return False
        if step == SAY_NOTHING:
            file.read(1)  # until the client gives up
            return False
        status, text, close = step if isinstance(step, tuple) else (200, json.dumps(step), False)
        file.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text.encode())}\r\n\r\n{text}".encode())
        file.flush()
        return not close


@pytest.fixture
def service() -> Iterator[Told]:
    told = Told()
    with socket.create_server(("127.0.0.1", 0)) as door:
        told.url = f"http://127.0.0.1:{door.getsockname()[1]}"
        thread = threading.Thread(target=told.serve, args=(door,), daemon=True)
        thread.start()
        yield told
        door.shutdown(socket.SHUT_RDWR)
    thread.join(5.0)
    assert not thread.is_alive()


@pytest.fixture
def client(service: Told) -> Iterator[Client]:
    with Client(service.url, "key", timeout_s=5.0) as client:
        yield client


def test_one_connection_is_kept_for_all_calls_and_each_brings_the_key(service: Told, client: Client) -> None:
    service.script += [SCORES, SCORES, (404, json.dumps({"error": "not_found", "what": "no"}), False), SCORES]
    assert client.score(["a"]) == client.score(["a"]) == Scores("r1", None, (ScoredItem("a", 1.0),))
    with pytest.raises(ClientError, match="no"):
        client.score(["a"])
    client.score(["a"])
    assert service.connections == 1
    assert {headers["Authorization"] for _, _, headers, _ in service.asked} == {"Bearer key"}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda client: client.score(["a"], "ann"), SCORES),
        (lambda client: client.recommend(), SLATE),
        (lambda client: client.send_events([{"event_id": "e"}]), STORED),
        (lambda client: client.put_users([{"user_id": "ann"}]), STORED),
        (lambda client: client.erase_user("ann"), {"erasure_id": "e", "requested_at": "2020-01-01T00:00:00+00:00"}),
        (lambda client: client.rules(), {"rules": []}),
    ],
)
def test_what_does_no_more_when_asked_twice_is_asked_again_on_a_new_connection(service: Told, client: Client, call: Any, answer: Any) -> None:
    service.script += [HANG_UP, answer]
    call(client)
    assert len(service.asked) == service.connections == 2
    assert service.asked[0][:2] == service.asked[1][:2]
    assert service.asked[0][3] == service.asked[1][3]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.recommend("ann"),
        lambda client: client.home("ann"),
        lambda client: client.send_events([{"event_id": "e"}, {"user_id": "ann"}]),
    ],
)
def test_what_would_be_done_twice_is_asked_once(service: Told, client: Client, call: Any) -> None:
    service.script += [HANG_UP, SLATE]
    with pytest.raises(ClientError, match="no answer") as broken:
        call(client)
    assert (len(service.asked), broken.value.status) == (1, None)
    assert "ann" not in str(broken.value)


def test_a_connection_that_breaks_twice_is_given_up(service: Told, client: Client) -> None:
    service.script += [HANG_UP, HANG_UP, SCORES]
    with pytest.raises(ClientError, match="no answer"):
        client.score(["a"])
    assert len(service.asked) == 2
    client.score(["a"])


def test_a_kept_connection_that_was_closed_meanwhile_is_noticed_before_anything_is_sent(service: Told, client: Client) -> None:
    service.script += [(200, json.dumps(SLATE), True), SLATE]
    client.recommend("ann")
    while not _closed(client):
        pass
    client.recommend("ann")  # which is never asked twice
    assert (len(service.asked), service.connections) == (2, 2)


def _closed(client: Client) -> bool:
    return client._connection._http.sock.recv(1, socket.MSG_PEEK) == b""


def test_a_service_that_says_nothing_is_waited_for_so_long_and_not_asked_again(service: Told) -> None:
    service.script += [SAY_NOTHING, SCORES]
    with Client(service.url, timeout_s=0.2) as client, pytest.raises(ClientError, match="in time") as late:
        client.score(["a"])
    assert (len(service.asked), late.value.status, late.value.expected) == (1, None, "within 0.2 s")


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ("<html>", "/v1/score"),
        ("[]", "Scores"),
        (json.dumps({**SCORES, "items": {}}), "Scores.items"),
        (json.dumps({**SCORES, "items": [{"item_id": "a", "score": "1"}]}), "Scores.items[0].score"),
        (json.dumps({**SCORES, "release": None}), "Scores.release"),
        (json.dumps({"release": "r1", "items": []}), "Scores.degraded"),
    ],
)
def test_an_answer_that_does_not_fit_says_where(service: Told, client: Client, answer: str, where: str) -> None:
    service.script.append((200, answer, False))
    with pytest.raises(ClientError, match="answer") as error:
        client.score(["a"])
    assert str(error.value.where).endswith(where)


def test_what_a_newer_service_adds_is_passed_over() -> None:
    release = {"release": None, "failed": None, "store": "ready", "code": "/x"}
    assert read(Release, {**release, "mood": "fine"}) == Release(None, None, "ready", "/x")


def test_a_rule_or_a_moment_that_cannot_be_one_does_not_fit() -> None:
    change = {"number": 1, "rule_id": "r", "who": "admin", "changed_at": "2020-01-01T00:00:00+00:00", "before": None, "after": None}
    after = {"rule_id": "r", "kind": "exclude", "items": ["a"]}
    assert read(RuleChange, {**change, "after": after}).after == Rule("r", "exclude", items=["a"])
    for other in ({"changed_at": "soon"}, {"changed_at": 1}, {"after": {"rule_id": "r", "kind": "hide"}}):
        with pytest.raises(ClientError, match="does not fit"):
            read(RuleChange, {**change, **other})


def test_an_answer_that_is_no_problem_document_is_still_an_error(service: Told, client: Client) -> None:
    service.script += [(502, "<html>bad gateway</html>", False), (302, "", False)]
    for status in (502, 302):
        with pytest.raises(ClientError, match=f"the service answered {status}") as error:
            client.rules()
        assert error.value.status == status


def test_a_failure_amid_a_long_list_says_how_much_was_sent(service: Told, client: Client) -> None:
    service.script += [STORED, STORED, (503, json.dumps({"error": "unavailable", "what": "busy"}), False)]
    with pytest.raises(ClientError, match="busy") as error:
        client.send_events({"event_id": str(number)} for number in range(5000))
    assert (error.value.taken, len(service.asked)) == (2000, 3)


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
def test_what_is_no_json_is_not_sent(service: Told, client: Client, value: object) -> None:
    with pytest.raises(ClientError, match="cannot be sent"):
        client.send_events([{"event_id": value}])
    assert service.asked == []


@pytest.mark.parametrize(
    "url", ["localhost:3000", "ftp://x", "http://", "http://x:port", "http://ann:secret@x", "http://x?key=secret", "file:///etc/passwd"]
)
def test_an_address_that_is_none_is_refused_without_saying_it(url: str) -> None:
    with pytest.raises(ClientError, match="unusable address") as error:
        Client(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("key", ["", " secret", "secret\r\nx: y", "sécret"])
def test_a_key_that_is_none_is_refused_without_saying_it(key: str) -> None:
    with pytest.raises(ClientError, match="unusable API key") as error:
        Client("http://127.0.0.1", key)
    assert "cret" not in str(error.value)


@given(st.lists(st.dictionaries(st.text("ab", max_size=2), st.text(max_size=30), max_size=3), max_size=40), st.integers(1, 7), st.integers(20, 200))
def test_parts_of_a_list_are_the_list_in_order_within_the_limits(rows: list[dict[str, str]], most: int, most_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "MOST", most)
        patch.setattr(parts, "MOST_BYTES", most_bytes)
        found = list(parts_of("things", iter(rows), b',"at":"now"'))
    bodies = [json.loads(body) for _, _, body in found]
    assert [row for body in bodies for row in body["things"]] == rows
    assert all(body["at"] == "now" and body["things"] == held for body, (_, held, _) in zip(bodies, found, strict=True))
    assert [first for first, _, _ in found] == [sum(len(held) for _, held, _ in found[:number]) for number in range(len(found))]
    overhead = len(b'{"things":[],"at":"now"}') + 1
    assert all(len(held) <= most and (len(held) == 1 or len(body) <= most_bytes + overhead) for _, held, body in found)


def test_the_client_needs_nothing_but_the_standard_library() -> None:
    done = import_with_little(["footfall.client"], f"{FRAMEWORKS},numpy,pyarrow,yaml,sqlalchemy,typer,rich,aiohttp,requests,httpx")
    assert done.returncode == 0, done.stderr
