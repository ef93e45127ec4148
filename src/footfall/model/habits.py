"""The network behind `core.habits`: which of a user's own items are in the next basket, learnt from baskets of the past.

Each hit stands against the misses of its own lesson alone (softmax over one hit and all misses), and every lesson weighs the same, as a user does in
the figures that are reported. The network is small and stays on the CPU: a step takes milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from footfall.core.habit_figures import Float32
from footfall.core.habit_lessons import Lessons
from footfall.core.sequences import Int64
from footfall.model.repeatable import repeatable
from footfall.params import HabitTraining

_AVERAGE = 0.99
_LESSONS_A_STEP = 128
_WARM_UP_SHARE = 0.1


@dataclass(frozen=True)
class TrainedHabits:
    """What training found: the fields of `core.habits.Habits` but for the facts, and the mean loss of each epoch."""

    mean: Float32
    scale: Float32
    layers: list[tuple[Float32, Float32]]
    losses: list[float]


def train_habits(lessons: Lessons, params: HabitTraining) -> TrainedHabits:
    """Train; the same lessons give the same bytes.

    Raises:
        ValueError: there is no lesson.
    """
    if not len(lessons):
        raise ValueError("no lessons")
    mean = lessons.pairs.figures.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = (1 / (lessons.pairs.figures.std(axis=0, dtype=np.float64) + 1e-3)).astype(np.float32)
    figures = torch.from_numpy((lessons.pairs.figures - mean) * scale)
    with repeatable(params.seed, threads=1):
        network = _network(figures.shape[1], params.width)
        losses = _run(network, figures, lessons, params)
        layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    return TrainedHabits(mean, scale, [(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in layers], losses)


def _network(figures: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(figures, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))


def _run(network: nn.Sequential, figures: Tensor, lessons: Lessons, params: HabitTraining) -> list[float]:
    """All epochs; leaves the moving average of the weights in `network`."""
    weights: list[Tensor] = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimiser = torch.optim.AdamW(weights, lr=params.learning_rate, weight_decay=0.0)
    random = np.random.default_rng(params.seed)
    begins = np.concatenate([[0], np.cumsum(np.bincount(lessons.pairs.owners))]).astype(np.int64)
    hit = torch.from_numpy(lessons.hit.astype(np.float32))
    a_step = -(-len(lessons) // _LESSONS_A_STEP)
    losses, step, steps = [], 0, a_step * params.epochs
    for _ in range(params.epochs):
        total = 0.0
        for chosen in np.array_split(random.permutation(len(lessons)), a_step):
            rows, owner = _rows(begins, chosen)
            loss = hits_against_misses(network(figures[rows])[:, 0], hit[rows], owner, len(chosen))
            optimiser.param_groups[0]["lr"] = params.learning_rate * min((step + 1) / math.ceil(_WARM_UP_SHARE * steps), 1 - step / steps)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step, total = step + 1, total + float(loss.detach())
            with torch.no_grad():  # a short memory at first, so that where it began is forgotten
                torch._foreach_lerp_(average, weights, 1 - min(_AVERAGE, step / (10 + step)))
        losses.append(total / a_step)
    with torch.no_grad():
        for weight, kept in zip(weights, average, strict=True):
            weight.copy_(kept)
    return losses


def _rows(begins: Int64, chosen: Int64) -> tuple[Tensor, Tensor]:
    """Rows of the chosen lessons, and the lesson's place among them of each."""
    lengths = begins[chosen + 1] - begins[chosen]
    owner = np.repeat(np.arange(len(chosen)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return torch.from_numpy(begins[chosen][owner] + within), torch.from_numpy(owner)


def hits_against_misses(logits: Tensor, hit: Tensor, owner: Tensor, lessons: int) -> Tensor:
    """Mean over lessons of the mean over hits of -log(e^hit / (e^hit + sum of e^miss)).

    Args:
        logits, hit, owner: (N,) one a pair; `hit` is 1 or 0; every lesson has a hit.
        lessons: how many lessons `owner` counts.
    """
    best = torch.full((lessons,), -torch.inf).scatter_reduce(0, owner, logits.detach(), "amax")
    above = logits - best[owner]
    odds = above.exp()
    misses = torch.zeros(lessons).index_add(0, owner, odds * (1 - hit))
    losses = torch.log(misses[owner] + odds + 1e-12) - above
    hits = torch.zeros(lessons).index_add(0, owner, hit)
    return (losses * hit / hits[owner]).sum() / lessons
