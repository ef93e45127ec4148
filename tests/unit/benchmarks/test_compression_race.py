"""The race over smaller models: what is stored, what comes back, and what a student learns. How fast anything is does not matter here."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import compression, shaped
from benchmarks.contestants.lessons import Lesson, soft_loss, student, teach
from benchmarks.contestants.smaller import FLOAT32, TABLES, Smaller, masks, pruned, spared, without_last_block
from footfall.core.metrics import top_k
from footfall.core.quantised import quantise_items, restore_items
from footfall.model.pretrained import SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, habits

END = 70 * DAY_US
TEN = 10


@pytest.fixture(scope="module")
def whole() -> SequenceModel:
    return train(habits(), END, CONFIG, replace(PARAMS, average=0.9)).model


def agreement(found: np.ndarray, expected: np.ndarray) -> float:
    """Mean share of the ten best that both have."""
    pairs = zip(top_k(found, TEN), top_k(expected, TEN), strict=True)
    return float(np.mean([len(set(one) & set(other)) / TEN for one, other in pairs]))


def test_a_table_in_bytes_shows_nearly_the_same_ten_items(whole: SequenceModel) -> None:
    weights = {name: tensor.numpy() for name, tensor in whole.state_dict().items()}
    exact, rounded = (Scorer(whole.config.to_dict(), those) for those in (weights, restore_items(quantise_items(weights))))
    assert agreement(rounded.scores(habits()), exact.scores(habits())) > 0.97


@pytest.mark.parametrize(("name", "least"), [(name, 0.6 if "rank" in name else 0.95) for name in TABLES])
def test_every_form_of_the_table_ranks_like_the_whole_one(whole: SequenceModel, name: str, least: float) -> None:
    form = Smaller(whole, TABLES[name](CONFIG.dim))
    assert agreement(form.scores()(habits()), Smaller(whole).scores()(habits())) > least
    assert form.scores_among(300)(habits(3)).shape == (3, 300)


def test_products_of_bytes_are_those_of_the_rounded_numbers() -> None:
    table, states, bias = torch.tensor([[0.0, 0.0], [127.0, -3.0], [64.0, 127.0]]), torch.tensor([[1.27, 0.0], [0.0, 0.0]]), torch.tensor([0, 0.5, 0])
    found = TABLES["int8 table and products"](2).scan(table, bias)(states)
    np.testing.assert_allclose(found, [[0, 1.27 * 127 + 0.5, 1.27 * 64], [0, 0.5, 0]], rtol=1e-6)


def test_half_the_rank_is_exact_for_a_table_that_has_no_more() -> None:
    table = torch.randn(9, 2, generator=torch.Generator().manual_seed(1)) @ torch.randn(2, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(TABLES["table of half the rank"](4).restored(table), table, rtol=1e-4, atol=1e-4)


def test_bytes_are_counted_by_hand(whole: SequenceModel) -> None:
    all_of_it = 4 * sum(weight.numel() for weight in whole.state_dict().values())
    assert Smaller(whole).stored(ITEMS) == all_of_it
    assert Smaller(whole).stored(ITEMS + 10) == all_of_it + 10 * 4 * (16 + 1 + 3)
    in_bytes = Smaller(whole, TABLES["int8 table, widened when read"](16))
    assert all_of_it - in_bytes.stored(ITEMS) == (ITEMS + 1) * (4 * 16 - 16 - 4)
    assert spared({"a": torch.tensor([True, False, False, True, True, True, True, True, False])}) == 3 * 4 - 2


def test_a_model_with_a_block_less_keeps_the_rest(whole: SequenceModel) -> None:
    less = without_last_block(whole)
    assert less.shape == replace(whole.shape, blocks=1)
    assert all(torch.equal(weight, whole.state_dict()[name]) for name, weight in less.state_dict().items())
    with pytest.raises(ValueError, match="none to spare"):
        without_last_block(less)


def test_the_smallest_half_of_each_matrix_is_taken_out_and_stays_out(whole: SequenceModel) -> None:
    kept = masks(whole, 0.5)
    assert all(mask.float().mean() == 0.5 for mask in kept.values())
    assert len(kept) == 2 * 6
    trained = teach(without_nothing(whole), habits(), replace(PARAMS, epochs=1, average=0.9), Lesson(kept=kept))
    for name, weight in trained.state_dict().items():
        if name in kept:
            assert not weight[~kept[name]].any()
            assert not torch.equal(weight[kept[name]], whole.state_dict()[name][kept[name]])
    assert Smaller(trained).stored(ITEMS) - pruned(trained, kept).stored(ITEMS) == spared(kept)


def without_nothing(model: SequenceModel) -> SequenceModel:
    """A copy."""
    made = SequenceModel(model.config)
    made.load_state_dict(model.state_dict())
    return made


def test_soft_targets_cost_their_divergence_and_pull_by_the_difference() -> None:
    random = torch.Generator().manual_seed(3)
    states, items, bias = (torch.randn(*size, generator=random, dtype=torch.float64, requires_grad=True) for size in ((300, 3), (6, 3), (6,)))
    teacher = tuple(torch.randn(*size, generator=random, dtype=torch.float64) for size in ((300, 2), (6, 2), (6,)))
    found = torch.autograd.grad(soft_loss(states, items, bias, teacher), (states, items, bias))
    given = (teacher[0] @ teacher[1].T + teacher[2])[:, 1:].log_softmax(1)
    by_torch = torch.nn.functional.kl_div((states @ items.T + bias)[:, 1:].log_softmax(1), given, log_target=True, reduction="batchmean")
    torch.testing.assert_close(soft_loss(states, items, bias, teacher), by_torch)
    for one, other in zip(found, torch.autograd.grad(by_torch, (states, items, bias)), strict=True):
        torch.testing.assert_close(one, other)
    itself = (states.detach(), items.detach(), bias.detach())
    assert float(soft_loss(states, items, bias, itself).detach()) == pytest.approx(0, abs=1e-12)


def test_a_student_comes_nearer_to_its_teacher_than_one_alone(whole: SequenceModel) -> None:
    params = replace(PARAMS, epochs=2, average=0.9)
    apart = []
    for lesson in (Lesson(teacher=whole, share=1.0), Lesson()):
        made = teach(student(habits(), whole, params, dim=8, heads=1, blocks=1), habits(), params, lesson)
        states, wise = (torch.from_numpy(Scorer.of(one).vectors(habits())) for one in (made, whole))
        apart.append(float(soft_loss(states, made.item.weight, made.item_bias, (wise, whole.item.weight, whole.item_bias)).detach()))
    assert apart[0] < apart[1]


def test_the_race_prints_a_line_a_form(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shaped.write_shaped(tmp_path / "small.txt", users=40, items=30)
    monkeypatch.setattr(compression, "SHAPE", {"dim": 8, "blocks": 2, "heads": 2, "dropout": 0.2})
    monkeypatch.setattr(compression, "QUICK", replace(compression.QUICK, threads=1))
    options = argparse.ArgumentParser()
    compression.add_options(options)
    told = options.parse_args(["--sequences", str(tmp_path / "small.txt"), "--epochs", "1", "--many", "50", "--rounds", "1"])
    document = json.loads(compression.run(tmp_path, told).read_text())

    names = [compression.WHOLE, *TABLES, "student, taught", "student, alone", "without the last block", "half of the blocks' weights"]
    assert [row["what"].partition(":")[0] for row in document["rows"]] == [name for name in names for _ in range(4)]
    assert [row["ratio"] for row in document["rows"][:4]] == [1, 1, 1, 1] or document["rows"][0]["peer"] == 0
    sizes = {row["what"].partition(":")[0]: row["ratio"] for row in document["rows"] if row["unit"] == "bytes"}
    assert all(ratio < 1 for name, ratio in sizes.items() if name != compression.WHOLE)
    lines = capsys.readouterr().out.splitlines()[-len(names) :]
    assert [line[:34].strip() for line in lines] == names


def test_the_form_as_it_is_stores_four_bytes_a_number() -> None:
    assert FLOAT32.stored(10, 3) == 120
