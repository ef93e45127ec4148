"""Leave one out, asked of several policies and seeds: masked and unmasked, with intervals, slices, and what was shown."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.figures import CUT, RESAMPLING, members
from benchmarks.leave_one_out import Fold, Scores, place
from benchmarks.policies import PERSONAL
from footfall.core.figures import Figures, Learnt, best_of, difference, from_ranks, means, on_slice, shown, with_intervals
from footfall.core.metrics import Bools
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
        return {policy: from_ranks(runs) for policy, runs in self.ranks.items()}

    def seed(self, number: int) -> dict[str, dict[str, float]]:
        """Means over users of one run."""
        return {policy: means(from_ranks([runs[min(number, len(runs) - 1)]])) for policy, runs in self.ranks.items()}


def gather(fold: Fold, seeds: Iterable[Mapping[str, Scores]], mixes: Mixes, seeded: str | Collection[str]) -> dict[str, Gathered]:
    """Rank for every user under every policy, masked and unmasked.

    Args:
        fold: whom to rank for.
        seeds: a run each, the parts by name.
        mixes: the policies. Personal frequency, whose whole say is what a mask takes out, is left out of the masked ones.
        seeded: the part, or parts, that differ from run to run.
    """
    differing = {seeded} if isinstance(seeded, str) else set(seeded)
    found = {MASKED: Gathered(), UNMASKED: Gathered()}
    for number, parts in enumerate(seeds):
        for said, gathered in found.items():
            new = {name: mix for name, mix in mixes.items() if number == 0 or any(mix.get(part) for part in differing)}
            asked = {name: mix for name, mix in new.items() if not (said == MASKED and set(mix) == {PERSONAL})}
            used = {part for mix in asked.values() for part, weight in mix.items() if weight}
            placed = place(fold, {part: parts[part] for part in used}, asked, masked=said == MASKED, slates=0 if number else CUT)
            for name, one in placed.items():
                gathered.ranks.setdefault(name, []).append(one.ranks)
                gathered.slates |= {} if number else {name: one.slates}
        now = found[MASKED].seed(number)
        sys.stdout.write(f"seed {number}, masked: " + ", ".join(f"{name} {one[f'ndcg@{CUT}']:.4f}" for name, one in now.items()) + "\n")
        sys.stdout.flush()
    return found


def report(gathered: Mapping[str, Gathered], fold: Fold, counts: Int64, model: str, fused: str) -> dict[str, Any]:
    """Figures of every seed, their deviation, and for masked and unmasked: means with intervals, paired differences, slices, what is shown.

    Args:
        gathered: masked and unmasked places.
        fold: whom was ranked for.
        counts: (V,) events of each item in what was learnt from.
        model, fused: the policies that are held against the best of the others.
    """
    slices = members(fold, counts)
    runs = max(len(one) for gathering in gathered.values() for one in gathering.ranks.values())
    seeds = [{said: gathering.seed(number) for said, gathering in gathered.items()} for number in range(runs)]
    deviation = {said: {policy: _deviation([seed[said][policy] for seed in seeds]) for policy in seeds[0][said]} for said in gathered}
    mean = {said: {policy: means(figures) for policy, figures in gathering.figures().items()} for said, gathering in gathered.items()}
    return {"seeds": seeds, "mean": mean, "deviation": deviation} | {
        said: _report(gathering, Learnt(counts, fold.history), slices, model, fused) for said, gathering in gathered.items()
    }


def _report(gathering: Gathered, learnt: Learnt, slices: Mapping[str, Bools], model: str, fused: str) -> dict[str, Any]:
    policies, ndcg, hits = gathering.figures(), f"ndcg@{CUT}", f"hit_rate@{CUT}"
    best = best_of(policies, [policy for policy in policies if policy not in (model, fused)], ndcg)
    pairs = {f"{model}_minus_best_other": (model, best), f"{fused}_minus_best_other": (fused, best), f"{fused}_minus_{model}": (fused, model)}
    return {
        "policies": {policy: with_intervals(figures, (ndcg, hits), RESAMPLING) for policy, figures in policies.items()},
        "differences": {name: difference(policies, *pair, ndcg, RESAMPLING) for name, pair in pairs.items()},
        "slices": {name: on_slice(policies, users, (ndcg, hits), RESAMPLING) for name, users in slices.items()},
        "shown": {policy: shown(slates, learnt, CUT) for policy, slates in gathering.slates.items()},
    }


def _deviation(seeds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.std([seed[name] for seed in seeds])), 6) for name in seeds[0]}
