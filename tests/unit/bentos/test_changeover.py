from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bentos.releases.opening import warm_up
from footfall.bundle import release_id
from footfall.recommender import Line, Recommender, Slate
from footfall.store import erasures, releases
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service
from tests.unit.footfall.small_shop import make_bundle_by_hand


def serving(service: Service) -> str:
    found: str = ask(service.app, "POST", "/v1/recommend", {}).json["release"]
    return found


def test_a_new_champion_serves_within_a_moment_and_a_rollback_as_well(service: Service) -> None:
    first, second = serving(service), service.promote("b")
    deadline = time.monotonic() + 10
    while serving(service) != second and time.monotonic() < deadline:
        time.sleep(0.05)
    assert serving(service) == second
    releases.rollback(service.engine)
    service.changeover.look()
    assert serving(service) == first


def test_a_champion_that_is_damaged_changes_nothing_and_says_so(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    first = serving(service)
    weights = service.bundles / "b" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(bytes(raw))
    with caplog.at_level(logging.ERROR, "footfall.service"):
        second = service.promote("b")
        service.changeover.look()
        service.changeover.look()
    assert serving(service) == first
    assert second in ask(service.app, "GET", "/v1/release").json["failed"]
    assert len([record for record in caplog.records if "cannot be served" in record.message]) == 1
    page = ask(service.app, "GET", "/metrics").body.decode()
    assert f'footfall_changeovers_total{{outcome="failed",release="{second}"}} 1.0' in page


def test_a_champion_that_is_nowhere_changes_nothing(service: Service, tmp_path: Path) -> None:
    first = serving(service)
    elsewhere = make_bundle_by_hand(tmp_path / "elsewhere", logits=np.array([1.0, 0, 0, 0, 0]))
    releases.add(service.engine, releases.Release(release_id(elsewhere), "missing", "candidate", *[releases.from_us(0)] * 2))
    releases.promote(service.engine, release_id(elsewhere))
    service.changeover.look()
    assert serving(service) == first


def test_the_first_release_of_a_waiting_service_makes_it_ready(start: Callable[..., Service]) -> None:
    service = start(champion=None)
    assert service.changeover.ranker is None
    first = service.promote("a")
    service.changeover.look()
    assert serving(service) == first


def test_a_ranker_without_a_usable_slate_is_not_warmed_up() -> None:
    class Silent:
        release_id = "r0"
        history_events = 5

        def __init__(self, slate: Slate) -> None:
            self.slate = slate

        def encode(self, histories: object) -> object:
            return histories

        def recommend(self, *_: object) -> list[Slate]:
            return [self.slate]

    with pytest.raises(ValueError, match="no usable slate"):
        warm_up(Silent(Slate([], "fused")))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scores_not_finite"):
        warm_up(Silent(Slate([Line(1, "a", 0.5, "taste")], "fused", "scores_not_finite")))  # type: ignore[arg-type]


def test_what_was_read_of_histories_goes_with_whoever_is_erased(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(Recommender, "forget", lambda ranker: forgotten.append(ranker.release_id))
    for _ in range(2):
        service.changeover.look()
    assert forgotten == []
    erasures.begin(service.engine, "somebody", datetime(2020, 5, 20, tzinfo=UTC))
    for _ in range(4):
        service.changeover.look()
    assert forgotten == [serving(service)] * 2
