"""The network of habits: its loss, that it learns, that it repeats, and that numpy applies what torch trained."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from footfall.core.habit_figures import FIGURES, ItemFacts, Pairs
from footfall.core.habit_lessons import Lessons
from footfall.core.habits import Habits
from footfall.model.habits import hits_against_misses, train_habits
from footfall.params import HabitTraining

PARAMS = HabitTraining(seed=3, lessons=100, baskets=5, epochs=12, width=8, learning_rate=0.02)


def lessons(count: int, seed: int = 0) -> Lessons:
    """Five pairs a lesson; the one whose first figure is farthest from 0 is the hit, which no weighted sum of figures finds."""
    figures = np.zeros((count * 5, FIGURES), np.float32)
    figures[:, :3] = np.random.default_rng(seed).normal(size=(count * 5, 3))
    best = np.abs(figures[:, 0]).reshape(count, 5).argmax(axis=1)
    hit = np.zeros(count * 5, np.bool_)
    hit[np.arange(count) * 5 + best] = True
    return Lessons(Pairs(np.repeat(np.arange(count), 5), np.tile(np.arange(5), count), figures), hit)


def test_each_hit_stands_against_the_misses_of_its_lesson_alone() -> None:
    logits = torch.tensor([1.0, 2.0, 0.0, 5.0, 1000.0, 999.0])
    hit, owner = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 1.0]), torch.tensor([0, 0, 0, 0, 1, 1])
    misses = math.exp(0) + math.exp(5)
    first = (math.log(1 + misses / math.exp(1)) + math.log(1 + misses / math.exp(2))) / 2
    assert float(hits_against_misses(logits, hit, owner, 2)) == pytest.approx((first + math.log(1 + math.e)) / 2, rel=1e-5)


def test_it_learns_what_no_weighted_sum_finds() -> None:
    trained = train_habits(lessons(800), PARAMS)
    habits = Habits(ItemFacts(*[np.zeros((5, 1), np.float32)] * 2, np.zeros((5, 2), np.int32)), trained.mean, trained.scale, trained.layers)
    fresh = lessons(200, seed=1)
    logits = habits.logits(fresh.pairs).reshape(200, 5)
    found = fresh.hit.reshape(200, 5)[np.arange(200), logits.argmax(axis=1)].mean()
    assert found > 0.7  # 0.2 by chance, about 0.4 by any weighted sum
    assert trained.losses[-1] < trained.losses[0]


def test_numpy_applies_what_torch_trained() -> None:
    given = lessons(60)
    trained = train_habits(given, PARAMS)
    network = nn.Sequential()
    for matrix, offset in trained.layers:
        layer = nn.Linear(*matrix.shape[::-1])
        layer.load_state_dict({"weight": torch.from_numpy(matrix), "bias": torch.from_numpy(offset)})
        network.extend([layer, nn.SiLU()])
    figures = torch.from_numpy((given.pairs.figures - trained.mean) * trained.scale)
    facts = ItemFacts(*[np.zeros((5, 1), np.float32)] * 2, np.zeros((5, 2), np.int32))
    ours = Habits(facts, trained.mean, trained.scale, trained.layers).logits(given.pairs)
    assert ours == pytest.approx(network[:-1](figures)[:, 0].detach().numpy(), abs=1e-4)


def test_equal_lessons_give_equal_bytes_and_the_callers_chance_stays() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, two = (train_habits(lessons(60), PARAMS) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    first, second = ([(matrix.tobytes(), offset.tobytes()) for matrix, offset in trained.layers] for trained in (one, two))
    assert first == second


def test_without_lessons_there_is_nothing_to_train() -> None:
    nothing = Lessons(Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, FIGURES), np.float32)), np.zeros(0, np.bool_))
    with pytest.raises(ValueError, match="no lessons"):
        train_habits(nothing, PARAMS)
