"""Training: packs of whole histories, one optimiser step each; the same inputs give the same weights, byte for byte, on CPU.

Knows nothing of files, clocks or terminals: the stage hands in what to do with a step, with a finished epoch, and with a state that may be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import SupportsFloat

import numpy as np
import torch
from torch import Tensor, nn

from footfall.contracts import EVENT_TYPES, PURCHASE
from footfall.core.sequences import Int64, Sequences
from footfall.core.signals import unknown_signals
from footfall.errors import SourceError
from footfall.model.batches import Layout, chop, group, pack_users
from footfall.model.content import ContentProjection, ItemContent, ItemFusion
from footfall.model.packs import Pack
from footfall.model.parallel import Processes, alone
from footfall.model.prepared import Prepared, prepare
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.repeatable import repeatable
from footfall.model.spectral import item_vectors
from footfall.model.training import State, Training
from footfall.params import Train

TARGET_TYPE = EVENT_TYPES.index(PURCHASE)
"""What is predicted: the items of the next purchase."""

OnStep = Callable[[int, int, SupportsFloat, float], None]
"""(step from 1, steps in all, loss, learning rate). Whoever makes a number of the loss waits until the device has come so far."""
OnEpoch = Callable[[SequenceModel], float | None]
"""Called with the model as it would be kept after each epoch. Where it answers with a figure, the model of the highest one is kept."""
Keep = Callable[[Callable[[], State]], None]
"""Called after each step with what makes the state of this moment; whoever wants to go on after a kill asks for it now and then."""


@dataclass(frozen=True)
class Trained:
    """A finished training run.

    Attributes:
        model: on CPU, in evaluation mode.
        events: training events an epoch; all of them, of all users.
        targets: targets an epoch.
        losses: (steps,) loss of each step.
        figures: what `on_epoch` answered, an epoch each.
        content: what gives items that came later a vector, where training had content; in evaluation mode.
    """

    model: SequenceModel
    events: int
    targets: int
    losses: list[float]
    figures: list[float] = field(default_factory=list)
    content: ContentProjection | None = None


def train(  # noqa: PLR0913 - what it may be given is all named
    sequences: Sequences,
    train_end: int,
    config: SequenceConfig,
    params: Train,
    on_step: OnStep | None = None,
    on_epoch: OnEpoch | None = None,
    keep: Keep | None = None,
    kept: State | None = None,
    processes: Processes | None = None,
    *,
    content: ItemContent | None = None,
) -> Trained:
    """Train a fresh model on what happened before `train_end` (microseconds); no later event is read, as input or as target.

    With `params.patience`, training stops after so many epochs in which `on_epoch` answered nothing better.
    With `kept`, the state of a run with the same arguments, it goes on from there: on one machine to the same weights, byte for byte.
    With `content`, item vectors are made of ids and content; without it not even a number is drawn for it.
    With `processes`, every one of which calls this with the same arguments, each reads its share of every step and all return the same model.

    Raises:
        SourceError: there is nothing to predict before `train_end`, or an item, query or duration that the configuration has no room for.
    """
    processes, params = processes or alone(), params.for_catalogue(config.items)
    device = processes.device
    with repeatable(params.seed, params.threads, bitwise=device.type == "cpu"):
        history = chop(sequences.before(train_end), config.max_events)
        _check(history, config)
        counts = torch.from_numpy(np.bincount(history.item_index, minlength=config.items + 1))
        model = SequenceModel(config)
        model.start_from(counts, item_vectors(history, config.items, config.dim, params.seed) if params.spectral_start else None)
        fusion = None if content is None else ItemFusion(content, counts, config.dim)
        if fusion is not None and params.spectral_start:
            fusion.start_from(model.item.weight)
        nn.Module.to(model, device)  # transformers' own `to` is untyped
        course = _Course(Training(model, counts, params, processes, None if fusion is None else fusion.to(device)))
        if kept is not None:
            course.resume(kept)
        prepared = prepare(history, TARGET_TYPE, params.basket_power).to(device)
        return _run(prepared, course, params, on_step, on_epoch, keep)


def _check(history: Sequences, config: SequenceConfig) -> None:
    if int(history.item_index.max(initial=0)) > config.items:
        raise SourceError("item outside the vocabulary", where="sequences", expected=f"at most {config.items}", found=int(history.item_index.max()))
    if problem := unknown_signals(history, config.queries, config.durations):
        raise SourceError("signal outside what the configuration knows", where="sequences", found=problem)


def make_packs(prepared: Prepared, params: Train, epoch: int = 0) -> Iterator[Pack]:
    """All users, shuffled anew each epoch and grouped to the token budget."""
    for users in _groups(prepared, params, epoch):
        yield pack_users(prepared, users, layout_of(prepared, params))


def layout_of(prepared: Prepared, params: Train) -> Layout:
    """How a step's users are best packed where they lie."""
    if prepared.device.type == "cpu":
        return Layout.EXACT
    return Layout.SIMILAR if params.negatives else Layout.BINS


