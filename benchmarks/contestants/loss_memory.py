"""`python loss_memory.py footfall|torch ITEMS DIM USERS OUT`: one loss and its gradients, and how much memory that took beyond what stood there.

Both are given the same states and table; each gradient goes to OUT as an .npz. Linux only: it asks /proc for the process's own high-water mark.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from footfall.core.sequences import Sequences
from footfall.model.batches import pack
from footfall.model.losses import softmax_loss
from footfall.model.packs import Pack
from footfall.model.trainer import TARGET_TYPE

LENGTH = 50
"""Targets a user."""


def inputs(items: int, dim: int, users: int) -> tuple[tuple[Tensor, Tensor, Tensor], Pack]:
    """States (rows, dim), table (items + 1, dim) and bias (items + 1,), all of them to be learnt; and users of fifty targets each."""
    draw = torch.Generator().manual_seed(7)
    events = users * (LENGTH + 1)
    item = torch.randint(1, items + 1, (events,), generator=draw, dtype=torch.int32).numpy()
    offsets = np.arange(0, events + 1, LENGTH + 1, dtype=np.int64)
    packed = pack(Sequences(item, np.full(events, TARGET_TYPE, np.int8), np.arange(events, dtype=np.int64), offsets), TARGET_TYPE)
    states, table, bias = (torch.randn(size, generator=draw).mul_(0.1).requires_grad_() for size in ((events, dim), (items + 1, dim), (items + 1,)))
    return (states, table, bias), packed


def ours(states: Tensor, table: Tensor, bias: Tensor, packed: Pack) -> Tensor:
    """The fused loss; nobody gets a bonus."""
    bonuses = [torch.zeros(stack.users, stack.moments, stack.distinct) for stack in packed.stacks]
    return softmax_loss(states, table, bias, bonuses, packed)


def theirs(states: Tensor, table: Tensor, bias: Tensor, packed: Pack) -> Tensor:
    """Torch's cross-entropy on all logits of the rows that have a target."""
    logits = torch.addmm(bias[1:], states[packed.target_row], table[1:].T)
    return torch.nn.functional.cross_entropy(logits, packed.target_item - 1)


def resident(name: str) -> float:
    """`VmRSS` (now) or `VmHWM` (at most, since it was last set back) of this process, MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> int:
    """Print one line of JSON."""
    who, items, dim, users, out = sys.argv[1:]
    contestant = {"footfall": ours, "torch": theirs}[who]
    small, packed = inputs(10, int(dim), 2)
    contestant(*small, packed).backward()  # what the libraries set up on first use is not the loss's
    weights, packed = inputs(int(items), int(dim), int(users))
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    start = time.perf_counter()
    loss = contestant(*weights, packed)
    loss.backward()
    seconds = time.perf_counter() - start
    peak = resident("VmHWM")
    grads = [weight.grad.numpy() for weight in weights if weight.grad is not None]
    np.savez(out, states=grads[0], table=grads[1], bias=grads[2])
    said = {"loss": loss.item(), "seconds": seconds, "before_mib": before, "peak_mib": peak, "targets": packed.targets}
    sys.stdout.write(json.dumps(said | {"version": f"torch {torch.__version__}"}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
