"""`footfall recommend --all`: what it writes is what the service would answer, for those who may be written to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp
from typer.testing import CliRunner, Result

from benchmarks.random_bundle import write_random_bundle
from bentos.live.live_store import LiveStore
from bentos.live.writer import Writer
from bentos.measures import Measures
from bentos.parts import Parts
from bentos.registry import bundle_path, register, vouch
from bentos.releases.changeover import Changeover
from bentos.slates import everybody, shoppers
from bentos.slates.answering import Answering
from bentos.web.app import make_app
from footfall.bundle import release_id
from footfall.contracts import EXPOSURES
from footfall.errors import StoreError
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym
from footfall.recommender import Recommender
from footfall.rules import PLACES
from footfall.signing import VERIFY, verify_key
from footfall.store import exposures, open_store, releases
from footfall.store.releases import Release
from footfall_cli import recommend
from footfall_cli.main import app
from tests.unit.bentos.asgi import ask
from tests.unit.footfall.small_shop import make_bundle_by_hand, use_table_scorer

KEY = b"test key"
AT = "2020-05-20T12:00:00"
NOON = datetime(2020, 5, 20, 12, tzinfo=UTC)
USERS = ("ann", "bob", "cat", "dan")


@pytest.fixture
def root(tmp_path: Path, checkout: Path) -> Path:
    """A workspace with a store, and with no release yet."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "dvc.yaml").write_text("stages: {}\n")
    for name in ("params.yaml", ".gitignore"):
        (folder / name).write_text((checkout / name).read_text())
    return folder


def promote(root: Path, bundle: Path) -> str:
    identity = release_id(bundle)
    tag = register(bundle, identity, {}, home=Paths(root).bentoml_home)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    releases.add(engine, Release(identity, tag, "candidate", NOON, NOON))
    releases.promote(engine, identity)
    engine.dispose()
    return identity


@pytest.fixture
def serve(root: Path) -> Iterator[Callable[..., ASGIApp]]:
    """The service on the same store and the same model store."""
    parts: list[Any] = []

    def serving(*, streaming: bool = False) -> ASGIApp:
        measures, store, service = Measures(CollectorRegistry()), LiveStore(f"sqlite:///{Paths(root).store}"), make_app()
        find = partial(bundle_path, home=Paths(root).bentoml_home)
        changeover = Changeover(store, measures, partial(Recommender.open, streaming=streaming), find)
        writer = Writer(store, measures)
        parts.extend([store, writer, changeover])
        answers = Answering(store, writer, changeover, measures)
        service.state.parts = Parts(answers, measures, partial(pseudonym, key=KEY), True, ThreadPoolExecutor(2))
        return service

    yield serving
    for part in reversed(parts):
        part.close()


