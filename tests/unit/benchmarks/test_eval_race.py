"""The race over evaluation: everybody is given the same, exactly; figures that differ are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.contestants import eval_footfall, eval_footfall_whole
from benchmarks.contestants.eval_task import DIM, NAMES, Task, make_task, read_task
from benchmarks.eval import Contestant, race_rows, task_of


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Sixty users; items are numbered with gaps, and one user has too few."""
    random = np.random.default_rng(5)
    users = [random.permutation(300)[: random.integers(3, 9)] * 2 + 1 for _ in range(60)]
    lines = [f"{number} {' '.join(map(str, items))}" for number, items in enumerate(users, 1)]
    (tmp_path / "histories.txt").write_text("\n".join([*lines, "61 4 6"]) + "\n", encoding="utf-8")
    return task_of(tmp_path / "histories.txt")


def test_the_last_item_is_the_target_and_items_are_counted_through(tmp_path: Path) -> None:
    (tmp_path / "histories.txt").write_text("1 10 30 20\n2 7 10\n3 40 30 20 50\n", encoding="utf-8")
    task = task_of(tmp_path / "histories.txt")

    assert [task.history.tolist(), task.offsets.tolist(), task.targets.tolist()] == [[1, 3, 4, 3, 2], [0, 2, 5], [2, 5]]
    assert [task.owners.tolist(), len(task.items)] == [[0, 0, 1, 1, 1], 5]


def test_products_are_exact_in_any_order_and_no_user_has_two_equal_scores(task: Task) -> None:
    scores = task.users @ task.items.T

    assert scores.dtype == np.float32
    assert np.array_equal(scores, task.users.astype(np.float64) @ task.items.astype(np.float64).T)
    assert np.array_equal(scores, task.users[:, ::-1] @ task.items[:, ::-1].T)
    assert all(len(np.unique(row)) == len(row) for row in scores)


def test_items_beyond_exact_products_are_refused() -> None:
    with pytest.raises(ValueError, match="exact"):
        make_task(np.array([1], np.int32), np.array([0, 1]), np.array([2], np.int32), 2**14)


def test_a_task_is_read_as_it_was_written(task: Task, tmp_path: Path) -> None:
    task.write(tmp_path / "task.npz")
    assert all(np.array_equal(value, vars(task)[name]) for name, value in vars(read_task(tmp_path / "task.npz")).items())
    assert task.users.shape == (60, DIM)


def test_the_short_cut_changes_no_figure(task: Task, tmp_path: Path) -> None:
    found = eval_footfall.prepare(task, tmp_path)()

    assert found == eval_footfall_whole.prepare(task, tmp_path)()
    assert tuple(found) == NAMES
    assert 0 < found["ndcg@20"] < 1


def contestant(name: str, seconds: float) -> Contestant:
    """One run that is over."""
    said = {"found": dict.fromkeys(NAMES, 0.5), "version": f"{name} 1", "seconds": seconds, "cpu_seconds": seconds, "peak_mib": 1.0}
    return Contestant(name, Path(), [said])


def test_a_ratio_is_our_time_over_the_peers() -> None:
    rows = race_rows(
        "evaluation", [contestant("footfall", 1.0), contestant("whole", 2.0), contestant("one", 10.0), contestant("two", 4.0)], ["three"]
    )

    assert [(row.ours, row.peer_name, row.ratio, row.holds) for row in rows] == [
        (1.0, None, None, None),
        (2.0, None, None, None),
        (1.0, "one 1", 0.1, True),
        (1.0, "two 1", 0.25, False),
    ]
    assert rows[0].notes is not None
    assert rows[0].notes["missing_peers"] == ["three"]


@pytest.mark.parametrize("figure", [0.5 + 2e-9, float("nan")])
def test_figures_that_differ_are_refused(figure: float) -> None:
    other = contestant("one", 1.0)
    other.said[0]["found"]["mrr@20"] = figure
    with pytest.raises(RuntimeError, match="one and ours are apart in mrr@20"):
        race_rows("evaluation", [contestant("footfall", 1.0), contestant("whole", 1.0), other], [])
