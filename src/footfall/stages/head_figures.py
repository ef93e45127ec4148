"""What the heads are worth: section `heads` of reports/metrics.json.

Next item, next event type, time to the next purchase, each beside a logistic regression of the same histories that was fitted on the train part.
Computes; stage `evaluate` reads and writes.

A question with one possible answer is not put: the section says so in `reason`. Users who refuse to be analysed are nowhere among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from footfall.arrays.windows import Split, Targets
from footfall.contracts import EVENT_TYPES
from footfall.core.bootstrap import paired
from footfall.core.classification import log_losses, many_class_figures, two_class_figures
from footfall.core.logistic import fit_logistic
from footfall.core.metrics import Bools, Float64
from footfall.core.rhythm import KINDS, Moments
from footfall.core.sequences import DAY_US, Int64, Sequences
from footfall.params import Evaluate
from footfall.recommender import Recommender
from footfall.stages.next_item import next_item

HEADS, LOGISTIC = "heads", "logistic_regression"
_ASKED = 2000
"""Moments at which the next event type is asked for, one a user; drawn where there are more users."""
_FITTED = 20_000
_CUTS = 6
"""Moments of the train part at which the logistic regression learns who buys within the window's days."""
_USERS_A_CHUNK = 256
_DIGITS = 6


@dataclass(frozen=True)
class _Asked:
    """Q users, each at a moment."""

    users: Int64
    at: Int64


def head_figures(recommender: Recommender, analysed: Sequences, split: Split, targets: Targets, params: Evaluate) -> dict[str, Any]:
    """All three questions, on the test window.

    Args:
        recommender: the opened bundle.
        analysed: all events of all users who may be counted.
        split: when the train part ends, and where the test window lies.
        targets: first baskets of the test window, by position in `analysed`.
        params: resamples.
    """
    moments = Moments(analysed)
    found = {
        "next_item": next_item(recommender, analysed, split, targets, params.seed),
        "next_event_type": _next_event_type(recommender, analysed, moments, split, params),
        "time_to_next_purchase": _time_to_next_purchase(recommender, analysed, moments, split, params),
    }
    return rounded(found)


def _next_event_type(recommender: Recommender, analysed: Sequences, moments: Moments, split: Split, params: Evaluate) -> dict[str, Any]:
    """Asked right after a moment: the commonest type of the user's next moment, for moments that lie in the window."""
    draw = np.random.default_rng(params.seed)
    learnt, came_before = _following(moments, 0, split.train_end, draw, _FITTED, one_a_user=False)
    asked, came = _following(moments, split.test_start, split.as_of, draw, _ASKED, one_a_user=True)
    names = [EVENT_TYPES[code] for code in np.unique(np.concatenate([came_before, came]))]
    facts = {"asked": len(came), "classes": names}
    if len(names) < 2 or not len(came) or not len(came_before):
        return facts | {"reason": f"nothing to tell apart: all events are of one type, {', '.join(names)}"}
    regression = fit_logistic(_figures(recommender, moments, learnt), came_before, KINDS).chances(_figures(recommender, moments, asked))
    chances = {LOGISTIC: regression}
    if (outlook := _outlook(recommender, analysed, asked)) is not None:
        chances = {HEADS: outlook[0], **chances}
    return facts | {name: many_class_figures(came, rows) for name, rows in chances.items()} | _difference(came, chances, params)


def _following(moments: Moments, start: int, end: int, draw: np.random.Generator, most: int, *, one_a_user: bool) -> tuple[_Asked, Int64]:
    """Right after drawn moments whose next one lies in start <= t < end, and the commonest event type of that one."""
    times, offsets = moments.all.times, moments.all.offsets
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    follows = np.zeros(len(times), np.bool_)
    follows[1:] = owner[1:] == owner[:-1]
    rows = draw.permutation(np.flatnonzero(follows & (times >= start) & (times < end)))
    if one_a_user:
        rows = rows[np.unique(owner[rows], return_index=True)[1]]
        rows = draw.permutation(rows)
    rows = np.sort(rows[:most])
    return _Asked(owner[rows], times[rows - 1] + 1), moments.types[rows].argmax(axis=1)