@pytest.fixture
def shop(root: Path, tmp_path: Path, serve: Callable[..., ASGIApp], monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    """Five items and a champion; ann and bob shopped, cat and dan were told of."""
    use_table_scorer(monkeypatch)
    promote(root, make_bundle_by_hand(tmp_path / "bundle", logits=np.array([0.0, 0.0, 0.0, 0.0, 3.0])))
    service = serve()
    told(service, "users", *[{"user_id": user} for user in USERS[1:]])
    bought(service, ("ann", "c"), ("ann", "e"), ("bob", "d"))
    return service


def told(service: ASGIApp, what: str, *rows: dict[str, Any]) -> None:
    assert ask(service, "PUT", f"/v1/{what}", {what: list(rows), "at": f"{AT}Z"}).json["rejected"] == []


def bought(service: ASGIApp, *pairs: tuple[str, str]) -> None:
    rows = [{"user_id": user, "event_type": "purchase", "item_id": item, "occurred_at": "2020-05-19T12:00:00Z"} for user, item in pairs]
    assert ask(service, "POST", "/v1/events", {"events": rows, "at": "2020-05-19T13:00:00Z"}).status == 200


def recommended(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["recommend", "--workspace", str(root), *words])


def written(root: Path, *words: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary, and the file's rows."""
    done = recommended(root, "--all", "--at", AT, "--json", *words)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    return summary, pq.read_table(summary["file"]).to_pylist()


def answered(service: ASGIApp, user: str, **fields: Any) -> list[dict[str, Any]]:
    """The same user's slate by HTTP, as rows of EXPOSURES without the request's id."""
    found = ask(service, "POST", "/v1/recommend", {"user_id": user, "place": "email", "at": f"{AT}Z", **fields}).json
    whole = {name: found[name] for name in ("policy", "release", "arm")} | {"user_id": pseudonym(user, KEY), "shown_at": NOON}
    return [{name: {**whole, **line}[name] for name in EXPOSURES.schema.names if name != "request_id"} for line in found["items"]]


def without_ids(rows: list[dict[str, Any]], user: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "request_id"} for row in rows if row["user_id"] == pseudonym(user, KEY)]


def logged(root: Path) -> list[dict[str, Any]]:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    rows: list[dict[str, Any]] = exposures.window(engine, NOON - timedelta(1), NOON + timedelta(1)).to_pylist()
    engine.dispose()
    return rows


def test_each_slate_is_the_one_that_the_service_answers_at_that_moment(root: Path, shop: ASGIApp) -> None:
    told(
        shop,
        "items",
        {"item_id": "a", "title": "A", "category_path": "x", "recommendable": False},
        {"item_id": "b", "title": "B", "category_path": "y"},
    )
    told(
        shop,
        "rules",
        {"rule_id": "not by mail", "kind": "exclude", "categories": ["y"], "places": ["email"]},
        {"rule_id": "home only", "kind": "exclude", "items": ["c"], "places": ["home"]},
        {"rule_id": "gold", "kind": "pin", "items": ["e"], "position": 1, "segments": ["tier=gold"]},
    )
    told(shop, "users", {"user_id": "bob", "attributes": {"tier": "gold"}})

    summary, rows = written(root, "--k", "3")

    assert {row["item_id"] for row in rows} == {"c", "d", "e"}  # a is withdrawn, b is not for mail
    for user in USERS:
        assert without_ids(rows, user) == answered(shop, user, k=3)
    assert [row["item_id"] for row in without_ids(rows, "bob")][:1] == ["e"]
    assert (summary["users"], summary["refused"], summary["slates"], summary["rows"], summary["degraded"]) == (4, 0, 4, 12, {"no_history": 2})
    assert {row["release"] for row in rows} == {summary["release"]}


def test_a_newcomer_is_written_what_the_segment_buys(root: Path, shop: ASGIApp) -> None:
    golden = [f"golden-{number}" for number in range(60)]
    told(shop, "users", *[{"user_id": user, "attributes": {"tier": "gold"}} for user in [*golden, "cat"]])
    bought(shop, *[(user, "e") for user in golden])
    _, rows = written(root, "--k", "2")
    assert [(row["item_id"], row["reason"]) for row in without_ids(rows, "cat")] == [("e", "popular_in_segment"), ("a", "popular_in_segment")]
    assert [(row["item_id"], row["reason"]) for row in without_ids(rows, "dan")] == [("a", "popular"), ("b", "popular")]


def test_no_slate_is_made_of_a_champion_that_is_not_signed_as_it_should_be(root: Path, shop: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    key = b"o" * 32
    monkeypatch.setenv(VERIFY, verify_key(key))
    done = recommended(root, "--all", "--at", AT)
    assert done.exit_code == 1
    assert "not signed" in done.output
    engine = open_store(f"sqlite:///{Paths(root).store}")
    champion = releases.champion(engine)
    engine.dispose()
    assert champion is not None
    vouch(champion, key, (), home=Paths(root).bentoml_home)
    assert written(root)[0]["release"] == champion.release_id


def test_slates_of_the_real_network_are_those_of_the_service(root: Path, tmp_path: Path, serve: Callable[..., ASGIApp]) -> None:
    write_random_bundle(tmp_path / "bundle", items=60, seed=3, dim=16)
    promote(root, tmp_path / "bundle")
    service, random = serve(streaming=True), np.random.default_rng(0)
    users = [f"user{number}" for number in range(12)]
    bought(service, *[(user, f"item{item:05d}") for user in users for item in random.integers(0, 60, int(random.integers(0, 30)) + 1)])

    _, rows = written(root)

    for user in users:
        ours, theirs = without_ids(rows, user), answered(service, user)
        assert len(ours) == 10
        assert [{**row, "score": None} for row in ours] == [{**row, "score": None} for row in theirs]
        assert [row["score"] for row in ours] == pytest.approx([row["score"] for row in theirs], abs=1e-4)


def test_who_refused_is_not_written_to(root: Path, shop: ASGIApp) -> None:
    told(shop, "users", {"user_id": "ann", "consent": {"personalise": False}}, {"user_id": "bob", "consent": {"advertise": False}})
    told(shop, "users", {"user_id": "cat", "consent": {"analyse": False}})

    by_mail, rows = written(root)
    assert {row["user_id"] for row in rows} == {pseudonym(user, KEY) for user in ("cat", "dan")}
    assert (by_mail["users"], by_mail["refused"], by_mail["slates"]) == (4, 2, 2)

    at_home, rows = written(root, "--place", "home")
    assert {row["user_id"] for row in rows} == {pseudonym(user, KEY) for user in ("bob", "cat", "dan")}
    assert (at_home["refused"], at_home["place"]) == (1, "home")


def test_who_refuses_while_slates_are_made_gets_none(root: Path, shop: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    told(shop, "users", {"user_id": "ann", "consent": {"personalise": False}})
    monkeypatch.setattr(everybody.consent, "refusing", lambda *_: set())  # nobody had refused when the page was read
    summary, rows = written(root)
    assert (summary["refused"], summary["slates"]) == (1, 3)
    assert pseudonym("ann", KEY) not in {row["user_id"] for row in rows}


def test_nothing_is_logged_unless_the_slates_are_shown_and_then_once(root: Path, shop: ASGIApp) -> None:
    _, unshown = written(root)
    assert logged(root) == []

    _, rows = written(root, "--shown")
    assert rows == unshown
    assert logged(root) == sorted(rows, key=lambda row: (row["request_id"], row["position"]))
    written(root, "--shown")
    assert len(logged(root)) == len(rows)


def test_the_same_again_gives_the_same_bytes_and_another_moment_other_requests(root: Path, shop: ASGIApp, tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(root, "--out", str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    _, rows = written(root)
    done = recommended(root, "--all", "--at", "2020-05-20T12:00:01", "--json")
    later = pq.read_table(json.loads(done.stdout)["file"]).to_pylist()
    assert len({row["request_id"] for row in rows + later}) == 8
    assert all(len(request_id) == 32 for request_id in {row["request_id"] for row in rows})


def test_the_file_fits_the_contract_and_says_what_it_is(root: Path, shop: ASGIApp, checkout: Path) -> None:
    summary, _ = written(root, "--k", "2")
    table = pq.read_table(summary["file"])
    EXPOSURES.check_key(EXPOSURES.check(table))
    users = table.column("user_id").to_pylist()
    assert users == sorted(users)
    assert table.column("position").to_pylist() == [1, 2] * 4
    assert json.loads(table.schema.metadata[b"footfall"]) == {"place": "email", "k": 2, "at": f"{AT}+00:00", "release": summary["release"]}
    assert Path(summary["file"]) == Paths(root).slates / "email-20200520T120000Z.parquet"
    ignored = subprocess.run(["git", "check-ignore", "-q", Paths(Path()).slates / "x.parquet"], cwd=checkout, check=False)
    assert ignored.returncode == 0  # a retrain commits what else lies in reports/


def test_a_limit_counts_slates_and_pages_and_tables_lose_nobody(root: Path, shop: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    _, everyone = written(root)
    told(shop, "users", {"user_id": "dan", "consent": {"advertise": False}})
    for size in (1, 2, 3):
        monkeypatch.setattr(everybody, "PAGE", size)
        monkeypatch.setattr(recommend, "_USERS_A_TABLE", size)
        _, rows = written(root)
        assert rows == [row for row in everyone if row["user_id"] != pseudonym("dan", KEY)]
        summary, rows = written(root, "--limit", "2")
        assert (summary["slates"], len({row["user_id"] for row in rows})) == (2, 2)


def test_a_shop_where_nothing_may_be_shown_gives_an_empty_file(root: Path, shop: ASGIApp) -> None:
    told(shop, "rules", {"rule_id": "closed", "kind": "exclude", "items": list("abcde")})
    summary, rows = written(root, "--shown")
    assert (rows, summary["slates"], summary["rows"]) == ([], 4, 0)
    assert summary["degraded"] == {"nothing_passes": 4}


def test_people_are_told_what_was_written_and_how_fast(root: Path, shop: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommend, "_SAY_EVERY_S", -1.0)
    done = recommended(root, "--all", "--at", AT)
    assert done.exit_code == 0
    assert "  4 of 4 users, " in done.stderr
    assert "users_per_second" in done.stdout
    assert f"--shown --at {AT}" in done.stdout
    assert not any(user in done.output for user in USERS)


def test_without_all_it_is_wrong_use(root: Path) -> None:
    assert recommended(root).exit_code == 2
    assert recommended(root, "--all", "--place", "kitchen").exit_code == 2


def test_without_a_champion_it_is_refused(root: Path) -> None:
    done = recommended(root, "--all", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"] == "ReleaseError"
    assert not Paths(root).slates.exists()


def test_a_damaged_champion_is_refused_by_what_is_wrong_with_it(root: Path, shop: ASGIApp) -> None:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    folder = bundle_path(str(releases.champion(engine).model_tag), home=Paths(root).bentoml_home)  # type: ignore[union-attr]
    engine.dispose()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    done = recommended(root, "--all", "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]) == (1, "BundleError")


def test_a_store_that_goes_away_leaves_no_file_of_popular_items(root: Path, shop: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(shoppers, "read_user", away)
    done = recommended(root, "--all", "--json")
    assert (done.exit_code, json.loads(done.stdout)["what"]) == (1, "histories cannot be read")
    assert list(Paths(root).slates.iterdir()) == []


def test_rules_that_cannot_be_read_are_not_taken_for_none(root: Path, shop: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> None:
        raise StoreError("gone")

    monkeypatch.setattr("footfall.store.rules.active", unreadable)
    done = recommended(root, "--all", "--json")
    assert (done.exit_code, json.loads(done.stdout)["what"]) == (1, "items and rules of the shop cannot be read")


def test_places_are_those_of_the_rules() -> None:
    assert tuple(place.value for place in recommend.Place) == PLACES
    assert everybody.table_of([]).schema.equals(EXPOSURES.schema)
    assert isinstance(everybody.table_of([]), pa.Table)
