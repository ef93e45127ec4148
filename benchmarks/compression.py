"""What a smaller model costs and brings: each form's ndcg@10, bytes, and milliseconds to one user's ten best.

    python -m benchmarks compression [--sequences FILE] [--epochs 6]

The model is trained as `time-to-quality` trains it, for fewer epochs; a student has half the width and one block, and what something was taken
out of is trained a little more. ndcg@10 on the test targets (and on validation, in the file), leave one out, histories masked. Each form of the item
table is timed among the file's items and among a million generated ones. Without a file a generated one stands in, of which ndcg says nothing.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contestants.lessons import Lesson, student, teach
from benchmarks.contestants.smaller import TABLES, Smaller, masks, pruned, without_last_block
from benchmarks.leave_one_out import Fold, LeaveOneOut, Scores, ndcg, ranks, split
from benchmarks.race import Row, interleaved, write_race
from benchmarks.sequences_text import read_sequences_text
from benchmarks.shaped import beauty
from benchmarks.time_to_quality import QUICK, SHAPE
from footfall.contracts import EVENT_TYPES
from footfall.core.metrics import top_k
from footfall.core.sequences import Sequences
from footfall.model.pretrained import SequenceConfig
from footfall.model.trainer import train
from footfall.params import Train

CUT, MANY = 10, 1_000_000
WHOLE = "float32, whole"
EPOCHS = 6
"""Fewer than `time-to-quality` takes, so that all of it fits four minutes."""
AGAIN = 2
"""Epochs of training after something was taken out, at a fifth of the learning rate."""
_CALLS = 5


@dataclass(frozen=True)
class Bill:
    """What one form costs.

    Attributes:
        validation, test: ndcg@10.
        size, size_of_many: bytes of all weights, at the file's items and at a million.
        ms, ms_of_many: median milliseconds to one user's ten best, among as many items.
    """

    validation: float
    test: float
    size: int
    size_of_many: int
    ms: float
    ms_of_many: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this race alone."""
    parser.add_argument("--sequences", type=Path, help="a file in the S3-Rec text form, perhaps .gz")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the whole model and of the students")
    parser.add_argument("--many", type=int, default=MANY, help="generated items")
    parser.add_argument("--rounds", type=int, default=20, help=f"of {_CALLS} timed requests a form")


def run(root: Path, options: argparse.Namespace) -> Path:
    """Train, make smaller, rank, time, print and write."""
    path, called = (options.sequences, "the file's") if options.sequences else beauty(root / ".footfall" / "bench" / "compression")
    parts = split(read_sequences_text(path))
    forms = make_forms(parts, replace(QUICK, epochs=options.epochs))
    scores = {name: form.scores() for name, form in forms.items()}
    ranked = {name: (_ndcg(parts.validation, of_form), _ndcg(parts.test, of_form)) for name, of_form in scores.items()}
    _say("ranked")
    few = latencies(scores, parts.test.history, options.rounds)
    many = latencies({name: form.scores_among(options.many) for name, form in forms.items()}, parts.test.history, options.rounds)
    _say("timed")
    bills = {name: Bill(*ranked[name], form.stored(parts.items), form.stored(options.many), few[name], many[name]) for name, form in forms.items()}
    file = write_race(root, "compression", rows(bills, called, parts.items, options.many), ["footfall", "torch", "numpy"])
    sys.stdout.writelines(table(bills, parts.items, options.many))
    return file


def make_forms(parts: LeaveOneOut, params: Train) -> dict[str, Smaller]:
    """The whole model, its table in other forms, students, and what is left when something was taken out."""
    shape: Mapping[str, Any] = SHAPE
    config = SequenceConfig(items=parts.items, event_types=len(EVENT_TYPES), channels=1, max_events=50, **shape)
    whole = train(parts.train, np.iinfo(np.int64).max, config, params).model
    _say("trained the whole model")
    forms = {WHOLE: Smaller(whole)} | {name: Smaller(whole, form(whole.shape.dim)) for name, form in TABLES.items()}
    half = {"dim": whole.shape.dim // 2, "heads": max(whole.shape.heads // 2, 1), "blocks": 1}
    for name, lesson in (("student, taught", Lesson(teacher=whole)), ("student, alone", Lesson())):
        forms[name] = Smaller(teach(student(parts.train, whole, params, **half), parts.train, params, lesson))
        _say(f"trained the {name}")
    after = replace(params, epochs=AGAIN, learning_rate=params.learning_rate / 5)
    forms["without the last block"] = Smaller(teach(without_last_block(whole), parts.train, after, Lesson()))
    kept = masks(whole, 0.5)
    forms["half of the blocks' weights"] = pruned(teach(deepcopy(whole), parts.train, after, Lesson(kept=kept)), kept)
    _say("trained what was taken out of")
    return forms


def latencies(forms: Mapping[str, Scores], histories: Sequences, rounds: int) -> dict[str, float]:
    """Median milliseconds to one user's ten best, the forms in turn, each with the same users."""
    timers = {name: _timer(form, histories) for name, form in forms.items()}
    interleaved(timers, 1)  # the first is never counted
    return {name: median(taken) for name, taken in interleaved(timers, rounds).items()}


def _timer(form: Scores, histories: Sequences) -> Callable[[], float]:
    """Each call asks for the next few users; the median of their milliseconds."""
    users = itertools.cycle(np.random.default_rng(7).permutation(len(histories)))

    def timed() -> float:
        taken = []
        for user in itertools.islice(users, _CALLS):
            history = histories.take(np.array([user]))
            begun = time.perf_counter()
            top_k(form(history), CUT)
            taken.append(1_000 * (time.perf_counter() - begun))
        return median(taken)

    return timed


def rows(bills: Mapping[str, Bill], called: str, items: int, many: int) -> list[Row]:
    """Four a form, each against the whole model."""
    whole, found = bills[WHOLE], []
    for name, bill in bills.items():
        notes = asdict(bill)
        found += [
            Row(f"{name}: ranking, {called} {items:,} items", "ndcg@10", bill.test, whole.test, WHOLE, notes=notes),
            Row(f"{name}: size at {many:,} items", "bytes", bill.size_of_many, whole.size_of_many, WHOLE, at_least=False),
            Row(f"{name}: one user's ten best of {items:,}", "ms", bill.ms, whole.ms, WHOLE, at_least=False),
            Row(f"{name}: one user's ten best of {many:,}", "ms", bill.ms_of_many, whole.ms_of_many, WHOLE, at_least=False),
        ]
    return found


def table(bills: Mapping[str, Bill], items: int, many: int) -> list[str]:
    """A line a form."""
    whole = bills[WHOLE]
    lines = [f"{'':<34}{'ndcg@10':>8} {'change':>7}  {'MB, ms at':>9} {items:<9,}  {'MB, ms at':>9} {many:<9,}\n"]
    for name, bill in bills.items():
        change = bill.test / whole.test - 1 if whole.test else 0.0
        few, more = f"{bill.size / 1e6:>9.2f} {bill.ms:<9.3f}", f"{bill.size_of_many / 1e6:>9.1f} {bill.ms_of_many:<9.2f}"
        lines.append(f"{name:<34}{bill.test:>8.4f} {change:>+7.1%}  {few}  {more}\n")
    return lines


def _ndcg(fold: Fold, scores: Scores) -> float:
    return ndcg(ranks(fold, {"form": scores}, {"form": {"form": 1.0}}, masked=True)["form"], CUT)


def _say(what: str) -> None:
    sys.stderr.write(f"compression: {what}\n")
