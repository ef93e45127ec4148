"""Leave one out, asked of several policies and seeds: masked and unmasked, with intervals, slices, and what was shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.figures import CUT, Figures, Learnt, by_user, difference, means, members, shown, sliced, table, with_intervals
from benchmarks.leave_one_out import Fold, Scores, place
from benchmarks.policies import PERSONAL
from footfall.core.sequences import Int64

MASKED, UNMASKED = "masked", "unmasked"
Mixes = Mapping[str, Mapping[str, float]]
"""Name of a policy -> part -> weight."""


@dataclass
class Gathered:
    """Places by policy: a run each, though a policy that no seed changes is ranked once; slates of the first run."""

    ranks: dict[str, list[Int64]] = field(default_factory=dict)
    slates: dict[str, Int64] = field(default_factory=dict)

    def figures(self) -> dict[str, Figures]:
        """Every user's figures, the mean over runs."""
        return {policy: by_user(runs) for policy, runs in self.ranks.items()}

    def seed(self, number: int) -> dict[str, dict[str, float]]:
        """Means over users of one run."""
        return {policy: means(by_user([runs[min(number, len(runs) - 1)]])) for policy, runs in self.ranks.items()}


def gather(fold: Fold, seeds: Iterable[Mapping[str, Scores]], mixes: Mixes, seeded: str) -> dict[str, Gathered]:
    """Rank for every user under every policy, masked and unmasked.

    Args:
        fold: whom to rank for.
        seeds: a run each, the parts by name.
        mixes: the policies. Personal frequency, whose whole say is what a mask takes out, is left out of the masked ones.
        seeded: the part that differs from run to run.
    """
    found = {MASKED: Gathered(), UNMASKED: Gathered()}
    for number, parts in enumerate(seeds):
        for said, gathered in found.items():
            asked = {name: mix for name, mix in mixes.items() if (number == 0 or mix.get(seeded)) and not (said == MASKED and set(mix) == {PERSONAL})}
            used = {part for mix in asked.values() for part, weight in mix.items() if weight}
            placed = place(fold, {part: parts[part] for part in used}, asked, masked=said == MASKED, slates=0 if number else CUT)
            for name, one in placed.items():
                gathered.ranks.setdefault(name, []).append(one.ranks)
                gathered.slates |= {} if number else {name: one.slates}
        now = found[MASKED].seed(number)
        sys.stdout.write(f"seed {number}, masked: " + ", ".join(f"{name} {one[f'ndcg@{CUT}']:.4f}" for name, one in now.items()) + "\n")
        sys.stdout.flush()
    return found


def report(gathered: Mapping[str, Gathered], learnt: Learnt, model: str, fused: str) -> dict[str, Any]:
    """All figures, JSON-ready.

    Args:
        gathered: masked and unmasked places.
        learnt: what slices and exposure are measured against.
        model, fused: the policies that are held against the best of the others.
    """
    slices = members(learnt)
    document: dict[str, Any] = {"mean": {}, "deviation": {}, "seeds": [], "differences": {}, "slices": {}, "shown": {}}
    runs = max(len(one) for gathering in gathered.values() for one in gathering.ranks.values())
    document["seeds"] = [{said: gathering.seed(number) for said, gathering in gathered.items()} for number in range(runs)]
    for said, gathering in gathered.items():
        policies = gathering.figures()
        document["mean"][said] = with_intervals(policies)
        document["deviation"][said] = {policy: _deviation([seed[said][policy] for seed in document["seeds"]]) for policy in policies}
        best = max((policy for policy in policies if policy not in (model, fused)), key=lambda policy: float(policies[policy][f"ndcg@{CUT}"].mean()))
        pairs = {f"{model}_minus_best_other": (model, best), f"{fused}_minus_best_other": (fused, best), f"{fused}_minus_{model}": (fused, model)}
        document["differences"][said] = {name: difference(policies, *pair) for name, pair in pairs.items()}
        document["slices"][said] = sliced(policies, slices)
        document["shown"][said] = shown(gathering.slates, learnt)
    return document


def say(document: Mapping[str, Any]) -> None:
    """Print what `report` made."""
    for said, policies in document["mean"].items():
        sys.stdout.write(f"\n{said}\n" + "".join(f"{line}\n" for line in table(policies)))
        for found in document["differences"][said].values():
            low, high = found["interval"]
            sys.stdout.write(f"{found['minuend']} minus {found['subtrahend']}: ndcg@{CUT} {found[f'ndcg@{CUT}']:+.4f} [{low:+.4f}, {high:+.4f}]\n")
        for name, slice_ in document["slices"][said].items():
            cells = "  ".join(f"{policy} {figures[f'ndcg@{CUT}']:.4f}" for policy, figures in slice_.items() if policy != "users")
            sys.stdout.write(f"slice {name:<14} {slice_['users']:>7} users, ndcg@{CUT}: {cells}\n")
        for policy, figures in document["shown"][said].items():
            sys.stdout.write(f"shown {policy:<26} " + "  ".join(f"{name} {value:.4g}" for name, value in figures.items()) + "\n")


def _deviation(seeds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.std([seed[name] for seed in seeds])), 6) for name in seeds[0]}
