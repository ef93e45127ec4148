"""RecBole's SASRec with the cross-entropy and its prefix augmentation: `Trainer._train_epoch` over its own loader, cut after some batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

warnings.simplefilter("ignore")

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.model.sequential_recommender import SASRec  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402
from recbole.utils import init_seed  # noqa: E402

from benchmarks.contestants.histories import read_histories  # noqa: E402
from benchmarks.contestants.turns import Turns  # noqa: E402


class _Cut:
    """A loader that gives `steps` batches and tells the turns when one is done: when the next is asked for."""

    shuffle = False

    def __init__(self, loader: Any, steps: int, turns: Turns) -> None:
        self._loader, self._steps, self._turns = loader, steps, turns

    def __iter__(self) -> Iterator[Any]:
        made = 0
        while made < self._steps:
            for batch in self._loader:
                if made == self._steps:
                    break
                yield batch
                made += 1
                self._turns.stepped(len(batch), int(batch["item_length"].sum()))


def run(settings: dict[str, Any], turns: Turns) -> None:
    """Train on batches of `prefixes` targets; writes into the current folder, which its caller has made for it."""
    config = Config(model="SASRec", dataset="beauty", config_dict=_settings(settings))
    init_seed(settings["seed"], reproducibility=False)
    _write(Path("beauty"), settings["sequences"])
    loader, _, _ = data_preparation(config, create_dataset(config))
    model = SASRec(config, loader.dataset)
    targets = len(loader.dataset.inter_feat)
    parameters = sum(weight.numel() for weight in model.parameters())
    trainer = Trainer(config, model)
    turns.begin(
        version=f"recbole {version('recbole')}, torch {torch.__version__}", parameters=parameters, targets=targets, users=loader.dataset.user_num - 1
    )
    trainer._train_epoch(_Cut(loader, settings["steps"], turns), 0)
    turns.end(loss=_loss(model, loader.dataset.inter_feat, settings["checked"]))


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "data_path": str(Path.cwd()),
        "use_gpu": False,
        "gpu_id": "",
        "state": "WARNING",
        "show_progress": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": settings["length"],
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "hidden_size": settings["dim"],
        "inner_size": 4 * settings["dim"],
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dropout_prob": settings["dropout"],
        "attn_dropout_prob": settings["dropout"],
        "learning_rate": settings["rate"],
        "train_batch_size": settings["prefixes"],
        "eval_batch_size": 4096,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "repeatable": True,
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
    }


def _write(folder: Path, sequences: str) -> None:
    """Its atomic file of everything: RecBole itself leaves a user's last two events out."""
    folder.mkdir(exist_ok=True)
    with (folder / "beauty.inter").open("w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, items in enumerate(read_histories(sequences, 0), 1):
            file.writelines(f"{user}\t{item}\t{day}\n" for day, item in enumerate(items))


def _loss(model: Any, samples: Any, checked: int) -> float:
    """Cross-entropy a target over the whole catalogue, without dropout, of the first users."""
    with torch.no_grad():
        return float(model.eval().calculate_loss(samples[samples["user_id"] <= checked]))
