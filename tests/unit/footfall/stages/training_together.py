"""One of several processes that train together: for `torch.distributed.run`, which starts them all alike.

training_together.py FOLDER PARAMS_FILE: FOLDER is a workspace with data/sequences; what is to be compared goes to FOLDER/<name>.npz.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from footfall.model.content import ItemContent
from footfall.model.parallel import Processes, joined
from footfall.model.pretrained import SequenceConfig
from footfall.model.trainer import Trained, train
from footfall.model.training import State
from footfall.params import Params, Train, load_params
from footfall.paths import Paths
from footfall.stages.checkpoint import Checkpoint
from footfall.stages.train import make_weights
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, habits

CUT = 70 * DAY_US
STILL = SequenceConfig(**{**CONFIG.shape.__dict__, "dropout": 0.0})
"""A model without dropout: the same sums, whoever adds them up."""
SAMPLED = dataclasses.replace(PARAMS, negatives=16, average=0.9, spectral_start=True)
LONELY = dataclasses.replace(PARAMS, tokens_per_step=1, epochs=1)
"""A user a step: fewer than processes."""
DESCRIBED = dataclasses.replace(PARAMS, seed=11)
"""With vectors of what the items are, and no id dropped."""
CONTENT = ItemContent.of(ITEMS, np.random.default_rng(3).normal(size=(ITEMS + 1, 24)).astype(np.float32), id_dropout=0.0)


def params_of(file: Path) -> Params:
    """Of the stage, judged after each epoch."""
    params = load_params(file)
    train_params = dataclasses.replace(PARAMS, epochs=3, patience=1)
    return dataclasses.replace(params, model=dataclasses.replace(params.model, dim=16, max_events=50, dropout=0.0), train=train_params)


def arrays_of(trained: Trained) -> dict[str, np.ndarray]:
    """Weights and losses."""
    return {name: tensor.numpy() for name, tensor in trained.model.state_dict().items()} | {"losses": np.array(trained.losses)}


def run(params: Train, processes: Processes | None = None) -> dict[str, np.ndarray]:
    """Train without dropout, on few users where each has a step of its own."""
    content = CONTENT if params is DESCRIBED else None
    return arrays_of(train(habits(8 if params is LONELY else 40), CUT, STILL, params, processes=processes, content=content))


def cut_off_and_resumed(processes: Processes) -> tuple[Trained, Trained]:
    """A whole run with dropout, and one that goes on from the first process's state after its fourth step."""
    kept: dict[str, torch.Tensor] = {}
    steps = 0

    def keep(state: Callable[[], State]) -> None:
        nonlocal steps
        steps += 1
        if steps == 4:
            kept.update(state())

    whole = train(habits(), CUT, CONFIG, SAMPLED, keep=keep, processes=processes)
    torch.rand(7 + processes.rank)
    return whole, train(habits(), CUT, CONFIG, SAMPLED, kept=kept, processes=processes)


def stage(paths: Paths, params: Params, processes: Processes) -> None:
    """The stage whole, and again from its last state, which the first process alone finds."""
    clear, Checkpoint.clear = Checkpoint.clear, lambda self: None  # type: ignore[method-assign]
    make_weights(paths, params, keep_every_s=0.0, processes=processes)
    Checkpoint.clear = clear  # type: ignore[method-assign]
    if processes.is_first:
        (paths.weights / "model.safetensors").rename(paths.root / "whole.safetensors")
    make_weights(paths, params, processes=processes)


def main(root: Path, file: Path) -> None:
    """Everything that two processes are asked to show, in one start."""
    with joined() as processes:
        shown = {name: run(params, processes) for name, params in (("sampled", SAMPLED), ("lonely", LONELY), ("described", DESCRIBED))}
        whole, resumed = cut_off_and_resumed(processes)
        shown |= {"whole": arrays_of(whole), "resumed": arrays_of(resumed)}
        shown["told"] = {"all": np.frombuffer(processes.hand_on(b"state" if processes.is_first else None) or b"", np.uint8)}
        shown["told"] |= {"nothing": np.array(processes.hand_on(None) is None), "sums": np.array(processes.total([1.5, processes.rank]))}
        for name, found in shown.items():
            np.savez(root / f"{name}.{processes.rank}.npz", **found)
        stage(Paths(root), params_of(file), processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
