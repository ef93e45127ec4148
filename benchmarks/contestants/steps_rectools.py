"""RecTools' SASRecModel, trained by Lightning as its `fit` does it. A step lasts from the end of the one before: fetching its batch is part of it."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.item_net import IdEmbeddingsItemNet

from benchmarks.contestants.histories import read_histories
from benchmarks.contestants.turns import Turns

warnings.simplefilter("ignore")


class _Clock(pl.Callback):  # type: ignore[misc] # its types are not installed here
    """Tells the turns when a batch is done."""

    def __init__(self, turns: Turns, facts: dict[str, Any]) -> None:
        self._turns, self._facts = turns, facts

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._turns.begin(**self._facts, parameters=sum(weight.numel() for weight in pl_module.torch_model.parameters()))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self._turns.stepped(int((batch["y"] != 0).sum()), int((batch["x"] != 0).sum()))


def run(settings: dict[str, Any], turns: Turns) -> None:
    """Train with `loss` softmax or sampled_softmax."""
    torch.manual_seed(settings["seed"])
    users = read_histories(settings["sequences"])
    lengths = [min(len(items), settings["length"] + 1) for items in users]
    facts = {"version": f"rectools {version('rectools')}, torch {torch.__version__}", "targets": sum(lengths) - len(lengths), "users": len(users)}

    def trainer() -> pl.Trainer:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        return pl.Trainer(max_epochs=1, accelerator="cpu", limit_train_batches=settings["steps"], callbacks=[_Clock(turns, facts)], **quiet)

    model = SASRecModel(
        n_blocks=2,
        n_heads=2,
        n_factors=settings["dim"],
        dropout_rate=settings["dropout"],
        session_max_len=settings["length"],
        batch_size=settings["users"],
        lr=settings["rate"],
        loss=settings["loss"],
        n_negatives=settings["negatives"] or 1,
        item_net_block_types=(IdEmbeddingsItemNet,),
        get_trainer_func=trainer,
    )
    model.fit(Dataset.construct(_interactions(users)))
    turns.end(loss=_loss(model, settings["checked"]))


def _interactions(users: list[list[int]]) -> pd.DataFrame:
    """A row an event, a day apart."""
    rows = [(user, item, day) for user, items in enumerate(users) for day, item in enumerate(items)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "datetime"])
    events["datetime"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(events["datetime"], unit="D")
    events["weight"] = 1.0
    return events


def _loss(model: Any, checked: int) -> float:
    """Cross-entropy a target over the whole catalogue, without dropout, of the first users."""
    loader = model.data_preparator.get_dataloader_train()
    batch = loader.collate_fn([loader.dataset[user] for user in range(checked)])
    network = model.torch_model.eval()
    with torch.no_grad():
        items = network.item_model.get_all_embeddings()
        states = network.encode_sessions(batch, items)[batch["y"] > 0]
        return float(torch.nn.functional.cross_entropy(states @ items[1:].T, batch["y"][batch["y"] > 0] - 1))
