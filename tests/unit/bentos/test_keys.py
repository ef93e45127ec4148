from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bentos.routes.table import ENDPOINTS
from bentos.serve import plan
from bentos.web import keys as keys_module
from bentos.web.door import METRICS, PROBES
from bentos.web.endpoints import READ, ROLES, Endpoint
from bentos.web.keys import MAKE_A_KEY, Quota, rate_in, read_keys, whose
from footfall.errors import SettingsError
from footfall.settings import load_settings
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import Service

SECRETS = {role: f"{role}-{'x' * 16}" for role in ROLES}
LISTED = tuple(f"{role}r:{role}:{secret}" for role, secret in SECRETS.items())
PAGES = [(endpoint.method, endpoint.path, endpoint.role) for endpoint in ENDPOINTS] + [("GET", METRICS, READ)]
"""Every endpoint of the table; what is not in it is /metrics, which reads, and the probes, which are open."""


def asked(service: Service, method: str, path: str, **headers: str) -> Answer:
    """One request; every parameter of the path is "x"."""
    for part in path.split("/"):
        path = path.replace(part, "x") if part.startswith("{") else path
    return ask(service.app, method, path, None if method in ("GET", "DELETE") else {}, **headers)


@pytest.mark.parametrize(("method", "path", "role"), PAGES)
def test_every_endpoint_asks_for_a_key_of_its_role(
    start: Callable[..., Service], caplog: pytest.LogCaptureFixture, method: str, path: str, role: str
) -> None:
    service = start(api_keys=LISTED)
    caplog.set_level(logging.DEBUG)
    wrong = SECRETS[role][:-1] + "y"
    for headers in (
        {},
        {"authorization": f"Bearer {wrong}"},
        {"authorization": SECRETS[role]},
        {"authorization": f"Basic {SECRETS[role]}"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {SECRETS[role]}x"},
        {"authorization": f"Bearer {role}r:{role}:{SECRETS[role]}"},
        {"x_api_key": ""},
        {"x_api_key": SECRETS[role].upper()},
        {"x_api_key": wrong, "authorization": f"Bearer {SECRETS[role]}"},
    ):
        answer = asked(service, method, path, **headers)
        assert (answer.status, answer.headers["www-authenticate"], answer.json["error"]) == (401, "Bearer", "unauthorized")
        assert not any(secret.encode() in answer.body for secret in SECRETS.values())
    for other in ROLES:
        for headers in ({"authorization": f"Bearer {SECRETS[other]}"}, {"authorization": f"bearer {SECRETS[other]}"}, {"x_api_key": SECRETS[other]}):
            answer = asked(service, method, path, **headers)
            if ROLES.index(other) < ROLES.index(role):
                assert (answer.status, answer.json["error"], answer.json["expected"]) == (403, "forbidden", f"a key for {role}")
            else:
                assert answer.status not in (401, 403)
    assert not any(secret in line for secret in SECRETS.values() for line in [record.getMessage() for record in caplog.records])


def test_a_key_alone_may_do_everything(start: Callable[..., Service]) -> None:
    service = start(api_keys=("k" * 16,))
    assert all(asked(service, method, path, x_api_key="k" * 16).status not in (401, 403) for method, path, _ in PAGES)


def test_some_endpoint_asks_for_more_than_reading() -> None:
    assert {"read", "write"} <= {role for _, _, role in PAGES}


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_are_open_and_say_nothing(start: Callable[..., Service], path: str) -> None:
    assert ask(start(api_keys=LISTED).app, "GET", path).status == 404  # passed by the door, to BentoML, which is not here


def test_another_method_and_another_page_say_nothing_to_who_has_no_key(start: Callable[..., Service]) -> None:
    service = start(api_keys=LISTED)
    for method, path in (
        ("GET", "/v1/recommend"),
        ("PUT", "/v1/events"),
        ("GET", "/v1/nothing"),
        ("HEAD", "/v1/release"),
        ("OPTIONS", "/v1/release"),
    ):
        assert ask(service.app, method, path).status == 401
    assert ask(service.app, "GET", "/v1/nothing", x_api_key=SECRETS["read"]).status == 404
    assert ask(service.app, "GET", "/v1/recommend", x_api_key=SECRETS["read"]).status == 405


@pytest.mark.parametrize(
    "entries",
    [
        ("short",),
        ("k" * 15,),
        ("home:read:" + "k" * 15,),
        ("home:owner:" + "k" * 16,),
        ("home:" + "k" * 16,),
        ("Home:read:" + "k" * 16,),
        (":read:" + "k" * 16,),
        ("home:read:",),
        ("home:read:" + "k" * 16 + ":more",),
        ("k" * 16 + " " + "k" * 16,),
        ("k" * 16 + "\u00e9",),
        ("k" * 16, "k" * 16),
        ("a:read:" + "k" * 16, "b:admin:" + "k" * 16),
        ("a:read:" + "k" * 16, "a:admin:" + "j" * 16),
    ],
)
def test_an_unusable_key_is_refused_without_being_repeated_and_the_service_does_not_start(tmp_path: Path, entries: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        read_keys(entries)
    assert "kkkk" not in str(caught.value)
    assert caught.value.next_step == MAKE_A_KEY
    with pytest.raises(SettingsError, match="unusable API key"):
        plan(load_settings({"FOOTFALL_ROOT": str(tmp_path), "FOOTFALL_API_KEYS": ",".join(entries)}))


def test_a_key_does_not_show_itself() -> None:
    key = read_keys(("home:read:" + "k" * 16,))[0]
    assert "kkkk" not in repr(key)
    assert "kkkk" not in str(vars(key))


def test_keys_are_compared_in_constant_time_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, two: bytes) -> bool:
        compared.append((len(one), len(two)))
        return one == two

    monkeypatch.setattr(keys_module.hmac, "compare_digest", compare)
    keys = read_keys(LISTED)
    for given in (SECRETS["read"].encode(), b"", b"x" * 1000):
        compared.clear()
        whose(given, keys)
        assert compared == [(32, 32)] * 3


def test_a_quota_fills_again_at_its_rate() -> None:
    now = [0.0]
    quota = Quota(4.0, lambda: now[0])
    assert [quota.wait_s("a") for _ in range(5)] == [0, 0, 0, 0, 0.25]
    assert quota.wait_s("b") == 0  # each key has its own
    now[0] = 0.25
    assert [quota.wait_s("a") for _ in range(2)] == [0, 0.25]
    now[0] = 100.0
    assert [quota.wait_s("a") for _ in range(5)] == [0, 0, 0, 0, 0.25]


def test_a_slow_quota_lets_one_in_and_says_how_long_it_takes() -> None:
    quota = Quota(0.1, lambda: 0.0)
    assert [quota.wait_s("a") for _ in range(2)] == [0, 10.0]


def test_past_its_quota_a_key_gets_429_and_the_others_go_on(start: Callable[..., Service]) -> None:
    now = [0.0]
    service = start(api_keys=LISTED, rate=2.0, clock=lambda: now[0])
    read, admin = SECRETS["read"], SECRETS["admin"]
    assert [ask(service.app, "GET", "/v1/release", x_api_key=read).status for _ in range(3)] == [200, 200, 429]
    answer = ask(service.app, "GET", "/v1/release", x_api_key=read)
    assert (answer.headers["retry-after"], answer.json["error"]) == ("1", "too_many_requests")
    assert ask(service.app, "GET", "/v1/release", x_api_key=admin).status == 200
    assert ask(service.app, "GET", "/v1/release", x_api_key="wrong").status == 401
    now[0] = 0.5
    assert [ask(service.app, "GET", "/v1/release", x_api_key=read).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", "1e10"])
def test_an_unusable_rate_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="unusable rate"):
        rate_in({"FOOTFALL_RATE": text})


def test_without_a_rate_there_is_none() -> None:
    assert rate_in({}) is rate_in({"FOOTFALL_RATE": ""}) is None
    assert rate_in({"FOOTFALL_RATE": "0.5"}) == 0.5


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000", "localhost", "127.0.0.1"])
def test_without_keys_names_of_loopback_are_answered(service: Service, host: str) -> None:
    assert ask(service.app, "GET", "/v1/release", host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "192.0.2.7:3000", "[2001:db8::1]:3000", "", "localhost@evil.example"]
)
def test_without_keys_another_name_for_loopback_is_refused(service: Service, host: str) -> None:
    assert ask(service.app, "GET", "/v1/release", host=host).status == 403


def test_with_keys_any_name_is_answered(start: Callable[..., Service]) -> None:
    assert ask(start(api_keys=LISTED).app, "GET", "/v1/release", host="shop.example", x_api_key=SECRETS["read"]).status == 200


def test_the_table_has_only_known_roles() -> None:
    assert all(isinstance(endpoint, Endpoint) and endpoint.role in ROLES for endpoint in ENDPOINTS)