def _groups(prepared: Prepared, params: Train, epoch: int) -> list[Int64]:
    order = np.random.default_rng([params.seed, epoch]).permutation(len(prepared))
    return list(group(prepared.events.lengths, params.tokens_per_step, order))


def rate_at(step: int, steps: int, params: Train) -> float:
    """Learning rate of step 0..steps-1: linear warm-up, then linear decay to zero."""
    warm_up = max(1, math.ceil(params.warmup_share * steps))
    return params.learning_rate * min((step + 1) / warm_up, 1.0 - step / steps)


class _Course:
    """How far a run is: its training, the losses of its steps, the figures of its epochs and the best weights so far."""

    def __init__(self, training: Training) -> None:
        """At the beginning."""
        self.training = training
        self.losses: list[Tensor] = []
        self.figures: list[float] = []
        self.epochs = 0
        self.best: dict[str, Tensor] = {}
        self.best_content: dict[str, Tensor] = {}

    def end_epoch(self, on_epoch: OnEpoch | None) -> None:
        """Ask for the epoch's figure, and keep its weights where there is none or no better one."""
        with self.training.averaged() as model:
            figure = None if on_epoch is None else on_epoch(model)
            if figure is not None:
                self.figures.append(figure)
            if figure is None or figure == max(self.figures):
                self.best = _copied(model)
                self.best_content = {} if self.training.content is None else _copied(self.training.content.projection)
        self.epochs += 1

    def is_stale(self, patience: int) -> bool:
        """Whether so many epochs have brought nothing better."""
        return bool(patience and self.figures and len(self.figures) - 1 - self.figures.index(max(self.figures)) >= patience)

    def told(self) -> list[float]:
        """The losses as numbers."""
        return torch.stack([loss.cpu().double() for loss in self.losses]).tolist() if self.losses else []

    def state(self) -> State:
        """All of it."""
        numbers = {"losses": torch.tensor(self.told(), dtype=torch.float64), "figures": torch.tensor(self.figures, dtype=torch.float64)}
        best = {f"best.{name}": one for name, one in self.best.items()} | {f"best_content.{name}": one for name, one in self.best_content.items()}
        return self.training.state() | numbers | {"epochs": torch.tensor(self.epochs)} | best

    def resume(self, state: State) -> None:
        """Go on from a `state`."""
        self.training.resume(state)
        self.losses, self.figures, self.epochs = list(state["losses"]), state["figures"].tolist(), int(state["epochs"])
        for kind, best in (("best.", self.best), ("best_content.", self.best_content)):
            best |= {name.removeprefix(kind): tensor for name, tensor in state.items() if name.startswith(kind)}


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def _run(prepared: Prepared, course: _Course, params: Train, on_step: OnStep | None, on_epoch: OnEpoch | None, keep: Keep | None) -> Trained:
    """All epochs that are left, or until `params.patience` of them have brought nothing."""
    training = course.training
    plan = [_groups(prepared, params, epoch) for epoch in range(params.epochs)]
    steps, layout = sum(map(len, plan)), layout_of(prepared, params)
    targets = int(prepared.targets.offsets[-1])
    if not targets:
        raise SourceError(
            "nothing to learn from", where="sequences", expected="a user with two purchases before the cut", found=f"{len(prepared)} users"
        )
    for epoch in range(course.epochs, params.epochs):
        done = len(course.losses) - sum(map(len, plan[:epoch]))
        for users in plan[epoch][done:]:
            rate = rate_at(len(course.losses), steps, params)
            mine = training.processes.share(prepared.events.lengths, users)
            course.losses.append(training.step(pack_users(prepared, mine, layout), rate))
            if on_step is not None:
                on_step(len(course.losses), steps, course.losses[-1], rate)
            if keep is not None:
                keep(course.state)
        course.end_epoch(on_epoch)
        if course.is_stale(params.patience):
            break
    model = training.model.cpu().eval()
    model.load_state_dict(course.best)
    content = None if training.content is None else training.content.projection.cpu().eval()
    if content is not None:
        content.load_state_dict(course.best_content)
    return Trained(model, int(prepared.events.offsets[-1]), targets, course.told(), course.figures, content)
