"""Training: packs of whole histories, resident on the device, one optimiser step each; the same inputs give the same weights, byte for byte, on CPU.

Knows nothing of files, clocks or terminals: the stage hands in what to do with a step and with a finished epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from footfall.contracts import EVENT_TYPES, PURCHASE
from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.batches import Pack, chop, group, pack
from footfall.model.losses import NegativeSampler, softmax_loss
from footfall.model.network import REPEAT
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.params import Train

TARGET_TYPE = EVENT_TYPES.index(PURCHASE)
"""What is predicted: the items of the next purchase."""

OnStep = Callable[[int, int, float, float], None]
"""(step from 1, steps in all, loss, learning rate)."""
SaveState = Callable[[SequenceModel], None]
"""Called after each epoch; the last call has the finished model."""


@dataclass(frozen=True)
class Trained:
    """A finished training run.

    Attributes:
        model: on CPU, in evaluation mode.
        events: training events an epoch; all of them, of all users.
        targets: targets an epoch.
        losses: (steps,) loss of each step.
    """

    model: SequenceModel
    events: int
    targets: int
    losses: list[float]


def train(
    sequences: Sequences, train_end: int, config: SequenceConfig, params: Train, on_step: OnStep | None = None, save_state: SaveState | None = None
) -> Trained:
    """Train a fresh model on what happened before `train_end` (microseconds); no later event is read, as input or as target.

    Raises:
        SourceError: there is nothing to predict before `train_end`, or an item that the configuration has no room for.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with repeatable(params.seed, params.threads, strict=device.type == "cpu"):
        history = chop(sequences.before(train_end), config.max_events)
        packs = make_packs(history, params)
        if not sum(p.targets for p in packs):
            raise SourceError(
                "nothing to learn from", where="sequences", expected="a user with two purchases before the cut", found=f"{len(history)} users"
            )
        if int(history.item_index.max()) > config.items:
            raise SourceError(
                "item outside the vocabulary", where="sequences", expected=f"at most {config.items}", found=int(history.item_index.max())
            )
        counts = torch.from_numpy(np.bincount(history.item_index, minlength=config.items + 1))
        model = SequenceModel(config)
        model.start_from(counts)
        nn.Module.to(model, device)  # transformers' own `to` is untyped
        model.train()
        losses = _run([p.to(device) for p in packs], model, counts, params, on_step, save_state)
    return Trained(model.cpu().eval(), len(history.item_index), sum(p.targets for p in packs), losses)


def make_packs(history: Sequences, params: Train) -> list[Pack]:
    """All of `history`, its users shuffled once and grouped to the token budget."""
    order = np.random.default_rng(params.seed).permutation(len(history))
    return [pack(history.take(users), TARGET_TYPE, params.basket_power) for users in group(history.lengths, params.tokens_per_step, order)]


def rate_at(step: int, steps: int, params: Train) -> float:
    """Learning rate of step 0..steps-1: linear warm-up, then linear decay to zero."""
    warm_up = max(1, math.ceil(params.warmup_share * steps))
    return params.learning_rate * min((step + 1) / warm_up, 1.0 - step / steps)


def _run(packs: list[Pack], model: SequenceModel, counts: Tensor, params: Train, on_step: OnStep | None, save_state: SaveState | None) -> list[float]:
    """All epochs; returns the loss of each step."""
    sampler = NegativeSampler(counts, params.negatives, torch.Generator().manual_seed(params.seed)) if params.negatives else None
    optimiser = torch.optim.AdamW(_weight_groups(model, params), lr=params.learning_rate, betas=(0.9, 0.98), fused=True)
    shuffle = np.random.default_rng(params.seed + 1)
    device = model.item_bias.device
    losses: list[float] = []
    steps = params.epochs * len(packs)
    for _ in range(params.epochs):
        for index in shuffle.permutation(len(packs)).tolist():
            rate = rate_at(len(losses), steps, params)
            for weights in optimiser.param_groups:
                weights["lr"] = rate * weights["pace"]
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                states, bonuses = model(packs[index])
            drawn = sampler.draw(device) if sampler else None
            loss = softmax_loss(states.float(), model.item.weight, model.item_bias, [b.float() for b in bonuses], packs[index], drawn)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
            if on_step is not None:
                on_step(len(losses), steps, losses[-1], rate)
        if save_state is not None:
            save_state(model)
    return losses


def _weight_groups(model: SequenceModel, params: Train) -> list[dict[str, Any]]:
    """Decay for the matrices of the linear layers only; a pace of its own for the few weights of the repeat head and its tables over time."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    for name, weight in model.named_parameters():
        groups.setdefault((id(weight) in matrices, name.startswith(REPEAT)), []).append(weight)
    return [
        {"params": weights, "weight_decay": params.weight_decay * decays, "pace": params.repeat_pace if repeats else 1.0}
        for (decays, repeats), weights in groups.items()
    ]


@contextmanager
def repeatable(seed: int, threads: int, *, strict: bool = True) -> Iterator[None]:
    """Seeded, deterministic torch on `threads` threads; what was set before is set again afterwards.

    Args:
        strict: refuse operations that have no deterministic form; without it they warn.
    """
    deterministic: Any = torch.utils.deterministic
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        deterministic.fill_uninitialized_memory,
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    deterministic.fill_uninitialized_memory = False  # a debugging aid that costs a tenth of a step
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=before[2])
        deterministic.fill_uninitialized_memory = before[3]
