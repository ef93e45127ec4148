"""What a fused score is worth in purchases, learnt on the validation window for `stages.bundle`: `core.chances` has the thinking.

Labels: what users bought within seven days of the training cut. Cases: the best items of everybody with a history before it, buyers or not; users who
refuse to be analysed are left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from footfall.arrays.windows import Split
from footfall.bundle_files import Chances, Fusion
from footfall.core import chances
from footfall.core.metrics import Float64, top_k
from footfall.core.parts import PartReader
from footfall.core.policies import FUSED, Policies
from footfall.core.rhythm import Moments
from footfall.core.sequences import DAY_US, Int64, Sequences

MOST_USERS = 4000
"""Users whose lines are learnt from: 400,000 lines settle a hundred levels."""
_USERS_A_CHUNK = 256


def learn_chances(reader: PartReader, fusion: Fusion, popularity: Float64, analysed: Sequences, split: Split) -> Chances | None:
    """The chances of the fused policy, or None where validation cannot tell.

    Args:
        reader: of the parts, as they were known at the training cut.
        fusion: weights and temperature of the policy.
        popularity: (V,) purchases before the training cut, which order ties.
        analysed: all events of the users who may be counted.
        split: labels begin at its training cut; a validation window shorter than they are tells nothing, for test labels must not.
    """
    at = split.train_end
    users = chances.evenly(np.flatnonzero(analysed.before(at).lengths), MOST_USERS)
    if not len(users) or at + chances.DAYS * DAY_US > split.test_start:
        return None
    policies = Policies.of(fusion.weights, popularity)
    drawn = analysed.take(users)
    asked, columns, scores = _best(replace(reader, temperature=fusion.temperature), policies, drawn, at)
    bought = chances.bought_within(drawn, asked, at, columns)
    figures = Moments(drawn).figures(asked, np.full(len(asked), at), reader.history_events)
    model = chances.fit_chances(scores, chances.pace(figures), bought)
    if model is None:
        return None
    told, steps = dict(zip(chances.READ, model.weights.tolist(), strict=True)), (model.steps.starts.tolist(), model.steps.levels.tolist())
    return Chances(FUSED, chances.DAYS, chances.DEPTH, told, *steps, users=len(asked), lines=bought.size, bought=float(bought.mean()))


def _best(reader: PartReader, policies: Policies, drawn: Sequences, at: int) -> tuple[Int64, Int64, Float64]:
    """(A,) those of the drawn users who can be scored, and (A, DEPTH) columns and scores of their best items."""
    asked, columns, scores = [], [], []
    for some in np.array_split(np.arange(len(drawn)), -(-len(drawn) // _USERS_A_CHUNK)):
        parts = reader.read(drawn.take(some), at, policies.needed(FUSED))
        known = np.array([reason is None for reason in parts.degraded])
        rows = policies.combine(parts, FUSED)[known]
        best = top_k(rows, chances.DEPTH)
        asked.append(some[known])
        columns.append(best)
        scores.append(np.take_along_axis(rows, best, axis=1))
    return np.concatenate(asked), np.concatenate(columns), np.concatenate(scores)
