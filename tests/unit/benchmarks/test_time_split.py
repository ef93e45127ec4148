"""The time split: who is asked, when, of what, and what nobody may know by then."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import time_split
from benchmarks.event_table import Cut, Events, cut_by_time, read_events, to_sequences
from benchmarks.moments import ask, drawn, figures, last_of, slates
from footfall.core.figures import Resampling
from footfall.errors import SourceError
from footfall.params import load_params

ROWS = [  # user, item, moment
    ("ann", "a", 1),
    ("ann", "b", 2),
    ("ann", "a", 11),
    ("ann", "x", 11),
    ("ann", "y", 11),
    ("ann", "y", 11),
    ("ann", "b", 14),
    ("bob", "b", 3),
    ("bob", "a", 12),
    ("eve", "a", 13),
    ("eve", "b", 13),
]


def rows(*lines: tuple[str, str, int]) -> pa.Table:
    users, items, moments = zip(*lines, strict=True)
    return pa.table({"user_id": users, "item_id": items, "occurred_at": pa.array(moments, pa.int64())})


@pytest.fixture
def events() -> Events:
    return to_sequences(rows(*ROWS), Cut(10, 10), 1)


def test_the_vocabulary_is_counted_before_the_cut(events: Events) -> None:
    assert events.items == 2  # x and y come later
    assert events.sequences.item_index.tolist() == [1, 2, 1, 0, 0, 0, 2, 2, 1, 1, 2]
    assert len(set(events.codes.tolist())) == 4
    with pytest.raises(SourceError, match="vocabulary is empty"):
        to_sequences(rows(*ROWS), Cut(10, 10), 3)


def test_only_a_users_first_event_with_an_item_is_kept_when_asked() -> None:
    found = to_sequences(rows(*ROWS), Cut(10, 10), 1, first_only=True)
    assert found.sequences.offsets.tolist() == [0, 4, 6, 8]
    assert found.sequences.occurred_at.tolist() == [1, 2, 11, 11, 3, 12, 13, 13]


def test_moments_are_asked_after_the_cut_of_users_with_a_past(events: Events) -> None:
    asked = ask(events, 10)
    assert (asked.owners.tolist(), asked.at.tolist()) == ([0, 0, 1], [11, 14, 12])  # eve had done nothing before
    assert asked.offsets.tolist() == [0, 3, 4, 5]
    assert sorted(asked.targets[:3].tolist()) == [0, 0, 1]  # two unknown items are two targets, one of them bought twice
    assert asked.history(np.array([0, 1])).occurred_at.tolist() == [1, 2, 1, 2, 11, 11, 11, 11]
    last = last_of(asked)
    assert (last.at.tolist(), last.targets.tolist()) == ([14, 12], [2, 1])
    assert ask(events, 10, 12).at.tolist() == [11]
    assert not len(last_of(ask(events, 99)))
    assert drawn(asked, 1, 0).owners.tolist() in ([0, 0], [1])


def test_a_user_counts_once_as_the_mean_of_the_moments(events: Events) -> None:
    asked = ask(events, 10)
    shown = np.array([[2, 1], [2, 1], [2, 0]])
    found = figures(shown, asked)
    assert found["mrr@10"].tolist() == [(0.5 + 1) / 2, 0]
    assert found["recall@5"].tolist() == [(1 / 3 + 1) / 2, 0]
    assert figures(shown, asked, np.array([False, True, False]))["mrr@10"].tolist() == [1]


def test_a_masked_slate_leaves_the_history_out(events: Events) -> None:
    asked = last_of(ask(events, 10))
    found = {masked: slates(asked, lambda users, _: {"a": np.array([[2.0, 1.0]] * len(users))}, masked=masked, k=3)["a"] for masked in (True, False)}
    assert found[False].tolist() == [[1, 2, 0], [1, 2, 0]]
    assert found[True].tolist() == [[0, 0, 0], [1, 0, 0]]


def test_the_cuts_are_quantiles_of_time() -> None:
    cut = cut_by_time(rows(*((f"u{n % 3}", "a", n) for n in range(11))))
    assert (cut.validation, cut.test) == (8, 9)


def test_a_file_is_read_with_any_kind_of_time_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    table = rows(("u", "i", 1_000_000))
    moments = pa.array([1_000_000, None], pa.timestamp("us", tz="UTC"))
    pq.write_table(table, tmp_path / "whole.parquet")
    stamped = pa.table({"user_id": [7, 8], "item_id": ["i", "j"], "occurred_at": moments.cast(pa.timestamp("ms", tz="UTC"))})
    pq.write_table(stamped, tmp_path / "stamped.parquet")
    assert read_events(tmp_path / "whole.parquet").to_pylist() == [{"user_id": "u", "item_id": "i", "occurred_at": 1_000_000}]
    assert read_events(tmp_path / "stamped.parquet").to_pylist() == [{"user_id": "7", "item_id": "i", "occurred_at": 1_000_000}]
    pq.write_table(table.drop_columns("item_id"), tmp_path / "less.parquet")
    with pytest.raises(SourceError, match="events cannot be read"):
        read_events(tmp_path / "less.parquet")


def test_every_policy_is_measured_on_last_and_successive_moments(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> None:
    monkeypatch.setattr(time_split, "RESAMPLING", Resampling(20, 7))
    params = load_params(checkout / "params.yaml")
    params = dataclasses.replace(
        params,
        model=dataclasses.replace(params.model, dim=8, blocks=1),
        train=dataclasses.replace(params.train, negatives=0, threads=1),
        split=dataclasses.replace(params.split, vocabulary_min_count=3),
        evaluate=dataclasses.replace(params.evaluate, linear_cells=100_000),
    )
    random = np.random.default_rng(0)
    day = 86_400_000_000
    lines = [(f"u{user}", f"i{random.integers(0, 30)}", int(random.integers(0, 50)) * day) for user in range(20) for _ in range(30)]
    options = argparse.ArgumentParser()
    time_split.add_options(options)
    for first, said in ((["--first"], True), ([], False)):
        found = time_split.measure(rows(*lines), params, options.parse_args(["--epochs", "1", "--users", "5", *first]))
        assert found["masked"] is said
        assert found["successive"]["users"] == 5
        for protocol in ("last", "successive"):
            policies = found[protocol]["policies"]
            assert {"transformer", "fused", "popularity_7d", "popularity_28d", "personal_frequency", "ease_recency", "item_knn_recency"} <= set(
                policies
            )
            assert set(found[protocol]["slices"]) >= {"cold_user", "tail_item", "cold_item", "repeat_basket"}
            assert set(found[protocol]["shown"]) == set(policies)
        assert found["last"]["moments"] == found["last"]["users"]


def test_rows_hold_ours_against_personal_frequency_on_every_table() -> None:
    figures = {"fused": 0.3, "transformer": 0.1, "personal_frequency": 0.2, "popularity_7d": 0.1}
    policies = {name: {"ndcg@10": value, "interval": {"ndcg@10": [value, value]}} for name, value in figures.items()}
    found = time_split.rows({"shop": {moments: {"users": 5, "policies": policies} for moments in ("last", "successive")}})
    assert [row.what for row in found][:2] == ["fused, shop, last moments", "transformer, shop, last moments"]
    assert [row.ratio for row in found] == pytest.approx([1.5, 0.5] * 2)
    assert all(row.holds is None for row in found)
