"""Torch made to give the same bytes again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def repeatable(seed: int, threads: int, *, bitwise: bool = True) -> Iterator[None]:
    """Seeded, deterministic torch on `threads` threads; what was set before is set again afterwards.

    Args:
        bitwise: refuse operations that have no deterministic form. On a GPU that would take several times as long, and is not promised.
    """
    deterministic: Any = torch.utils.deterministic
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        deterministic.fill_uninitialized_memory,
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(bitwise)
    deterministic.fill_uninitialized_memory = False  # a debugging aid that costs a tenth of a step
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=before[2])
        deterministic.fill_uninitialized_memory = before[3]
