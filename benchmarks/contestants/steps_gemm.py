"""The machine itself: large products of matrices, the fastest arithmetic that it has. A "step" is one product."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.contestants.turns import Turns

SIZE, SIZE_ON_GPU = 3_072, 8_192
"""Rows and columns of each matrix."""


def run(settings: dict[str, Any], turns: Turns) -> None:
    """In the type `kind` of the settings, `float32` or `bfloat16`."""
    torch.set_num_threads(settings["threads"])
    gpu, kind = torch.cuda.is_available(), getattr(torch, settings["kind"])
    device, size = ("cuda", SIZE_ON_GPU) if gpu else ("cpu", SIZE)
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    found = torch.empty_like(left)
    turns.begin(version=f"torch {torch.__version__}", flops=2 * size**3, device=torch.cuda.get_device_name() if gpu else device)
    for _ in range(settings["steps"]):
        torch.mm(left, right, out=found)
        if gpu:
            torch.cuda.synchronize()
        turns.stepped(0, 0)
    turns.end()
