"""The race of the service: what its rows say, what is asked of whom, and that the peer gives the same JSON. Nothing is timed here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import open_loop, reading_on, serve
from benchmarks.contestants import serve_eager
from benchmarks.race import Row
from benchmarks.random_bundle import write_random_bundle
from footfall.core.streaming import StreamingModel
from footfall.recommender import History, Recommender
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.streaming_service import streaming_service

ITEMS = 150


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("race") / "bundle"
    write_random_bundle(folder, items=ITEMS, seed=1, dim=16)
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The peer sets it; others want theirs back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Idle(serve.Server):
    """A server that nobody has started."""

    def __init__(self) -> None:
        self.port, self.first_answer_s = 1, 5.0

    def memory_mib(self) -> float:
        return 300.0


def loaded(monkeypatch: pytest.MonkeyPatch, p99: dict[float, float], refused_from: float = 1e9) -> list[float]:
    """Every load answers at once, with these p99; the rates that were asked for."""
    asked: list[float] = []

    def load(_server: serve.Server, rate: float, seconds: float, bodies: list[dict[str, Any]]) -> dict[str, Any]:
        asked.append(rate)
        sent = round(rate * seconds)
        statuses = {"200": sent} if rate < refused_from else {"200": sent - 1, "503": 1}
        return {"sent": sent, "statuses": statuses, "p99": p99.get(rate, 1.0) + bodies[0]["k"] / 1000}

    monkeypatch.setattr(serve, "load", load)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return asked


def test_rows_are_medians_of_the_rounds_ours_over_theirs() -> None:
    rounds = {"footfall": (8.0, 9.0, 100.0), "eager": (10.0, 8.0, 9.0)}
    steady = {name: [{"p99": one, "p50": one / 2, "cpu_ms": one / 4} for one in found] for name, found in rounds.items()}
    peaks = {"footfall": [300.0, 400.0, 500.0], "eager": [200.0, 150.0, 200.0]}
    facts = {name: {"first answer, s": 5.0, "memory, MiB": mib} for name, mib in (("footfall", 601.0), ("eager", 200.0))}

    p99, p50, cpu, best, start, memory = serve.compare(steady, peaks, facts)

    assert (p99.ours, p99.peer, p99.target, p99.holds) == (9.0, 9.0, 1.25, True)
    assert (p50.ratio, cpu.ratio, p50.holds) == (1.0, 1.0, None)
    assert (best.ours, best.peer, best.ratio, best.holds) == (400.0, 200.0, 2.0, True)
    assert (start.what, start.ours, start.holds) == ("start to first answer, one worker", 5.0, True)
    assert (memory.what, memory.ours, memory.holds) == ("memory of a worker", 601.0, False)


def test_the_highest_rate_is_the_last_that_keeps_within_50_ms_and_one_miss_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = loaded(monkeypatch, {200: 60.0, 400: 51.0, 500: 70.0})
    assert serve.peak(Idle(), [{"k": 10}]) == 300.0
    assert asked == [100, 150, 200, 300, 400, 500]


def test_a_rate_at_which_one_is_refused_is_not_kept_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = loaded(monkeypatch, {}, refused_from=150)
    assert serve.peak(Idle(), [{"k": 10}]) == 100.0
    assert asked == [100, 150, 200]


def test_a_load_goes_on_with_the_user_after_the_last_so_that_everybody_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def drive(_port: int, rate: float, seconds: float, _connections: int, bodies: list[dict[str, int]]) -> dict[str, int]:
        sent = round(rate * seconds)
        asked.extend(bodies[n % len(bodies)]["n"] for n in range(sent))
        return {"sent": sent}

    monkeypatch.setattr(serve, "drive_apart", drive)
    server, bodies = Idle(), [{"n": n} for n in range(5)]
    for rate in (3, 4, 6):
        serve.load(server, rate, 1, bodies)
    assert asked == [n % 5 for n in range(13)]


def full_path(monkeypatch: pytest.MonkeyPatch, bundle: Path, named: str | None) -> list[Row]:
    @contextmanager
    def footfall(_root: Path, _shop: serve.Shop) -> Iterator[serve.Server]:
        yield Idle()

    monkeypatch.setattr(serve, "_footfall", footfall)
    monkeypatch.setattr(serve, "stored", lambda _port, bodies: [{"user_id": f"user{n}", "k": 10} for n in range(len(bodies))])
    return serve.full_path(Path(), serve.Shop.of(bundle, bundle), named)


def test_the_full_path_is_asked_for_slates_of_10_and_of_100_within_50_ms(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    loaded(monkeypatch, {50: 49.95, 200: 60.0, 300: 60.0})
    ten, hundred, best = full_path(monkeypatch, bundle, None)
    assert (ten.what, ten.target, ten.holds) == ("the full path, store and exposures on: p99 at 50 a second", 50.0, True)
    assert (hundred.what, hundred.target, hundred.holds) == (f"{ten.what}, slates of 100", 50.0, False)
    assert (best.ours, best.target) == (150.0, None)


def test_of_a_bundle_that_is_named_start_and_memory_are_told_too(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    loaded(monkeypatch, {})
    start, memory, *rows = full_path(monkeypatch, bundle, "r1 of 150 items")
    assert (start.what, start.ours, start.target) == ("r1 of 150 items, start to first answer, one worker", 5.0, 12.0)
    assert (memory.what, memory.ours, memory.target) == ("r1 of 150 items, memory of a worker", 300.0, pytest.approx(572.2, abs=0.1))
    assert [row.what.startswith("r1 of 150 items, the full path") for row in rows] == [True] * 3


def test_a_bundle_is_an_option_and_no_bundle_is_said_before_the_race(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    serve.add_options(parser)
    assert parser.parse_args([]).bundle is None
    with pytest.raises(Exception, match="vocabulary"):
        serve.run(tmp_path, False, parser.parse_args(["--bundle", str(tmp_path / "none")]))
    assert not (tmp_path / ".footfall" / "bench" / "serve").exists()


def test_histories_are_of_the_bundles_items_and_in_the_order_of_time(bundle: Path) -> None:
    shop = serve.Shop.of(bundle, bundle)
    known = set(Recommender.open(bundle).vocabulary.item_ids)
    events = shop.bodies[7]["events"]
    assert (shop.items, len(shop.bodies), len(events)) == (ITEMS, serve.USERS, serve.EVENTS)
    assert {event["item_id"] for event in events} <= known
    assert events == sorted(events, key=lambda event: event["occurred_at"])
    assert shop.bodies[0] != shop.bodies[1]


def test_the_peer_gives_the_fields_that_ours_gives(bundle: Path, tmp_path: Path, one_thread: None) -> None:
    body = open_loop.histories([f"item{n:05d}" for n in range(ITEMS)], users=1, events=50)[0]
    with streaming_service(f"sqlite:///{tmp_path / 'store.db'}", bundle) as app:
        ours = ask(app, "POST", "/v1/recommend", body).json
    theirs = ask(serve_eager.make_app(bundle), "POST", "/v1/recommend", body).json
    assert list(theirs) == list(ours)
    assert [list(line) for line in theirs["items"]] == [list(line) for line in ours["items"]]
    assert (theirs["release"], theirs["arm"], theirs["degraded"]) == (ours["release"], ours["arm"], None)


def test_the_peer_computes_the_same_network(bundle: Path) -> None:
    body = open_loop.histories([f"item{n:05d}" for n in range(ITEMS)], users=1, events=50)[0]
    events = body["events"]
    at = [round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1e6) for event in events]
    ranker = Recommender.open(bundle, streaming=True)
    model = StreamingModel(ranker.bundle.config, ranker.bundle.weights)
    history = History([event["item_id"] for event in events], [event["event_type"] for event in events], at)
    ours = model.scores(model.read(ranker.encode([history])))
    theirs = dict(serve_eager.Eager(bundle).slate(serve_eager.Ask(events=events, k=100)))
    assert list(theirs) == [ranker.vocabulary.item_ids[n] for n in np.argsort(-ours, kind="stable")[:100]]
    assert list(theirs.values()) == pytest.approx(np.sort(ours)[::-1][:100].tolist(), abs=1e-4)


def test_reading_on_says_how_far_the_scores_are_apart_at_any_length(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EVENTS", (5, 20)), ("_USERS", 2), ("_ROUNDS", 1)):
        monkeypatch.setattr(reading_on, name, value)
    first, second, apart = reading_on.reading_on(bundle)
    assert (first.target, second.target) == (0.3, None)
    assert (apart.target, apart.at_least, apart.holds) == (1e-5, False, True)
    assert apart.notes is not None
    assert list(apart.notes) == ["5", "20"]
    assert apart.ours == max(apart.notes.values())
