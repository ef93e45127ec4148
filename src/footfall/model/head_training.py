"""Teaching the heads, once the backbone is done: its states are frozen, so the ranking does not change by a bit.

A lesson is a user and a moment of asking before the cut: right after one of the user's moments, as a request comes, or at any time between the user's
first moment and the cut, as a batch over all users comes. The answers are the types of the next moment, and the time to the next purchase, which
may lie beyond the cut: then it is only known to be longer than what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from footfall.core.outlook import SPANS, Float64, exposure, span_of
from footfall.core.rhythm import Moments
from footfall.core.sequences import DAY_US, Int64, Sequences
from footfall.model.batches import Layout, chop, group, pack_users
from footfall.model.heads import Heads
from footfall.model.network import SequenceNetwork
from footfall.model.prepared import prepare
from footfall.model.repeatable import repeatable
from footfall.params import Heads as Params

_EVENTS_A_BATCH = 16_384
_HELD_OUT = 0.1
"""Share of the users whose lessons only say when to stop."""
_RIGHT_AFTER = 1 / 3
"""Share of the lessons that are asked right after a moment."""
_AVERAGE = 0.99
"""Of the old that the moving average of the weights keeps at a step."""


@dataclass(frozen=True)
class Lessons:
    """Q questions and their answers.

    Attributes:
        user, at: (Q,) who is asked about, and when (microseconds).
        state: (Q, dim) of the backbone after the newest moment before `at`.
        figures: (Q, len(FIGURES)).
        types: (Q, 7) share of each event type in the next moment; all zero where none comes before the cut.
        exposed: (Q, SPANS) days of each span in which no purchase had come.
        bought: (Q, SPANS) 1 for the span in which it came.
    """

    user: Int64
    at: Int64
    state: Tensor
    figures: Tensor
    types: Tensor
    exposed: Tensor
    bought: Tensor

    def take(self, rows: Tensor) -> tuple[Tensor, ...]:
        """State, figures, types, exposed and bought of some of them."""
        return tuple(part[rows] for part in (self.state, self.figures, self.types, self.exposed, self.bought))


def teach_heads(network: SequenceNetwork, sequences: Sequences, train_end: int, params: Params, seed: int, threads: int) -> list[float]:
    """Set the weights of `network.heads` from what happened before `train_end` (microseconds); nothing else of the network changes.

    Returns:
        The held-out users' loss after each pass; the weights of the best pass are kept. Empty where there is nothing to learn from: the heads
        then stay untaught.
    """
    with repeatable(seed, threads):
        lessons = make_lessons(network, sequences.before(train_end), train_end, params, seed)
        return _teach(network.heads, lessons, params, seed) if len(lessons.user) else []


def make_lessons(network: SequenceNetwork, history: Sequences, end: int, params: Params, seed: int) -> Lessons:
    """A third of the lessons right after a moment, the others at any time, of as many drawn users as `params.events` allows."""
    draw = np.random.default_rng([seed, 1])
    order = draw.permutation(np.flatnonzero(history.lengths))
    users = np.sort(order[: max(1, int(np.searchsorted(np.cumsum(history.lengths[order]), params.events, side="right")))])
    chosen = history.take(users)
    moments = Moments(chosen)
    user, at = _questions(moments, end, params.lessons, draw)
    state = _states(network, chosen, moments.last_event[moments.newest(user, at)])
    types, exposed, bought = _answers(moments, user, at, end)
    figures = moments.figures(user, at, network.shape.max_events)
    return Lessons(user, at, state, *(torch.from_numpy(part.astype(np.float32)) for part in (figures, types, exposed, bought)))


def _questions(moments: Moments, end: int, lessons: int, draw: np.random.Generator) -> tuple[Int64, Int64]:
    track = moments.all
    if not len(track.times):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(track.offsets) - 1), np.diff(track.offsets))
    after = draw.permutation(len(owner))[: round(_RIGHT_AFTER * lessons)]
    anyone = draw.choice(np.unique(owner), lessons - round(_RIGHT_AFTER * lessons))
    first = track.times[track.offsets[anyone]] + 1
    anytime = first + np.floor(draw.random(len(anyone)) * (end - first)).astype(np.int64)
    user, at = np.concatenate([owner[after], anyone]), np.concatenate([track.times[after] + 1, anytime])
    inside = at < end
    return user[inside], at[inside]


def _answers(moments: Moments, user: Int64, at: Int64, end: int) -> tuple[Float64, Float64, Float64]:
    """Types of the next moment, days of each span without a purchase, and the span of the next one."""
    following, there = moments.all.next_after(user, at)
    types = moments.types[following] * there[:, None]
    purchase, bought = moments.bought.next_after(user, at)
    comes = np.full(len(at), end)
    comes[bought] = moments.bought.times[purchase[bought]]
    days = (comes - at) / DAY_US
    return types, exposure(days), np.eye(SPANS)[span_of(days)] * bought[:, None]


def _states(network: SequenceNetwork, chosen: Sequences, events: Int64) -> Tensor:
    """(Q, dim) state after each of some events, from as few packs as hold them all."""
    windows = chop(chosen, network.shape.max_events)
    window = np.searchsorted(windows.offsets, events, side="right") - 1
    states = torch.zeros(len(events), network.shape.dim)
    device = network.item_bias.device
    needed = np.unique(window)
    with torch.no_grad():
        for part in group(windows.lengths, _EVENTS_A_BATCH, needed):
            asked = np.flatnonzero(np.isin(window, part))
            packed = pack_users(prepare(windows.take(part)).to(device), np.arange(len(part)), Layout.EXACT)
            order = packed.order.numpy()
            starts = np.empty(len(part), np.int64)
            lengths = windows.lengths[part][order]
            starts[order] = np.cumsum(lengths) - lengths  # where each window's events stand in the pack
            place = starts[np.searchsorted(part, window[asked])] + events[asked] - windows.offsets[window[asked]]
            found, _ = network(packed)
            states[torch.from_numpy(asked)] = found[packed.moment[torch.from_numpy(place)].to(device)].float().cpu()
    return states


def _teach(heads: Heads, lessons: Lessons, params: Params, seed: int) -> list[float]:
    """AdamW with a falling rate; a moving average of the weights is kept, of the pass that the held-out users like best."""
    draw = torch.Generator().manual_seed(seed)
    chosen = np.unique(lessons.user)
    out = np.random.default_rng([seed, 2]).permutation(chosen)[: round(_HELD_OUT * len(chosen))]
    held = torch.from_numpy(np.isin(lessons.user, out))
    learn, check = torch.nonzero(~held)[:, 0], torch.nonzero(held)[:, 0]
    check = check if len(check) else learn
    weights = _start(heads, lessons.take(learn), draw)
    optimiser = torch.optim.AdamW(weights.values(), lr=params.learning_rate, betas=(0.9, 0.99))
    average = {name: weight.detach().clone() for name, weight in weights.items()}
    steps, done, losses, best = -(-len(learn) // params.batch) * params.passes, 0, list[float](), average
    for _ in range(params.passes):
        for rows in learn[torch.randperm(len(learn), generator=draw)].split(params.batch):
            loss = _loss(heads, weights, lessons.take(rows))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            optimiser.param_groups[0]["lr"] = params.learning_rate * (1 - done / steps)
            with torch.no_grad():  # a short memory at first, as in `training`
                torch._foreach_lerp_(list(average.values()), list(weights.values()), 1 - min(_AVERAGE, done / (10 + done)))
        with torch.no_grad():
            losses.append(float(_loss(heads, average, lessons.take(check))))
        if losses[-1] == min(losses):
            best = {name: weight.clone() for name, weight in average.items()}
    heads.load_state_dict(heads.state_dict() | best)
    return losses


def _start(heads: Heads, lessons: tuple[Tensor, ...], draw: torch.Generator) -> dict[str, Tensor]:
    """Set the figures' scale and the biases, so that at first everybody is told the average; returns what is to be learnt."""
    _, figures, types, exposed, bought = lessons
    spread = figures.std(0, correction=0)
    heads.mean.copy_(figures.mean(0))
    heads.scale.copy_(torch.where(spread > 1e-6, 1.0 / spread.clamp(min=1e-6), torch.ones(())))
    seen = torch.cat([types.sum(0) / types.sum().clamp(min=1.0), bought.sum(0) / exposed.sum(0).clamp(min=1e-3)])
    weights = {name: getattr(heads, name).detach().clone() for name in ("inner", "inner_bias", "outer", "direct", "bias")}
    weights["inner"] = torch.randn(weights["inner"].shape, generator=draw) / weights["inner"].shape[1] ** 0.5
    weights["bias"] = torch.log(seen + 1e-4)
    return {name: weight.requires_grad_() for name, weight in weights.items()}


def _loss(heads: Heads, weights: dict[str, Tensor], lessons: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy of the next moment's types, plus the negative log likelihood of the time to the next purchase; mean over lessons."""
    state, figures, types, exposed, bought = lessons
    logits, rates = torch.func.functional_call(heads, weights, (state, figures))
    of_types = -(types * F.log_softmax(logits, dim=1)).sum()
    of_purchase = (rates.exp() * exposed).sum() - (rates * bought).sum()
    loss: Tensor = (of_types + of_purchase) / len(state)
    return loss
