from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import bentos.slates.ranking
from bentos.slates.ranking import Queue, Ranking
from footfall.core.sequences import Sequences
from footfall.recommender import History, Line, Slate, Wishes


class Recorder:
    """A ranker that answers with what it was asked, holds the first slate until it is let go, and fails on a history that holds "bad"."""

    history_events = 10
    reads_signals = False

    def __init__(self, release_id: str = "r1", *, held: bool = False) -> None:
        self.release_id = release_id
        self.asked: list[str] = []
        self.entered, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def encode(self, histories: Sequence[History]) -> Sequences:
        self.asked += [str(history.item_ids[0]) for history in histories]
        none = np.zeros(0, np.int64)
        return Sequences(none.astype(np.int32), none.astype(np.int8), none, np.zeros(len(histories) + 1, np.int64))

    def recommend(self, sequences: Sequences, at_us: int, wishes: Wishes, policy: str) -> list[Slate]:
        item = self.asked[-1]
        self.entered.set()
        assert self.go.wait(10)
        if item == "bad":
            raise ValueError("a bad history")
        told = f"{item}@{at_us} without {','.join(wishes.exclude)}"
        return [Slate([Line(n, told, 1.0, self.release_id) for n in range(1, wishes.k + 1)], policy)]


def history(item: str) -> History:
    return History([item], ["view"], [1])


def test_each_gets_its_own_slate_in_the_order_of_asking() -> None:
    ranking, ranker = Ranking(), Recorder(held=True)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(ranking.rank, ranker, history("first"), 0, Wishes(1))
        assert ranker.entered.wait(10)
        others = []
        for n in range(1, 9):
            others.append(threads.submit(ranking.rank, ranker, history(f"i{n}"), n, Wishes(n, [f"x{n}"])))
            while len(ranking._queue) < n:
                pass
        ranker.go.set()
        assert first.result().items[0].item_id == "first@0 without "
        for n, other in enumerate(others, 1):
            slate = other.result()
            assert [line.position for line in slate.items] == list(range(1, n + 1))
            assert {line.item_id for line in slate.items} == {f"i{n}@{n} without x{n}"}
    assert ranker.asked == ["first", *(f"i{n}" for n in range(1, 9))]


def test_one_bad_history_spoils_no_other_slate() -> None:
    ranking, ranker = Ranking(), Recorder(held=True)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(ranking.rank, ranker, history("first"), 0, Wishes(1))
        assert ranker.entered.wait(10)
        good, bad = (threads.submit(ranking.rank, ranker, history(name), 0, Wishes(1)) for name in ("good", "bad"))
        while len(ranking._queue) < 2:
            pass
        ranker.go.set()
        assert first.result().items
        assert good.result().items[0].item_id.startswith("good")
        with pytest.raises(ValueError, match="a bad history"):
            bad.result()


def test_through_a_changeover_every_request_is_ranked_by_the_release_it_came_with() -> None:
    ranking, old, new = Ranking(), Recorder("old", held=True), Recorder("new")
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(ranking.rank, old, history("first"), 0, Wishes(1))
        assert old.entered.wait(10)
        mixed = [threads.submit(ranking.rank, ranker, history("x"), 0, Wishes(1)) for ranker in (old, new, old, new)]
        while len(ranking._queue) < 4:
            pass
        old.go.set()
        assert first.result().items[0].reason == "old"
        assert [found.result().items[0].reason for found in mixed] == ["old", "new", "old", "new"]


def test_only_one_has_the_turn_and_it_goes_on_after_a_failure() -> None:
    queue, inside, most = Queue(), 0, 0

    def take(fails: bool) -> None:
        nonlocal inside, most
        with queue.turn():
            inside += 1
            most = max(most, inside)
            time.sleep(0)
            inside -= 1
            if fails:
                raise ValueError

    with ThreadPoolExecutor(8) as threads:
        turns = [threads.submit(take, n % 3 == 0) for n in range(300)]
        assert sum(isinstance(turn.exception(), ValueError) for turn in turns) == 100
    assert (most, len(queue), queue.busy) == (1, 0, False)


def test_a_slate_is_quick_only_once_one_was_and_while_nobody_has_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    ranking, ranker = Ranking(), Recorder(held=True)
    assert not ranking.quick  # nothing is known of it
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(ranking.rank, ranker, history("first"), 0, Wishes(1))
        assert ranker.entered.wait(10)
        monkeypatch.setattr(bentos.slates.ranking, "QUICK_S", 60.0)
        assert not ranking.quick  # somebody has the turn
        ranker.go.set()
        first.result()
    assert ranking.quick
    monkeypatch.setattr(bentos.slates.ranking, "QUICK_S", 0.0)
    assert not ranking.quick
