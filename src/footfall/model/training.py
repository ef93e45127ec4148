"""One optimiser step after another, and everything that the next one depends on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from footfall.model.content import ItemFusion
from footfall.model.losses import narrow_type, softmax_loss
from footfall.model.network import REPEAT
from footfall.model.packs import Pack
from footfall.model.parallel import Part, Processes
from footfall.model.pretrained import SequenceModel
from footfall.model.sampled_softmax import NegativeSampler
from footfall.params import Train

State = dict[str, Tensor]
"""All that a training run needs to go on where it was, by name."""


class StepLoss(nn.Module):
    """What a step minimises, as one module: all use of weights lies in its `forward`, where DistributedDataParallel looks for it."""

    def __init__(self, model: SequenceModel, part: Part, content: ItemFusion | None = None, factors: torch.dtype | None = None) -> None:
        """Of `model`; `part` makes a mean over this process's moments a part of that over all; `content` has a say in item vectors.

        With `factors` the softmax's products are rounded, and on a GPU the model's too.
        """
        super().__init__()
        self.model, self._part, self.content, self._factors = model, part, content, factors

    def forward(self, packed: Pack, drawn: tuple[Tensor, Tensor] | None) -> Tensor:
        """A number; `drawn` as in `softmax_loss`."""
        device = self.model.item_bias.device.type
        items, bias = self.tables()
        with torch.autocast(device, self._factors, enabled=device == "cuda" and self._factors is not None):
            states, bonuses = self.model(packed, items=None if self.content is None else items)
        wide = [bonus.float() for bonus in bonuses]
        loss = softmax_loss(states.float(), items, bias, wide, packed, drawn, factors=self._factors)
        return self._part(loss, packed.moment_weight.sum())

    def tables(self) -> tuple[Tensor, Tensor]:
        """(V + 1, dim) vectors and (V + 1,) biases of all items, for inputs and outputs alike: without content the very weights."""
        ids, bias = self.model.item.weight, self.model.item_bias
        return (ids, bias) if self.content is None else (self.content(ids), self.content.biases(bias))


class Training:
    """A model under way: weights, optimiser and moving average, one step at a time.

    Args:
        model: on the device that it is trained on.
        counts: (items + 1,) events of each item, for sampling.
        params: of stage `train`.
        processes: with whom it is trained, each with a model of the same weights; None: alone.
        content: what makes item vectors of more than ids, on the same device.
    """

    def __init__(
        self, model: SequenceModel, counts: Tensor, params: Train, processes: Processes | None = None, content: ItemFusion | None = None
    ) -> None:
        self.model = model.train()
        self.content = None if content is None else content.train()
        self._weights = [*model.parameters(), *(content.parameters() if content is not None else ())]
        self._params = params
        self._device = model.item_bias.device
        self.processes = processes or Processes(self._device)
        self._loss = self.processes.wrap(StepLoss(model, self.processes.part, content, narrow_type(params.precision, self._device)))
        self._sampler = NegativeSampler(counts, params.negatives, torch.Generator().manual_seed(params.seed)) if params.negatives else None
        self._optimiser = torch.optim.AdamW(_weight_groups(model, params, content), lr=params.learning_rate, betas=(0.9, 0.98), fused=True)
        self._average = [weight.detach().clone() for weight in self._weights] if params.average else []
        self._steps = 0

    def step(self, packed: Pack, rate: float) -> Tensor:
        """One optimiser step at this learning rate, on this process's share of its users.

        Returns the loss over all of them, a number on the device: to read it is to wait for it.
        """
        for weights in self._optimiser.param_groups:
            weights["lr"] = rate * weights["pace"]
        self.processes.reseed(self._params.seed, self._steps)
        loss: Tensor = self._loss(packed, self._sampler.draw(self._device) if self._sampler else None)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        self._steps += 1
        if self._average:  # a short memory at first, so that where it began is forgotten
            with torch.no_grad():
                torch._foreach_lerp_(self._average, self._weights, 1 - min(self._params.average, self._steps / (10 + self._steps)))
        return self.processes.mean(loss.detach())

    @contextmanager
    def averaged(self) -> Iterator[SequenceModel]:
        """The model as it would be kept now, in evaluation mode: its item vectors are whole, so whoever scores needs no content."""
        weights = self._weights
        last = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, kept in zip(weights, self._average or last, strict=True):
                weight.copy_(kept)
            if self.content is not None:
                self.model.item.weight.copy_(self.content.eval()(self.model.item.weight))
        try:
            yield self.model.eval()
        finally:
            with torch.no_grad():
                for weight, kept in zip(weights, last, strict=True):
                    weight.copy_(kept)
            self.model.train()
            if self.content is not None:
                self.content.train()

    def state(self) -> State:
        """Everything that a later step depends on, copied."""
        found = {f"weight.{n}": weight for n, weight in enumerate(self._weights)}
        found |= {f"average.{n}": weight for n, weight in enumerate(self._average)}
        for n, moments in self._optimiser.state_dict()["state"].items():
            found |= {f"optimiser.{n}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        found |= {"chance": torch.get_rng_state(), "steps": torch.tensor(self._steps)}
        if self._sampler:
            found["sampler"] = self._sampler.generator.get_state()
        return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}

    def resume(self, state: State) -> None:
        """Go on from a `state` of a run like this one."""
        with torch.no_grad():
            for kind, weights in (("weight", self._weights), ("average", self._average)):
                for n, weight in enumerate(weights):
                    weight.copy_(state[f"{kind}.{n}"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            if name.startswith("optimiser."):
                _, number, what = name.split(".")
                moments.setdefault(int(number), {})[what] = tensor.to(self._device) if tensor.dim() else tensor
        self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": moments})
        self._steps = int(state["steps"])
        torch.set_rng_state(state["chance"])
        if self._sampler:
            self._sampler.generator.set_state(state["sampler"])


def to_bytes(state: State) -> bytes:
    """A state as a safetensors file."""
    return save(state)


def from_bytes(data: bytes) -> State | None:
    """The state that `to_bytes` wrote; None where the file is not whole."""
    try:
        return load(data)
    except SafetensorError:
        return None


def _weight_groups(model: SequenceModel, params: Train, content: ItemFusion | None) -> list[dict[str, Any]]:
    """Decay for the matrices of the linear layers only; a pace of its own for the few weights of the repeat head and its tables over time."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    parts: list[nn.Module] = [model] if content is None else [model, content]
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}  # content's stand for item vectors, which do not decay
    for name, weight in [one for part in parts for one in part.named_parameters()]:
        groups.setdefault((id(weight) in matrices, name.startswith(REPEAT)), []).append(weight)
    return [
        {"params": weights, "weight_decay": params.weight_decay * decays, "pace": params.repeat_pace if repeats else 1.0}
        for (decays, repeats), weights in groups.items()
    ]
