"""Champion, canary and shadow in one service: who is answered by whom, and what happens when one of them cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bentos.releases.opening import RETRY_S
from footfall.bundle import release_id
from footfall.contracts import C
from footfall.core.assignment import takes_part
from footfall.pseudonyms import pseudonym
from footfall.recommender import Recommender
from footfall.store import arms, erasures, exposures, releases
from footfall.store.releases import Release
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import AS_OF, KEY, Service
from tests.unit.bentos.test_answers_over_http import AT, NOON, bought, post_events, recommend, true_to
from tests.unit.footfall.small_shop import make_bundle_by_hand

SHARE = 0.5
USERS = [f"user {number}" for number in range(24)]


def candidate(service: Service, name: str) -> str:
    identity = release_id(service.bundles / name)
    releases.add(service.engine, Release(identity, name, "candidate", AS_OF, AS_OF))
    return identity


def look(service: Service) -> None:
    """What the service does each second."""
    service.changeover.look()
    service.changeover.arms.open_wanted()


def try_out(service: Service, name: str = "b", share: float = SHARE) -> str:
    identity = candidate(service, name)
    arms.begin_canary(service.engine, identity, share, AS_OF)
    look(service)
    return identity


def champion_of(service: Service) -> str:
    found = service.changeover.ranker
    assert found is not None
    return found.release_id


def mine(user: str, canary: str, share: float = SHARE) -> bool:
    return takes_part(pseudonym(user, KEY), canary, share)


def metrics(service: Service) -> str:
    return service.measures.page()[0].decode()


@pytest.fixture
def canary(service: Service) -> str:
    service.changeover.close()  # so that only the test looks
    return try_out(service)


def canary_user(canary: str) -> str:
    return next(user for user in USERS if mine(user, canary))


def test_a_canarys_users_see_its_release_everywhere_and_all_others_the_champions(service: Service, canary: str) -> None:
    champion, asked = champion_of(service), {}
    for user in USERS:
        expected = (canary, "canary") if mine(user, canary) else (champion, "champion")
        slate = true_to("RecommendAnswer", recommend(service, user_id=user))
        page = true_to("HomeAnswer", ask(service.app, "POST", "/v1/home", {"user_id": user, "at": AT}))
        scores = true_to("ScoreAnswer", ask(service.app, "POST", "/v1/score", {"user_id": user, "at": AT, "item_ids": ["a"]}))
        assert [(one["release"], one["arm"]) for one in (slate, page)] == [expected] * 2
        assert scores["release"] == expected[0]
        asked |= dict.fromkeys([slate["request_id"], *(row["request_id"] for row in page["rows"])], expected)
    assert len(set(asked.values())) == 2
    service.written()
    shown = exposures.window(service.engine, NOON, NOON + timedelta(1)).to_pylist()
    assert {row[C.REQUEST_ID]: (row[C.RELEASE], row[C.ARM]) for row in shown} == asked
    page = metrics(service)
    assert f'footfall_slates_total{{arm="canary",degraded="no_history",release="{canary}"}}' in page
    canarys = sum(mine(user, canary) for user in USERS)
    assert f'footfall_slate_seconds_count{{release="{canary}"}} {canarys}.0' in page
    for release, answered in ((canary, canarys), (champion, len(USERS) - canarys)):
        for route in ("recommend", "home", "score"):
            assert f'footfall_http_requests_total{{release="{release}",route="{route}",status="200"}} {answered}.0' in page
            assert f'footfall_http_request_seconds_count{{release="{release}",route="{route}"}} {answered}.0' in page


def test_nobody_in_particular_and_what_belongs_to_items_is_the_champions(service: Service) -> None:
    service.changeover.close()
    try_out(service, share=0.999_999)
    for path, body in (
        ("recommend", {}), ("home", {}), ("score", {"item_ids": ["a"]}), ("similar", {"item_id": "a"}), ("complementary", {"item_ids": ["a"]}),
    ):  # fmt: skip
        assert ask(service.app, "POST", f"/v1/{path}", {"at": AT, **body}).json["release"] == champion_of(service)


def test_a_larger_share_takes_users_in_and_lets_none_go_and_a_restart_changes_nothing(start: Callable[..., Service]) -> None:
    service = start()
    service.changeover.close()
    canary = try_out(service, share=0.2)
    taken = set()
    for share in (0.2, 0.5, 0.8):
        arms.begin_canary(service.engine, canary, share, AS_OF)
        look(service)
        now = {user for user in USERS if recommend(service, user_id=user).json["arm"] == "canary"}
        assert now == {user for user in USERS if mine(user, canary, share)} > taken
        taken = now
    again = start(champion=None)
    look(again)
    assert {user for user in USERS if recommend(again, user_id=user).json["arm"] == "canary"} == taken


def test_an_arm_that_ends_or_is_refused_is_let_go_at_the_next_look(service: Service, canary: str) -> None:
    user = canary_user(canary)
    assert recommend(service, user_id=user).json["release"] == canary
    assert f'footfall_arm{{arm="canary",release="{canary}"}} 1.0' in metrics(service)
    releases.refuse(service.engine, canary)
    look(service)
    assert recommend(service, user_id=user).json["release"] == champion_of(service)
    assert service.changeover.arms.rankers == []
    assert f'footfall_arm{{arm="canary",release="{canary}"}} 0.0' in metrics(service)


def test_a_promoted_canary_serves_at_once_because_it_is_open(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (opened,) = service.changeover.arms.rankers
    monkeypatch.setattr(service.changeover._opener, "open_ranker", None)  # nothing can be opened any more
    releases.promote(service.engine, canary)
    look(service)
    assert service.changeover.ranker is opened
    assert service.changeover.arms.rankers == []
    assert {recommend(service, user_id=user).json["arm"] for user in USERS} == {"champion"}


def test_a_shadow_that_becomes_canary_is_not_opened_again(service: Service) -> None:
    service.changeover.close()
    identity = candidate(service, "b")
    arms.begin_shadow(service.engine, identity, AS_OF)
    look(service)
    opened = service.changeover.arms.shadow
    assert opened is not None
    arms.begin_canary(service.engine, identity, SHARE, AS_OF)
    service.changeover.look()
    assert service.changeover.arms.rankers == [opened]
    assert service.changeover.arms.shadow is None


def test_no_more_than_three_releases_are_open(service: Service, canary: str) -> None:
    for name in ("c", "d"):
        make_bundle_by_hand(service.bundles / name, logits=np.array([0.0, 0.0, 3.0, 0.0, float(name == "d")]))
        arms.begin_shadow(service.engine, candidate(service, name), AS_OF)
        look(service)
        assert [ranker.release_id for ranker in service.changeover.arms.rankers] == [canary, release_id(service.bundles / name)]
        arms.end(service.engine, "shadow")


def test_an_arm_that_cannot_be_opened_changes_nothing_says_so_and_is_tried_again(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.changeover.close()
    weights = service.bundles / "b" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with caplog.at_level(logging.ERROR, "footfall.service"):
        canary = try_out(service)
        look(service)
    user = canary_user(canary)
    assert recommend(service, user_id=user).json["release"] == champion_of(service)
    assert [record.getMessage() for record in caplog.records] == [f"release {canary} cannot be canary; the champion goes on"]
    assert f'footfall_arm_changes_total{{arm="canary",outcome="failed",release="{canary}"}} 1.0' in metrics(service)
    told = true_to("Release", ask(service.app, "GET", "/v1/release"))
    (arm,) = told["arms"]
    assert told["failed"] is None
    assert arm["failed"].startswith(f"{canary}: ")
    assert {name: arm[name] for name in ("arm", "release", "share", "open")} == {"arm": "canary", "release": canary, "share": SHARE, "open": False}

    weights.write_bytes(whole)
    look(service)
    assert not service.changeover.arms.rankers
    later = time.monotonic() + RETRY_S
    monkeypatch.setattr("bentos.releases.opening.time", SimpleNamespace(monotonic=lambda: later))
    look(service)
    (arm,) = ask(service.app, "GET", "/v1/release").json["arms"]
    assert (arm["open"], arm["failed"]) == (True, None)
    assert recommend(service, user_id=user).json["release"] == canary


def test_what_is_wanted_no_more_when_it_is_open_at_last_is_not_taken(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.changeover.close()
    make_bundle_by_hand(service.bundles / "c", logits=np.array([0.0, 0.0, 3.0, 0.0, 0.0]))
    first, second = candidate(service, "b"), candidate(service, "c")
    whole = service.changeover._opener.open_ranker

    def change_our_mind(folder: Path) -> Recommender:
        arms.end(service.engine, "canary")
        arms.begin_canary(service.engine, second, SHARE, AS_OF)
        service.changeover.look()
        return whole(folder)

    arms.begin_canary(service.engine, first, SHARE, AS_OF)
    with monkeypatch.context() as patch:
        patch.setattr(service.changeover._opener, "open_ranker", change_our_mind)
        look(service)
    assert service.changeover.arms.rankers == []
    look(service)
    assert [ranker.release_id for ranker in service.changeover.arms.rankers] == [second]


def broken(monkeypatch: pytest.MonkeyPatch, canary: str, fail: Callable[[Any], Any]) -> None:
    """Let the canary's methods that answer do something else."""
    for name in ("recommend", "score", "scores", "explain"):
        whole = getattr(Recommender, name)

        def instead(ranker: Recommender, *arguments: Any, whole: Any = whole, **named: Any) -> Any:
            found = whole(ranker, *arguments, **named)
            return fail(found) if ranker.release_id == canary else found

        monkeypatch.setattr(Recommender, name, instead)


