"""What the quality races print, from ranks known by hand."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import protocols, quality
from benchmarks.figures import lines_of, members
from benchmarks.leave_one_out import Fold, place
from benchmarks.policies import POPULARITY, closed_forms, item_counts
from benchmarks.protocols import MASKED, UNMASKED, gather, report
from benchmarks.shaped import write_shaped
from footfall.core.figures import Resampling
from footfall.core.sequences import Sequences
from footfall.model.trainer import TARGET_TYPE

DAY_US = 86_400_000_000


def histories(*users: list[int]) -> Sequences:
    lengths = np.array([len(items) for items in users])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    moments = np.concatenate([np.arange(length) for length in lengths]) * DAY_US
    return Sequences(np.concatenate(users).astype(np.int32), np.full(offsets[-1], TARGET_TYPE, np.int8), moments, offsets)


def test_a_masked_slate_shows_nothing_of_the_history_and_no_more_than_is_left() -> None:
    fold = Fold(histories([1, 2]), np.array([3], np.int32))
    rows = np.array([[4.0, 3.0, 2.0, 1.0]], np.float32)
    for masked, slate in ((True, [3, 4, 0, 0]), (False, [1, 2, 3, 4])):
        placed = place(fold, {"a": lambda _: rows}, {"a": {"a": 1.0}}, masked=masked, slates=4)["a"]
        assert placed.slates.tolist() == [slate]
        assert placed.ranks.tolist() == [slate.index(3)]
    assert (rows == [[4, 3, 2, 1]]).all()  # scores are left as they were


def test_slices_part_users_by_history_and_target() -> None:
    fold = Fold(histories([1], [1, 2], [1, 2, 1, 2, 1, 2]), np.array([1, 3, 4], np.int32))
    found = members(fold, np.array([60, 30, 6, 4]))
    assert {name: users.tolist() for name, users in found.items()} == {
        "cold_user": [True, True, False],
        "short_history": [True, False, False],
        "long_history": [False, False, True],
        "repeat_basket": [True, False, False],
        "explore_basket": [False, True, True],
        "head_item": [True, False, False],
        "tail_item": [False, True, True],
        "cold_item": [False, False, True],
    }


def test_personal_frequency_puts_habits_before_what_is_popular() -> None:
    history = histories([1, 1, 2], [3, 3, 3])
    parts = closed_forms(history, 4)
    order = np.argsort(-np.asarray(parts["personal_frequency"](history)), axis=1, kind="stable") + 1
    assert order.tolist() == [[1, 2, 3, 4], [3, 1, 2, 4]]
    assert parts[POPULARITY](history).tolist() == [[2, 1, 3, 0]] * 2


def test_every_policy_is_reported_masked_and_unmasked_but_personal_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "RESAMPLING", Resampling(20, 7))
    history = histories([1, 2, 3], [2, 3, 4], [3, 4, 5], [1, 5, 2])
    fold, counts = Fold(history, np.array([4, 5, 1, 3], np.int32)), item_counts(history, 5)
    closed = closed_forms(history, 5)
    mixes = {name: {name: 1.0} for name in (*closed, "model")} | {"fused": {"model": 1.0, "ease": 3.0}}
    asked = []

    def model(seed: int):  # type: ignore[no-untyped-def]
        asked.append(seed)
        return lambda users: np.random.default_rng(seed).random((len(users), 5))

    gathered = gather(fold, ({**closed, "model": model(seed)} for seed in range(2)), mixes, "model")
    assert asked == [0, 1]
    assert [len(gathered[MASKED].ranks[name]) for name in ("ease", "model", "fused")] == [1, 2, 2]
    document = report(gathered, fold, counts, "model", "fused")
    assert set(document[UNMASKED]["policies"]) - set(document[MASKED]["policies"]) == {"personal_frequency"}
    assert document["seeds"][1][MASKED]["ease"] == document["seeds"][0][MASKED]["ease"]
    mean = np.mean([seed[MASKED]["fused"]["ndcg@10"] for seed in document["seeds"]])
    assert document[MASKED]["policies"]["fused"]["ndcg@10"] == pytest.approx(mean, abs=1e-6)
    assert document[UNMASKED]["slices"]["repeat_basket"] == {"users": 0}
    assert document[MASKED]["differences"]["fused_minus_model"]["minuend"] == "fused"
    assert len(lines_of(document[MASKED])) == 1 + 5 + 3 + 8 + 5
    assert document["deviation"][MASKED]["ease"]["ndcg@10"] == 0


def test_a_quality_race_says_every_protocol_and_refits_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shaped(tmp_path / "shop.txt", 40, 30)
    monkeypatch.setattr(quality, "TRAIN", dataclasses.replace(quality.TRAIN, epochs=1, threads=1))
    monkeypatch.setattr(quality, "SHAPES", ({"dim": 8, "blocks": 1, "heads": 1, "dropout": 0.1},))
    for module in (protocols, quality):
        monkeypatch.setattr(module, "RESAMPLING", Resampling(20, 7))
    options = argparse.ArgumentParser()
    quality.add_options(options)
    told = ["--sequences", str(tmp_path / "shop.txt"), "--seeds", "1", "--target-ndcg", "0", "--target-hit", "1.1"]
    asked = options.parse_args([*told, "--out", str(tmp_path / "out.json")])
    document = json.loads(quality.run(tmp_path, asked).read_text())
    assert {"transformer", "fused", "popularity", "ease", "cosine"} <= set(document["masked"]["policies"])
    assert set(document["unmasked"]) == {"policies", "differences", "slices", "shown"}
    assert document["refit"]["epochs"] == {"transformer": 1}
    assert set(document["refit"]["mean"]["masked"]) == set(document["masked"]["policies"])
    assert "time-split" in document["other_protocols"]["time split"]
    assert set(document["chosen_on_validation"]["closed_forms"]["decays"]) == {"ease", "cosine"}
    assert [(row["unit"], row["holds"]) for row in document["rows"]] == [("ndcg@10", True), ("hit_rate@10", False)] * 2
    assert document["rows"][2]["ours"] == document["seeds"][0]["masked"]["fused"]["ndcg@10"]
    said = capsys.readouterr()
    assert "target >= 1.1: MISSED" in said.out
    assert "with python" in said.out
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["seed 0, epoch 1 of 1"] * 2  # the second is the refitted row's
