"""Ours: packs of whole histories and `Training.step`, as the stage `train` does it; packing is part of a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.contestants.histories import HELD_OUT
from benchmarks.contestants.turns import Turns
from benchmarks.sequences_text import STEP_US, read_sequences_text
from footfall.core.sequences import Int64, Sequences
from footfall.model.batches import Layout, group, pack_users
from footfall.model.losses import narrow_type, softmax_loss
from footfall.model.prepared import prepare
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.repeatable import repeatable
from footfall.model.trainer import TARGET_TYPE, layout_of
from footfall.model.training import Training
from footfall.params import load_params


def run(settings: dict[str, Any], turns: Turns) -> None:
    """Train with the exact softmax, or with `negatives` sampled ones; the model begins as the peers' do, knowing nothing of popularity."""
    history = histories(settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and "tokens_on_gpu" in settings:
        settings["tokens"] = settings["tokens_on_gpu"]
    params = replace(load_params(Path(settings["params"])).train, negatives=settings["negatives"], average=0.0, weight_decay=0.0)
    params = replace(params, precision=settings.get("precision", params.precision))
    config = SequenceConfig(
        items=settings["items"], dim=settings["dim"], blocks=2, heads=2, dropout=settings["dropout"], max_events=settings["length"] + 1
    )
    with repeatable(settings["seed"], settings["threads"], bitwise=device.type == "cpu"):
        model = SequenceModel(config)
        nn.Module.to(model, device)
        training = Training(model, torch.from_numpy(np.bincount(history.item_index, minlength=config.items + 1)), params)
        prepared = prepare(history, TARGET_TYPE, params.basket_power).to(device)
        layout = layout_of(prepared, params)
        turns.begin(
            version=f"footfall {version('footfall')}",
            parameters=sum(weight.numel() for weight in model.parameters()),
            encoder=sum(part.weight.numel() for part in model.layers.modules() if isinstance(part, nn.Linear)),
            precision=str(narrow_type(params.precision, device) or torch.float32).removeprefix("torch."),
            device=torch.cuda.get_device_name() if device.type == "cuda" else device.type,
            targets=len(history.item_index) - len(history),
            users=len(history),
        )
        for users in batches(history, settings):
            packed = pack_users(prepared, users, layout)
            training.step(packed, settings["rate"])
            if device.type == "cuda":
                torch.cuda.synchronize()
            turns.stepped(packed.targets, packed.events)
        turns.end(loss=_loss(training.model, history.take(np.arange(settings["checked"]))))


def histories(settings: dict[str, Any]) -> Sequences:
    """The newest `length` events of each user that are for training, and what came before the oldest target of them."""
    whole = read_sequences_text(Path(settings["sequences"]))
    return whole.before((whole.lengths - HELD_OUT) * STEP_US).last(settings["length"] + 1)


def batches(history: Sequences, settings: dict[str, Any]) -> Iterator[Int64]:
    """`steps` of them: `users` shuffled users each, or as many as have `tokens` events together; an epoch's last users may be too few, and wait."""
    random, made = np.random.default_rng(settings["seed"]), 0
    while made < settings["steps"]:
        order = random.permutation(len(history))
        whole: Iterable[Int64]
        if "users" in settings:
            whole = np.array_split(order, np.arange(settings["users"], len(order) + 1, settings["users"]))[:-1]
        else:
            whole = group(history.lengths, settings["tokens"], order)
        for users in islice(whole, settings["steps"] - made):
            made += 1
            yield users


def _loss(model: SequenceModel, history: Sequences) -> float:
    """Cross-entropy a target over the whole catalogue, without dropout."""
    packed = pack_users(prepare(history, TARGET_TYPE), np.arange(len(history)), Layout.EXACT)
    nn.Module.to(model, torch.device("cpu"))
    with torch.no_grad():
        states, bonuses = model.eval()(packed)
        return float(softmax_loss(states, model.item.weight, model.item_bias, bonuses, packed))
