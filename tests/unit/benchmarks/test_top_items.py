"""The race for the best items: that everybody is asked the same and found right. How fast anybody is does not matter here."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import top_items
from benchmarks.contestants import steps_nearest
from benchmarks.contestants.turns import Turns
from benchmarks.racers import Racer


def racer(kind: str, seconds: float, **facts: Any) -> Racer:
    """One that has raced."""
    return Racer(kind, "nearest", Path(), {}, {"version": "peer 1"} | facts, [seconds] * 3, peak_mib=10.0)


def test_vectors_are_the_same_each_time_and_the_first_row_is_no_item(tmp_path: Path) -> None:
    told = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        top_items.write_vectors(tmp_path / name, 500)
        told.append([(tmp_path / name / f"{part}.npy").read_bytes() for part in ("table", "queries", "truth")])
    assert told[0] == told[1]
    table, queries, truth = (np.load(tmp_path / "one" / f"{part}.npy") for part in ("table", "queries", "truth"))
    assert table.shape == (501, 64)
    assert not table[0].any()
    assert truth[0].tolist() == np.argsort(-(table[1:] @ queries[0]), kind="stable")[:100].tolist()


def test_ours_and_the_floor_race_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_items, "ROUNDS", 2)
    racers = top_items.asked(500, tmp_path, None, approximate=True)
    found = top_items.race(Path(__file__).parents[3], tmp_path, racers, each=3)
    assert sorted(racers) == ["bytes", "ours"]
    assert found["ours"] == 1
    assert [len(one.seconds) for one in racers.values()] == [6, 6]
    assert {one.python for one in racers.values()} == {Path(sys.executable)}


def test_the_least_effort_that_finds_enough_is_kept() -> None:
    effort, truth = [0], np.array([[0, 1, 2, 3]])
    index = steps_nearest.Index("1", lambda query: np.arange(effort[0]), lambda given: effort.__setitem__(0, given), (1, 2, 3, 4))
    assert steps_nearest.least_effort(index, truth, truth, 0.75) == {"effort": 3, "recall_when_tuned": 0.75}
    assert effort == [3]
    assert steps_nearest.least_effort(index, truth, truth, 2.0) == {"effort": 4, "recall_when_tuned": 1.0}


def test_distances_order_items_as_inner_products_do() -> None:
    chance = np.random.default_rng(3)
    items, query = chance.standard_normal((50, 16), dtype=np.float32), chance.standard_normal(16, dtype=np.float32)
    vectors, ask = steps_nearest._as_distances(items)
    assert np.argsort(((vectors - ask(query)) ** 2).sum(axis=1)).tolist() == np.argsort(-(items @ query)).tolist()


def test_the_floor_and_ours_answer_in_this_process_too(tmp_path: Path) -> None:
    top_items.write_vectors(tmp_path, 300)
    told = {name: str(tmp_path / f"{name}.npy") for name in ("table", "queries", "truth", "found")} | {"k": 100, "steps": 2}
    said = io.StringIO()
    steps_nearest.run(told | {"kind": "ours"}, Turns(io.StringIO("2\n"), said))
    first, turn, last = (json.loads(line) for line in said.getvalue().splitlines())
    assert first["version"].startswith("numpy")
    assert len(turn["steps"]) == 2
    assert last == {}
    assert np.array_equal(np.load(tmp_path / "found.npy"), np.load(tmp_path / "truth.npy")[100:])


def test_an_index_that_finds_too_little_is_in_no_crossover() -> None:
    racers = {"ours": racer("ours", 0.004), "faiss ivf": racer("faiss ivf", 0.002), "faiss hnsw": racer("faiss hnsw", 0.001)}
    assert top_items.quickest_approximate(racers, {"ours": 1.0, "faiss ivf": 0.99, "faiss hnsw": 0.9}) == 2
    assert top_items.quickest_approximate(racers, {"ours": 1.0, "faiss ivf": 0.98, "faiss hnsw": 0.9}) is None


def test_the_crossover_lies_between_the_sizes_around_it() -> None:
    assert top_items.crossover([(100, 0.1), (10_000, 10.0)]) == pytest.approx(1_000)
    assert top_items.crossover([(100, 1.5), (10_000, 10.0)]) == 100
    assert top_items.crossover([(100, 0.5), (10_000, 0.9)]) is None
    assert top_items.crossover([]) is None


def test_rows_say_who_was_asked_and_what_it_found() -> None:
    racers = {
        "ours": racer("ours", 0.002),
        "bytes": racer("bytes", 0.001),
        "faiss flat": racer("faiss flat", 0.0019),
        "faiss ivf": racer("faiss ivf", 0.0005, build_s=2.0, index_mib=30.0),
    }
    exact, floor, approximate, recall = top_items.rows_of(10_000, racers, {"ours": 1.0, "faiss flat": 1.0, "faiss ivf": 0.993})
    assert (exact.peer_name, exact.holds) == ("peer 1 IndexFlatIP", True)
    assert floor.peer_name == "floor: 2.56 MB read at 2.6 GB/s"
    assert approximate.peer_name == "faiss ivf (peer 1; recall 0.9930, built in 2.0 s, 30 MiB)"
    assert approximate.ratio == pytest.approx(4)
    assert (recall.what, recall.ours, recall.holds) == ("best 100 of 10,000 items of width 64: recall@100 of faiss ivf", 0.993, True)


def test_an_index_that_finds_too_little_misses_its_target() -> None:
    racers = {"ours": racer("ours", 0.002), "bytes": racer("bytes", 0.001)}
    racers |= {kind: racer(kind, 0.0005, build_s=2.0, index_mib=30.0) for kind in top_items.APPROXIMATE}
    found = {"ours": 1.0, "faiss hnsw": 0.989, "faiss ivf": 0.99, "usearch hnsw": 1.0}
    assert [row.holds for row in top_items.rows_of(10_000, racers, found) if "recall@" in row.what] == [False, True, True]