def _time_to_next_purchase(recommender: Recommender, analysed: Sequences, moments: Moments, split: Split, params: Evaluate) -> dict[str, Any]:
    """Asked at the window's first moment of everybody who was there before: does a purchase come within the window?"""
    span = split.as_of - split.test_start
    asked, came = _at_cut(moments, split.test_start, span)
    cuts = [_at_cut(moments, split.train_end - n * span, span) for n in range(1, _CUTS + 1)]
    learnt = _Asked(np.concatenate([one.users for one, _ in cuts]), np.concatenate([one.at for one, _ in cuts]))
    came_before = np.concatenate([bought for _, bought in cuts])
    facts = {"days": span / DAY_US, "users": len(came), "bought": float(came.mean()) if len(came) else 0.0}
    if len(np.unique(came)) < 2 or len(np.unique(came_before)) < 2:
        return facts | {"reason": "nothing to tell apart: everybody bought, or nobody"}
    regression = fit_logistic(_figures(recommender, moments, learnt), came_before.astype(np.int64), 2)
    chances = {LOGISTIC: regression.chances(_figures(recommender, moments, asked))[:, 1]}
    if (outlook := _outlook(recommender, analysed, asked, span / DAY_US)) is not None:
        chances = {HEADS: outlook[1], **chances}
    both = {name: np.column_stack([1 - chance, chance]) for name, chance in chances.items()}
    return facts | {name: two_class_figures(came, chance) for name, chance in chances.items()} | _difference(came, both, params)


def _at_cut(moments: Moments, cut: int, span: int) -> tuple[_Asked, Bools]:
    """Everybody with a moment before `cut`, and whether they bought in the span from it on."""
    everybody = np.arange(len(moments.all.offsets) - 1)
    users = everybody[moments.all.place(everybody, np.full(len(everybody), cut)) > moments.all.offsets[:-1]]
    at = np.full(len(users), cut)
    place, there = moments.bought.next_after(users, at)
    came = there.copy()
    came[there] = moments.bought.times[place[there]] < cut + span
    return _Asked(users, at), came


def _figures(recommender: Recommender, moments: Moments, asked: _Asked) -> Float64:
    return moments.figures(asked.users, asked.at, recommender.history_events)


def _outlook(recommender: Recommender, analysed: Sequences, asked: _Asked, days: float = 1.0) -> tuple[Float64, Float64] | None:
    """Chances (Q, 7) of the next event type and (Q,) of a purchase within so many days; None where the bundle's model cannot tell."""
    types, within = np.empty((len(asked.users), KINDS)), np.empty(len(asked.users))
    for first in range(0, len(asked.users), _USERS_A_CHUNK):
        rows = slice(first, first + _USERS_A_CHUNK)
        outlook = recommender.outlook(analysed.take(asked.users[rows]), asked.at[rows])
        if outlook is None:
            return None
        types[rows], within[rows] = outlook.event_type, outlook.purchase_within(days)
    return types, within


def _difference(came: Int64 | Bools, chances: dict[str, Float64], params: Evaluate) -> dict[str, Any]:
    """By how much the heads' log loss is lower, with its paired interval over users."""
    if HEADS not in chances:
        return {"reason": "the bundle's model has no heads that were taught"}
    found = paired(log_losses(came, chances[LOGISTIC]), log_losses(came, chances[HEADS]), params.bootstrap, params.seed)
    return {"log_loss_saved": {"mean": found.mean, "interval": [found.low, found.high]}}


def rounded(section: dict[str, Any]) -> dict[str, Any]:
    """A section as it is written."""
    found: dict[str, Any] = _round(section)
    return found


def _round(value: Any) -> Any:
    """Six digits everywhere: more than any interval resolves, and the same on every machine."""
    if isinstance(value, dict):
        return {name: _round(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_round(one) for one in value]
    return float(np.round(value, _DIGITS)) if isinstance(value, float) else value
