"""Several processes that train one model together, a GPU each or on CPU: torch's own `torchrun` starts them, DistributedDataParallel adds them up.

Every step's users are dealt to the processes, so the steps are those of one process, and so is the loss: a weighted mean over all moments of the
step, whoever reads them. What differs is the order in which sums are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from footfall.core.sequences import Int64
from footfall.errors import SettingsError

Part = Callable[[Tensor, Tensor], Tensor]
"""(a weighted mean over what this process read, its total weight) -> what to minimise here; see `Processes.part`."""


@dataclass(frozen=True)
class Processes:
    """This process and those that it trains with.

    Attributes:
        device: what this one computes on.
        rank: its number, from 0; number 0 writes and tells.
        count: how many there are.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes and tells."""
        return self.rank == 0

    def share(self, lengths: Int64, users: Int64) -> Int64:
        """This process's users of a step, dealt by length to and fro so that all have about as much to do.

        Fewer users than processes are read by every process: nobody waits for somebody without work, and no weighted mean changes by it.
        """
        if self.count == 1 or len(users) < self.count:
            return users
        turn, place = np.divmod(np.arange(len(users)), self.count)
        dealt = users[np.argsort(-lengths[users], kind="stable")]
        mine: Int64 = dealt[np.where(turn % 2, self.count - 1 - place, place) == self.rank]
        return mine

    def wrap(self, loss: nn.Module) -> nn.Module:
        """`loss`, a module that answers with what to minimise, with gradients that are means over the processes."""
        if self.count == 1:
            return loss
        # Which weights a step needs may depend on its users, so torch must look; the spare one keeps it from a warning where all are needed.
        loss.register_parameter("spare", nn.Parameter(torch.zeros(1, device=self.device)))
        return DistributedDataParallel(loss, find_unused_parameters=True, broadcast_buffers=False)

    def part(self, mean: Tensor, weight: Tensor) -> Tensor:
        """What to minimise here so that the mean over processes is the weighted mean over everything that all of them read."""
        if self.count == 1:
            return mean
        total = weight.detach().clone()
        dist.all_reduce(total)
        return mean * (self.count * weight / total.clamp(min=1e-9))

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over the processes."""
        if self.count == 1:
            return value
        total = value / self.count
        dist.all_reduce(total)
        return total

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums of numbers over the processes."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return [float(one) for one in sums]

    def hand_on(self, data: bytes | None) -> bytes | None:
        """What process 0 holds, to all: one file is read and one alone, on whatever machine the others are."""
        if self.count == 1:
            return data
        size = torch.tensor(-1 if data is None else len(data))
        dist.broadcast(size, 0)
        if size < 0:
            return None
        content = torch.from_numpy(np.frombuffer(data or b"\0" * int(size), np.uint8).copy())
        dist.broadcast(content, 0)
        return content.numpy().tobytes()

    def reseed(self, seed: int, step: int) -> None:
        """Chances of this process and step, so that no two drop out alike and a run that was cut off needs one process's state alone."""
        if self.count > 1:
            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1)[0]))


def alone() -> Processes:
    """One process, on a GPU where there is one."""
    return Processes(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def joined() -> Iterator[Processes]:
    """All processes that `torchrun` started, joined for the block; this one alone where it was started otherwise.

    Raises:
        SettingsError: more processes than GPUs on a machine.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield alone()
        return
    device = _own_device()
    dist.init_process_group("gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl")
    yield Processes(device, dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()  # not after an error: the others may be waiting, and torchrun ends them


def _own_device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    mine, gpus = dist.get_node_local_rank(), torch.cuda.device_count()
    if mine >= gpus:
        raise SettingsError(
            "more processes than GPUs",
            where="torchrun",
            expected=f"at most {gpus}",
            found=mine + 1,
            next_step=f"torchrun --nproc-per-node {gpus} ...",
        )
    torch.cuda.set_device(mine)
    return torch.device("cuda", mine)
