"""A measured training step over the least that its arithmetic can take: its operations at the rate of this machine's large matrix products.

Counted are two operations a weight of the blocks' matrices for each event, and two a number of the item table for each target; three times
that, because the gradients of both factors cost as much again each. Attention, norms, exponentials and the optimiser are not counted.
What is multiplied in bfloat16 (`train.precision`) is held to the machine's rate in bfloat16: on a CPU the item table alone, on a GPU all of it.
"""

from __future__ import annotations

import os
import shutil
import sys
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks.contestants.histories import read_histories
from benchmarks.race import Row, write_race
from benchmarks.racers import Racer, say_if_busy, take_turns
from benchmarks.shaped import beauty
from footfall.params import load_params

_WIDTHS = (64, 256)
_PRECISIONS = ("float32", "bfloat16")
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
        for dim, precision in product(_WIDTHS, _PRECISIONS):
            ours = Racer(f"footfall {dim} {precision}", "footfall", Path(sys.executable), told | {"dim": dim, "precision": precision})
            machine = {kind: Racer(f"machine {dim} {precision} {kind}", "gemm", Path(sys.executable), {"kind": kind}) for kind in _PRECISIONS}
            take_turns(root, folder, [*machine.values(), ours])
            rows.append(row(f"{called}, 2 blocks of width {dim}, softmax in {precision}", ours, machine, dim, items))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return write_race(root, "floor", rows, ["footfall", "torch", "numpy"])


def operations(weights: int, rows: float) -> float:
    """Floating-point operations of one training step on a matrix of so many weights that so many rows are multiplied with."""
    return 3.0 * 2.0 * weights * rows


def row(what: str, ours: Racer, machine: dict[str, Racer], dim: int, items: int) -> Row:
    """Medians over the timed steps: each step over the floor of itself, at the machine's median rates.

    Args:
        what: who was timed.
        ours: its timed steps.
        machine: products of matrices in each type.
        dim, items: size of the item table.
    """
    on = ours.facts["device"]
    rates = {kind: one.facts["flops"] / median(one.seconds) for kind, one in machine.items()}
    softmax = ours.facts["precision"]
    blocks = "float32" if on == "cpu" else softmax
    floors = [
        operations(ours.facts["encoder"], tokens) / rates[blocks] + operations(items * dim, targets) / rates[softmax]
        for tokens, targets in zip(ours.tokens, ours.targets, strict=True)
    ]
    spread = [seconds / floor for seconds, floor in zip(ours.seconds, floors, strict=True)]
    notes = {
        "footfall": ours.notes(),
        "gflops": {kind: [round(one.facts["flops"] / seconds / 1e9, 1) for seconds in _spread(one.seconds)] for kind, one in machine.items()},
        "times_the_floor": [round(one, 2) for one in _spread(spread)],
        "load": round(os.getloadavg()[0], 2),
    }
    named = " and ".join(f"{rates[kind] / 1e9:.0f} GFLOP/s ({part})" for part, kind in (("blocks", blocks), ("softmax", softmax)))
    named = f"floor at {named}"
    measured, floor = 1_000 * median(ours.seconds), 1_000 * median(floors)
    target = _ON_CPU if on == "cpu" else _ON_GPU
    tokens = round(median(ours.tokens))
    return Row(f"{what}, {tokens:,} events a step, {on}", "ms a step", measured, floor, named, target, at_least=False, notes=notes)


def _spread(values: list[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)
