"""A measured training step over the least that its arithmetic can take: its operations at the rate of this machine's large matrix products.

Counted are two operations a weight of the blocks' matrices for each event, and two a number of the item table for each target; three times
that, because the gradients of both factors cost as much again each. Attention, norms, exponentials and the optimiser are not counted.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from statistics import median

from benchmarks.contestants.histories import read_histories
from benchmarks.race import Row, write_race
from benchmarks.racers import Racer, say_if_busy, take_turns
from benchmarks.shaped import beauty
from footfall.params import load_params

_WIDTHS = (64, 256)
_ON_CPU, _ON_GPU = 2.5, 3.0
_GPU_TOKENS = 51_200


def run(root: Path, full: bool) -> Path:
    """Two blocks of both widths with the exact softmax, in steps of as many events as params.yaml says, at least 51,200 of them on a GPU."""
    del full
    folder = root / ".footfall" / "bench" / "floor"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        say_if_busy()
        sequences, called = beauty(folder)
        items = max(max(users) for users in read_histories(str(sequences), 0))
        told = {"sequences": str(sequences), "items": items, "length": 50, "dropout": 0.2, "rate": 1e-3, "negatives": 0, "checked": 64}
        told |= {"tokens": load_params(root / "params.yaml").train.tokens_per_step, "tokens_on_gpu": _GPU_TOKENS}
        rows = []
        for dim in _WIDTHS:
            ours = Racer(f"footfall {dim}", "footfall", Path(sys.executable), told | {"dim": dim})
            machine = Racer(f"machine {dim}", "gemm", Path(sys.executable), {})
            take_turns(root, folder, [machine, ours])
            rows.append(row(f"{called}, 2 blocks of width {dim}", ours, machine, dim, items))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return write_race(root, "floor", rows, ["footfall", "torch", "numpy"])


def operations(encoder: int, tokens: float, items: int, dim: int, targets: float) -> float:
    """Floating-point operations of one training step.

    Args:
        encoder: weights of the blocks' matrices.
        tokens, targets: events read and items predicted in the step.
        items, dim: size of the item table.
    """
    return 3.0 * (2.0 * encoder * tokens + 2.0 * items * dim * targets)


def row(what: str, ours: Racer, machine: Racer, dim: int, items: int) -> Row:
    """Medians over the timed steps: each step over the floor of itself, at the median rate of the machine."""
    rate = machine.facts["flops"] / median(machine.seconds)
    floors = [
        operations(ours.facts["encoder"], tokens, items, dim, targets) / rate for tokens, targets in zip(ours.tokens, ours.targets, strict=True)
    ]
    best = machine.facts["flops"] / min(machine.seconds)
    spread = sorted(seconds / floor for seconds, floor in zip(ours.seconds, floors, strict=True))
    notes = {
        "footfall": ours.notes(),
        "gflops": [round(one / 1e9, 1) for one in (rate, machine.facts["flops"] / max(machine.seconds), best)],
        "times_the_floor": [round(one, 2) for one in (median(spread), spread[0], spread[-1])],
        "operations_a_step": round(median(floors) * rate),
        "load": round(os.getloadavg()[0], 2),
    }
    named = f"floor at {rate / 1e9:.0f} GFLOP/s"
    on = machine.facts["device"]
    measured, floor = 1_000 * median(ours.seconds), 1_000 * median(floors)
    target = _ON_CPU if on == "cpu" else _ON_GPU
    tokens = round(median(ours.tokens))
    return Row(f"{what}, {tokens:,} events a step, {on}", "ms a step", measured, floor, named, target, at_least=False, notes=notes)
