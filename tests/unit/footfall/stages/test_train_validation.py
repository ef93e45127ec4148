from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from footfall.arrays.windows import Targets
from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.parallel import Processes
from footfall.stages import validation
from footfall.stages.validation import Validation
from tests.unit.footfall.model.shop_of_habits import DAY_US, ITEMS, build

BUY = 4
HISTORIES = build([(1, BUY, 0), (2, BUY, 5)], [(9, BUY, 1)], [(3, BUY, 2), (4, BUY, 9)])


def targets(*items: list[int], users: list[int]) -> Targets:
    offsets = np.cumsum([0, *map(len, items)]).astype(np.int64)
    return Targets(np.array(users, np.int64), np.array([item for row in items for item in row], np.int32), offsets)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Sequences]:
    """What the model was asked to score; it ranks items by their number, the lowest first."""
    asked: list[Sequences] = []

    def of(_: Any) -> SimpleNamespace:
        def scores(histories: Sequences) -> np.ndarray:
            asked.append(histories)
            return np.tile(-np.arange(ITEMS, dtype=np.float32), (len(histories), 1))

        return SimpleNamespace(scores=scores)

    monkeypatch.setattr(validation, "Scorer", SimpleNamespace(of=of))
    return asked


def test_the_figure_is_the_mean_ndcg_over_users_with_labels(seen: list[Sequences]) -> None:
    judge = Validation(HISTORIES, targets([1], [2, 30], users=[0, 2]), 4 * DAY_US, Processes(torch.device("cpu")))
    second = (1 / math.log2(3)) / (1 + 1 / math.log2(3))  # one of two targets, at position 2
    assert judge(None) == pytest.approx((1.0 + second) / 2)  # type: ignore[arg-type]
    (histories,) = seen
    assert histories.item_index.tolist() == [1, 3]  # of both users, before the labels
    assert histories.offsets.tolist() == [0, 1, 2]


def test_processes_judge_every_user_once(seen: list[Sequences], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_USERS_A_CHUNK", 1)
    monkeypatch.setattr(Processes, "total", lambda _, values: list(values))  # each tells its own sum
    labels = targets([1], [2], [50], users=[0, 1, 2])
    sums = [Validation(HISTORIES, labels, 4 * DAY_US, Processes(torch.device("cpu"), rank, 2))(None) for rank in range(2)]  # type: ignore[arg-type]
    assert sums == pytest.approx([1 / 3, 1 / math.log2(3) / 3])
    assert sum(map(len, seen)) == 3


def test_no_labels_are_refused() -> None:
    with pytest.raises(SourceError, match="nobody bought anything in the validation window") as caught:
        Validation(HISTORIES, targets(users=[]), 4 * DAY_US, Processes(torch.device("cpu")))
    assert "train.patience" in str(caught.value.next_step)