def raising(kind: type[Exception]) -> Callable[[Any], Any]:
    def fail(_: Any) -> Any:
        raise kind("secret words")

    return fail


@pytest.mark.parametrize("kind", [ValueError, KeyError, MemoryError, AssertionError, AttributeError])
def test_a_canary_that_fails_harms_nobody_and_is_counted(
    service: Service, canary: str, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    broken(monkeypatch, canary, raising(kind))
    champion, user = champion_of(service), canary_user(canary)
    others = [recommend(service, user_id=user).json for user in USERS if not mine(user, canary)]
    slate = true_to("RecommendAnswer", recommend(service, user_id=user, explain=True))
    page = true_to("HomeAnswer", ask(service.app, "POST", "/v1/home", {"user_id": user, "at": AT}))
    scores = true_to("ScoreAnswer", ask(service.app, "POST", "/v1/score", {"user_id": user, "at": AT, "item_ids": ["a"]}))
    assert {one["release"] for one in (slate, page, scores, *others)} == {champion}
    assert {slate["arm"], page["arm"]} == {"champion"}
    assert f'footfall_canary_failures_total{{release="{canary}"}} 3.0' in metrics(service)
    service.written()
    shown = exposures.window(service.engine, NOON, NOON + timedelta(1)).to_pylist()
    assert {(row[C.RELEASE], row[C.ARM]) for row in shown} == {(champion, "champion")}


def test_a_canary_whose_scores_are_no_numbers_is_not_shown(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = canary_user(canary)
    post_events(service, bought("c", user=user))
    (ranker,) = service.changeover.arms.rankers
    monkeypatch.setattr(ranker._reader.scorer, "_logits", np.full(5, np.nan, np.float32))
    for path, body in (("recommend", {}), ("home", {}), ("score", {"item_ids": ["a"]})):
        answer = ask(service.app, "POST", f"/v1/{path}", {"user_id": user, "at": AT, **body}).json
        assert (answer["release"], answer["degraded"]) == (champion_of(service), None)
    assert f'footfall_canary_failures_total{{release="{canary}"}} 3.0' in metrics(service)


def test_an_explanation_that_fails_leaves_no_exposure_of_the_canary(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Recommender.explain
    fail = raising(IndexError)
    monkeypatch.setattr(Recommender, "explain", lambda ranker, *rest: fail(0) if ranker.release_id == canary else whole(ranker, *rest))
    answer = recommend(service, user_id=canary_user(canary), explain=True).json
    assert answer["arm"] == "champion"
    service.written()
    shown = exposures.window(service.engine, NOON, NOON + timedelta(1)).to_pylist()
    assert {(row[C.REQUEST_ID], row[C.ARM]) for row in shown} == {(answer["request_id"], "champion")}


def test_a_champions_explanation_does_not_wait_for_the_canarys(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, begun, go = Recommender.explain, threading.Event(), threading.Event()
    theirs = [canary_user(canary), next(user for user in USERS if not mine(user, canary))]
    post_events(service, *(bought("c", user=user) for user in theirs))

    def slowly(ranker: Recommender, *rest: Any) -> Any:
        if ranker.release_id == canary:
            begun.set()
            assert go.wait(30)
        return whole(ranker, *rest)

    monkeypatch.setattr(Recommender, "explain", slowly)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(recommend, service, user_id=theirs[0], explain=True)
        assert begun.wait(30)
        quick = recommend(service, user_id=theirs[1], explain=True).json
        assert not slow.done()
        go.set()
        answers = [slow.result().json, quick]
    assert [answer["arm"] for answer in answers] == ["canary", "champion"]
    assert all(answer["because"] for answer in answers)


def test_who_is_not_waited_for_is_no_fault_of_the_canary(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, canary, raising(TimeoutError))
    assert recommend(service, user_id=canary_user(canary)).status == 503
    assert f'footfall_canary_failures_total{{release="{canary}"}}' not in metrics(service)


def test_no_request_fails_while_arms_come_and_go(service: Service) -> None:
    service.changeover.close()
    identity, stop, found = candidate(service, "b"), threading.Event(), Counter[tuple[int, str, bool]]()

    def shop(user: str) -> None:
        while not stop.is_set():
            answer = recommend(service, user_id=user)
            found[answer.status, answer.json["arm"], answer.json["release"] == identity] += 1

    with ThreadPoolExecutor(3) as threads:
        shopping = [threads.submit(shop, user) for user in (canary_user(identity), *[user for user in USERS if not mine(user, identity)][:2])]
        for _ in range(3):
            for begin in (arms.begin_shadow, lambda *words: arms.begin_canary(words[0], words[1], SHARE, words[2])):
                begin(service.engine, identity, AS_OF)
                look(service)
            arms.end(service.engine, "canary")
            look(service)
        arms.begin_canary(service.engine, identity, SHARE, AS_OF)
        look(service)
        recommend(service, user_id=canary_user(identity))
        stop.set()
        for one in shopping:
            one.result(60)
    assert set(found) <= {(200, "champion", False), (200, "canary", True)}
    assert recommend(service, user_id=canary_user(identity)).json["release"] == identity


def test_what_was_read_of_histories_goes_from_all_that_are_open(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle_by_hand(service.bundles / "c", logits=np.array([0.0, 0.0, 3.0, 0.0, 0.0]))
    shadow = candidate(service, "c")
    arms.begin_shadow(service.engine, shadow, AS_OF)
    look(service)
    forgotten: list[str] = []
    monkeypatch.setattr(Recommender, "forget", lambda ranker: forgotten.append(ranker.release_id))
    erasures.begin(service.engine, "somebody", datetime(2020, 5, 20, tzinfo=UTC))
    for _ in range(4):
        service.changeover.look()
    assert Counter(forgotten) == dict.fromkeys([champion_of(service), canary, shadow], 2)


def test_the_store_may_be_away_and_the_arms_stay(service: Service, canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.store, "_away_until", float("inf"))
    look(service)
    answer = recommend(service, user_id=canary_user(canary)).json
    assert (answer["release"], answer["degraded"]) == (canary, "history_unavailable")


def test_a_slate_made_of_another_vocabulary_obeys_the_same_rules(service: Service) -> None:
    service.changeover.close()
    make_bundle_by_hand(service.bundles / "c", items=7)
    canary = try_out(service, "c")
    assert ask(service.app, "PUT", "/v1/rules", {"rules": [{"rule_id": "hide", "kind": "exclude", "items": ["a", "g"]}]}).status == 200
    lengths = {len(recommend(service, user_id=user).json["items"]): user for user in USERS}
    assert sorted(lengths) == [4, 5]
    assert mine(lengths[5], canary)
