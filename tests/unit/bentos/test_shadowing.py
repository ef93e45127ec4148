"""The shadow's slates: after the answer, seen by nobody, written nowhere, and never in anybody's way."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from bentos.measures import Measures
from bentos.slates import shadowing
from bentos.slates.asking import Shopper, SlateRequest
from bentos.slates.shadowing import CAPACITY, STALE_S, Shadowing
from bentos.slates.waiting import Patience
from footfall.recommender import Line, Recommender, Slate
from footfall.store import arms, exposures
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import AS_OF, Service
from tests.unit.bentos.test_answers_over_http import AT, bought, post_events, recommend
from tests.unit.bentos.test_arms import USERS, candidate, look, try_out
from tests.unit.footfall.small_shop import make_bundle_by_hand

REQUEST = SlateRequest(Shopper("u1", 0))


class Ranker:
    release_id = "r1"


def slate(*items: str, degraded: str | None = None) -> Slate:
    return Slate([Line(position, item, 1.0, "taste") for position, item in enumerate(items, 1)], "fused", degraded)


class Shadowed:
    """A shadow that answers as it is told."""

    def __init__(self, make: Callable[[], Slate | None]) -> None:
        self.registry = CollectorRegistry()
        self.made = 0
        self._ranker: Any = Ranker()
        self._slate = make
        self.shadowing = Shadowing(lambda: self._ranker, self._make, Measures(self.registry))

    def _make(self, *_: object) -> Slate | None:
        self.made += 1
        return self._slate()

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"footfall_shadow_{name}", {"release": "r1", **labels}) or 0.0

    def ended(self) -> float:
        return sum(self.count("slates_total", outcome=outcome) for outcome in ("done", "failed", "dropped"))

    def wait_for(self, number: int) -> None:
        until(lambda: self.ended() >= number)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


@pytest.fixture
def follow() -> Iterator[Callable[[Callable[[], Slate | None]], Shadowed]]:
    """Make one, and end it after the test."""
    all_of_them: list[Shadowed] = []

    def make(make: Callable[[], Slate | None]) -> Shadowed:
        all_of_them.append(Shadowed(make))
        return all_of_them[-1]

    yield make
    for one in all_of_them:
        one.shadowing.close()


def test_the_overlap_is_the_share_of_what_was_shown(follow: Callable[..., Shadowed]) -> None:
    shadow = follow(lambda: slate("b", "x", "c"))
    shadow.shadowing.start()
    shadow.shadowing.offer(REQUEST, slate("a", "b", "c", "d"))
    shadow.wait_for(1)
    assert (shadow.count("slates_total", outcome="done"), shadow.count("overlap_sum"), shadow.count("overlap_count")) == (1, 0.5, 1)
    assert [shadow.count("overlap_bucket", le=bound) for bound in ("0.4", "0.5")] == [0, 1]
    assert shadow.count("seconds_count") == 1


@pytest.mark.parametrize("wrong", [None, slate("a", degraded="scores_not_finite")])
def test_a_shadow_that_fails_is_counted_told_once_and_goes_on(
    follow: Callable[..., Shadowed], wrong: Slate | None, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Slate:
        if wrong is None:
            raise KeyError("secret words")
        return wrong

    shadow = follow(fail)
    shadow.shadowing.start()
    with caplog.at_level(logging.ERROR, "footfall.service"):
        for number in (1, 2):
            shadow.shadowing.offer(REQUEST, slate("a"))
            shadow.wait_for(number)
    assert (shadow.count("slates_total", outcome="failed"), shadow.count("overlap_count")) == (2, 0)
    assert [record.getMessage() for record in caplog.records] == ["shadow r1 failed on a request; further failures are counted only"]


def test_what_finds_no_room_is_dropped_and_nobody_waits(follow: Callable[..., Shadowed]) -> None:
    go = threading.Event()
    shadow = follow(lambda: slate("a") if go.wait(20) else None)
    shadow.shadowing.start()
    shadow.shadowing.offer(REQUEST, slate("a"))
    until(lambda: shadow.made == 1)
    for _ in range(CAPACITY + 5):
        shadow.shadowing.offer(REQUEST, slate("a"))
    assert shadow.count("slates_total", outcome="dropped") == 5
    go.set()


def test_what_waited_too_long_is_dropped(follow: Callable[..., Shadowed], monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = follow(lambda: slate("a"))
    shadow.shadowing.offer(REQUEST, slate("a"))
    monkeypatch.setattr(shadowing._Job, "stale", property(lambda job: time.monotonic() + STALE_S + 1 > job.offered + STALE_S))
    shadow.shadowing.start()
    shadow.wait_for(1)
    assert (shadow.made, shadow.count("slates_total", outcome="dropped")) == (0, 1)


def test_nothing_is_made_before_the_answer_has_been_given(follow: Callable[..., Shadowed]) -> None:
    patience = Patience(time.monotonic() + 60)
    shadow = follow(lambda: slate("a"))
    shadow.shadowing.start()
    patience.run(shadow.shadowing.offer, REQUEST, slate("a"))
    time.sleep(0.1)
    assert shadow.made == 0
    patience.ended = True
    shadow.wait_for(1)
    assert shadow.made == 1


def test_three_quarters_of_the_time_are_left_to_others(follow: Callable[..., Shadowed], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rested = iter(range(1000)), list[float]()
    shadow = follow(lambda: slate("a"))
    monkeypatch.setattr(shadow.shadowing._stop, "wait", rested.append)
    monkeypatch.setattr("bentos.slates.shadowing.time", SimpleNamespace(monotonic=time.monotonic, perf_counter=lambda: float(next(clock))))
    shadow.shadowing.start()
    shadow.shadowing.offer(REQUEST, slate("a"))
    until(lambda: len(rested) == 1)
    # the clock is read when the work begins, around the slate, and when the work ends: three seconds later
    assert rested == [9.0]


def test_an_end_waits_for_nothing(follow: Callable[..., Shadowed]) -> None:
    shadow = follow(lambda: slate("a"))
    shadow.shadowing.start()
    with_nobody_to_answer = Patience(time.monotonic() + 60)
    with_nobody_to_answer.run(shadow.shadowing.offer, REQUEST, slate("a"))
    shadow.shadowing.close()
    assert not shadow.shadowing._thread.is_alive()


@pytest.fixture
def shadowed(service: Service) -> Iterator[str]:
    """The id of the shadow, bundle `b`, in a service that makes its slates."""
    service.changeover.close()
    identity = candidate(service, "b")
    arms.begin_shadow(service.engine, identity, AS_OF)
    look(service)
    service.answering._shadowing.start()
    yield identity
    service.answering._shadowing.close()


def counted(service: Service, shadow: str, outcome: str = "done") -> float:
    page = service.measures.page()[0].decode()
    line = f'footfall_shadow_slates_total{{outcome="{outcome}",release="{shadow}"}} '
    return next((float(text.removeprefix(line)) for text in page.splitlines() if text.startswith(line)), 0.0)


def test_a_shadow_follows_the_champions_users_and_leaves_no_exposure(service: Service, shadowed: str) -> None:
    post_events(service, bought("c"))
    champion = recommend(service, user_id="ann", k=3).json
    until(lambda: counted(service, shadowed) == 1)
    assert champion["arm"] == "champion"
    page = service.measures.page()[0].decode()
    # c was bought before, d is bought with it, and then each release has a favourite of its own: e here, d there, so that a follows
    assert [line["item_id"] for line in champion["items"]] == ["c", "d", "e"]
    assert f'footfall_shadow_overlap_sum{{release="{shadowed}"}} {2 / 3}' in page
    assert f'footfall_slates_total{{arm="champion",degraded="no",release="{shadowed}"}}' not in page
    service.written()
    assert (exposures.count_slates(service.engine), exposures.count_slates(service.engine, shadowed)) == (1, 0)


def test_nobody_in_particular_other_doors_and_who_refused_are_not_followed(service: Service, shadowed: str) -> None:
    assert ask(service.app, "PUT", "/v1/users", {"users": [{"user_id": "bob", "consent": {"personalise": False}}]}).status == 200
    recommend(service)
    recommend(service, user_id="bob")
    for path, body in (("home", {"user_id": "ann"}), ("similar", {"item_id": "a"}), ("score", {"user_id": "ann", "item_ids": ["a"]})):
        assert ask(service.app, "POST", f"/v1/{path}", {"at": AT, **body}).status == 200
    recommend(service, user_id="ann")
    until(lambda: counted(service, shadowed) == 1)
    assert service.answering._shadowing._waiting.empty()
    assert counted(service, shadowed, "dropped") == 0


def test_whom_the_canary_answers_the_shadow_does_not_follow(service: Service, shadowed: str) -> None:
    make_bundle_by_hand(service.bundles / "c", logits=np.array([0.0, 0.0, 3.0, 0.0, 0.0]))
    try_out(service, "c")
    answered = Counter(recommend(service, user_id=user).json["arm"] for user in USERS)
    assert min(answered["canary"], answered["champion"]) > 0
    until(lambda: counted(service, shadowed) + counted(service, shadowed, "dropped") == answered["champion"])
    assert service.answering._shadowing._waiting.empty()


def test_a_shadow_that_fails_or_is_slow_changes_no_answer(service: Service, shadowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, go = Recommender.recommend, threading.Event()

    def recommend_or_fail(ranker: Recommender, *rest: Any, **named: Any) -> Any:
        if ranker.release_id == shadowed:
            go.wait(20)
            raise MemoryError
        return whole(ranker, *rest, **named)

    monkeypatch.setattr(Recommender, "recommend", recommend_or_fail)
    for user in USERS:
        assert recommend(service, user_id=user).status == 200
    assert counted(service, shadowed, "failed") == 0
    go.set()
    until(lambda: counted(service, shadowed, "failed") > 0)


def test_nobody_who_was_erased_since_the_answer_is_followed_by_what_was_read(
    service: Service, shadowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, go, read = Recommender.encode, threading.Event(), list[int]()

    def encode(ranker: Recommender, histories: Any) -> Any:
        if ranker.release_id == shadowed:
            read.append(len(histories[0].item_ids))
        return whole(ranker, histories)

    monkeypatch.setattr(Recommender, "encode", encode)
    monkeypatch.setattr(Shadowing, "_wait_for_the_answer", lambda *_: go.wait(20))
    post_events(service, bought("c"))
    assert recommend(service, user_id="ann").json["degraded"] is None
    assert ask(service.app, "DELETE", "/v1/users/ann").status == 202
    go.set()
    until(lambda: counted(service, shadowed) == 1)
    assert read == [0]
