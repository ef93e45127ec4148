"""The race over clicks: the clicks are what they claim to be, and contestants find the same in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.clicks import write_clicks
from benchmarks.contestants import clicks_duckdb, clicks_footfall, clicks_pandas
from benchmarks.contestants.task import CUT_US, DAY_US, DAYS, GAP_US, START_US
from benchmarks.data import Contestant, _agree, _race_rows
from footfall.arrays.histories import read_sequences

EVENTS = 5_000


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clicks") / "clicks.parquet"
    write_clicks(path, EVENTS)
    return path


def test_clicks_are_as_many_as_asked_for_and_in_the_order_of_time(clicks: Path) -> None:
    table = pq.read_table(clicks)
    moments = table.column("occurred_at").to_numpy()

    assert table.num_rows == EVENTS
    assert np.all(np.diff(moments) >= 0)
    assert START_US <= moments[0] < moments[-1] < START_US + DAYS * DAY_US
    assert table.column("event_id").to_numpy().tolist() == list(range(EVENTS))


def test_the_same_seed_gives_the_same_clicks_and_another_seed_others(clicks: Path, tmp_path: Path) -> None:
    write_clicks(tmp_path / "again.parquet", EVENTS)
    write_clicks(tmp_path / "other.parquet", EVENTS, seed=8)

    assert (tmp_path / "again.parquet").read_bytes() == clicks.read_bytes()
    assert (tmp_path / "other.parquet").read_bytes() != clicks.read_bytes()


def test_contestants_find_the_same_counts_and_ours_wrote_its_arrays(clicks: Path, tmp_path: Path) -> None:
    ours = clicks_footfall.run(str(clicks), str(tmp_path))

    assert ours["events"] == EVENTS
    assert 0 < ours["train"] < EVENTS
    assert ours["users"] < ours["sessions"] < EVENTS
    assert ours == clicks_pandas.run(str(clicks), "") == clicks_duckdb.run(str(clicks), "")
    assert len(read_sequences(tmp_path).item_index) == EVENTS
    assert np.load(tmp_path / "session_start.npy").sum() == ours["sessions"]
    assert np.load(tmp_path / "train_events.npy").sum() == ours["train"]


def test_counts_by_hand(tmp_path: Path) -> None:
    write_clicks(tmp_path / "clicks.parquet", EVENTS)
    rows = pq.read_table(tmp_path / "clicks.parquet").to_pylist()
    before: dict[int, int] = {}
    sessions = 0
    for row in rows:
        moment = row["occurred_at"]
        sessions += row["user_id"] not in before or moment - before[row["user_id"]] > GAP_US
        before[row["user_id"]] = moment

    found = clicks_footfall.run(str(tmp_path / "clicks.parquet"), str(tmp_path))

    expected = {"users": len(before), "items": len({row["item_id"] for row in rows}), "sessions": sessions}
    assert found == {"events": EVENTS, "train": sum(row["occurred_at"] < CUT_US for row in rows)} | expected


def contestant(name: str, seconds: float, users: int = 2) -> Contestant:
    """One run that is over."""
    said = {"events": 100, "users": users, "items": 3, "sessions": 4, "train": 90, "version": f"{name} 1", "seconds": seconds}
    return Contestant(name, Path(), [said | {"cpu_seconds": seconds, "peak_mib": 1.0}])


def test_a_ratio_is_ours_over_the_peers_events_a_second() -> None:
    rows = _race_rows([contestant("footfall", 2.0), contestant("polars", 1.0), contestant("pandas", 8.0)], ["replay"])

    assert [(row.peer_name, row.ratio, row.holds) for row in rows] == [(None, None, False), ("polars 1", 0.5, False), ("pandas 1", 4.0, True)]
    assert rows[0].notes is not None
    assert rows[0].notes["missing_peers"] == ["replay"]


def test_figures_of_contestants_that_disagree_are_refused() -> None:
    with pytest.raises(RuntimeError, match="disagree"):
        _agree([contestant("footfall", 1.0), contestant("polars", 1.0, users=3)])
