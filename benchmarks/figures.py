"""What the quality races ask of one target a user, and how they print: the figures themselves stand in `footfall.core.figures`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.leave_one_out import Fold
from footfall.core.figures import Resampling
from footfall.core.metrics import CUTOFFS, Bools
from footfall.core.sequences import Int64
from footfall.core.slices import slice_users, target_slices

CUT = 10
RESAMPLING = Resampling(draws=500, seed=7)
COLD_EVENTS, TAIL_SHARE = 5, 0.2
"""A cold user has fewer events before the target, a cold item fewer in train; the tail of the items holds the last fifth of train's events."""


def members(fold: Fold, counts: Int64) -> dict[str, Bools]:
    """Slices of the users by their history and by their one target; short and long are the quarters at the ends.

    Args:
        fold: whom is ranked for.
        counts: (V,) events of each item in what was learnt from.
    """
    low, high = np.quantile(fold.history.lengths, [0.25, 0.75])
    offsets = np.arange(len(fold.history) + 1, dtype=np.int64)
    found = slice_users(fold.history, offsets, fold.targets, cold_events=COLD_EVENTS, short_events=int(low), long_events=int(high))
    return found | target_slices(fold.targets, counts, cold_events=COLD_EVENTS, tail_share=TAIL_SHARE)


def table(policies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines for a terminal: a policy each, four figures at every cut-off."""
    names = [f"{name}@{k}" for name in ("ndcg", "recall", "mrr", "hit_rate") for k in CUTOFFS]
    lines = [f"{'':<26} " + " ".join(f"{name:>11}" for name in names)]
    for policy, figures in policies.items():
        low, high = figures["interval"][f"ndcg@{CUT}"]
        cells = " ".join(f"{figures[name]:>11.4f}" for name in names)
        lines.append(f"{policy:<26} {cells}   ndcg@{CUT} {low:.4f} to {high:.4f}")
    return lines


def lines_of(report: Mapping[str, Any]) -> list[str]:
    """Lines for a terminal: policies, paired differences, slices, and what is shown."""
    name = f"ndcg@{CUT}"
    lines = table(report["policies"])
    for found in report["differences"].values():
        low, high = found["interval"]
        lines.append(f"{found['minuend']} minus {found['subtrahend']}: {name} {found[name]:+.4f} [{low:+.4f}, {high:+.4f}]")
    for slice_, figures in report["slices"].items():
        cells = "  ".join(f"{policy} {one[name]:.4f}" for policy, one in figures.items() if isinstance(one, Mapping))
        lines.append(f"slice {slice_:<14} {figures['users']:>7} users, {name}: {cells}")
    for policy, figures in report["shown"].items():
        lines.append(f"shown {policy:<26} " + "  ".join(f"{what} {value:.4g}" for what, value in figures.items()))
    return lines
