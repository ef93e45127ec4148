"""Training that begins with any model: a student's beside its teacher (Hinton et al. 2015), or one that something was taken out of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from footfall.core.sequences import Sequences
from footfall.model.batches import chop, group, pack
from footfall.model.losses import softmax_loss
from footfall.model.packs import Pack
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.repeatable import repeatable
from footfall.model.spectral import item_vectors
from footfall.model.trainer import TARGET_TYPE, rate_at
from footfall.params import Train

_ROWS = 128


@dataclass(frozen=True)
class Lesson:
    """How a model is trained.

    Attributes:
        teacher: whose soft targets count, in evaluation mode; None for the true targets alone.
        share: of the soft targets in the loss.
        kept: masks by weight: what is outside them stays zero.
    """

    teacher: SequenceModel | None = None
    share: float = 0.5
    kept: Mapping[str, Tensor] = field(default_factory=dict)


def student(history: Sequences, like: SequenceModel, params: Train, **smaller: Any) -> SequenceModel:
    """A fresh model like another but for some of its numbers, begun as the stage `train` begins one."""
    config = SequenceConfig(**{**vars(like.shape), **smaller})
    with repeatable(params.seed, params.threads):
        model = SequenceModel(config)
        counts = torch.from_numpy(np.bincount(history.item_index, minlength=config.items + 1))
        model.start_from(counts, item_vectors(history, config.items, config.dim, params.seed) if params.spectral_start else None)
    return model


def teach(model: SequenceModel, history: Sequences, params: Train, lesson: Lesson) -> SequenceModel:
    """Train `model` in place, with the exact softmax and the rates of the stage `train`; returns it with its averaged weights, in evaluation mode."""
    windows = chop(history, model.shape.max_events)
    with repeatable(params.seed, params.threads):
        orders = [np.random.default_rng([params.seed, epoch]).permutation(len(windows)) for epoch in range(params.epochs)]
        plan = [users for order in orders for users in group(windows.lengths, params.tokens_per_step, order)]
        optimiser = torch.optim.AdamW(model.parameters(), lr=params.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        _mask(model, lesson.kept)
        average = [weight.detach().clone() for weight in model.parameters()]
        model.train()
        for step, users in enumerate(plan):
            for group_of_weights in optimiser.param_groups:
                group_of_weights["lr"] = rate_at(step, len(plan), params)
            loss = _loss(model, pack(windows.take(users), TARGET_TYPE, params.basket_power), lesson)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            _mask(model, lesson.kept)
            with torch.no_grad():
                torch._foreach_lerp_(average, list(model.parameters()), 1 - min(params.average, (step + 1) / (11 + step)))
        with torch.no_grad():
            for weight, mean in zip(model.parameters(), average, strict=True):
                weight.copy_(mean)
    model.eval()
    return model


def _loss(model: SequenceModel, packed: Pack, lesson: Lesson) -> Tensor:
    states, bonuses = model(packed)
    loss = softmax_loss(states, model.item.weight, model.item_bias, bonuses, packed)
    if lesson.teacher is None:
        return loss
    rows = packed.moment_weight.nonzero()[:, 0]
    with torch.no_grad():
        wise = lesson.teacher(packed)[0][rows]
    soft = soft_loss(states[rows], model.item.weight, model.item_bias, (wise, lesson.teacher.item.weight, lesson.teacher.item_bias))
    return (1 - lesson.share) * loss + lesson.share * soft


def _mask(model: SequenceModel, kept: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in kept:
                weight.mul_(kept[name])


def soft_loss(states: Tensor, items: Tensor, bias: Tensor, teacher: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean over rows of the Kullback-Leibler divergence from the teacher's softmax over the catalogue to the student's; repeat bonuses take no part.

    Args:
        states: (M, dim) of the student.
        items, bias: its (V + 1, dim) table and (V + 1,) bias; row 0, "no item", takes no part.
        teacher: the same three of the teacher, at a width of its own; no gradient reaches them.
    """
    loss: Tensor = _Soft.apply(states, items, bias, *teacher)
    return loss


class _Soft(torch.autograd.Function):
    """A hundred rows at a time, loss and slopes in one pass: the slope of a logit is what the student gives an item less what the teacher does."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, items: Tensor, bias: Tensor, wise: Tensor, wise_items: Tensor, wise_bias: Tensor) -> Tensor:
        slopes = torch.zeros_like(states), torch.zeros_like(items), torch.zeros_like(bias)
        loss = states.new_zeros(())
        for first in range(0, len(states), _ROWS):
            rows = slice(first, first + _ROWS)
            mine = torch.addmm(bias, states[rows], items.T)[:, 1:].log_softmax(1)
            theirs = torch.addmm(wise_bias, wise[rows], wise_items.T)[:, 1:].log_softmax(1)
            given = theirs.exp()
            loss += (given * (theirs - mine)).sum()
            apart = mine.exp_().sub_(given)
            slopes[0][rows] = apart @ items[1:]
            slopes[1][1:].addmm_(apart.T, states[rows])
            slopes[2][1:] += apart.sum(0)
        ctx.save_for_backward(*(slope / max(len(states), 1) for slope in slopes))
        mean: Tensor = loss / max(len(states), 1)
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what forward has found."""
        return *(slope * grads[0] for slope in ctx.saved_tensors), None, None, None
