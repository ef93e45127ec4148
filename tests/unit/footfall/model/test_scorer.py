from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from footfall.core.metrics import UNRANKED, ranks
from footfall.model.batches import pack
from footfall.model.pretrained import SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, build, habits

BUY = 4


@pytest.fixture(scope="module")
def trained() -> SequenceModel:
    return train(habits(), 70 * DAY_US, CONFIG, PARAMS).model


@pytest.fixture(scope="module")
def weights(trained: SequenceModel) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in trained.state_dict().items()}


@pytest.fixture(scope="module")
def scorer(trained: SequenceModel, weights: dict[str, np.ndarray]) -> Scorer:
    return Scorer(trained.config.to_dict(), weights)


def test_scores_are_those_of_the_forward_that_was_trained(trained: SequenceModel, scorer: Scorer) -> None:
    sequences = habits(users=8).last(CONFIG.max_events)
    packed = pack(sequences, BUY)
    with torch.inference_mode():
        states, bonuses = trained(packed)
        logits = states @ trained.item.weight.T + trained.item_bias
    found, row = scorer.scores(sequences), 0
    for stack, bonus in zip(packed.stacks, bonuses, strict=True):
        for user, items in enumerate(packed.candidates[stack.candidates].view(stack.users, -1)):
            expected = logits[stack.first_row + (user + 1) * stack.moments - 1].index_add(0, items, bonus[user, -1])
            np.testing.assert_allclose(found[packed.order[row]], expected[1:].numpy(), rtol=1e-5, atol=1e-5)
            row += 1


def test_a_batch_scores_as_its_users_do_one_by_one(scorer: Scorer) -> None:
    sequences = habits()
    batch = scorer.scores(sequences)
    assert batch.dtype == np.float32
    assert batch.shape == (len(sequences), ITEMS)
    single = np.concatenate([scorer.scores(sequences.take(np.array([user]))) for user in range(len(sequences))])
    np.testing.assert_allclose(batch, single, rtol=1e-5, atol=1e-5)


def test_an_empty_history_scores_zero_and_disturbs_nobody(scorer: Scorer) -> None:
    events = [(1, BUY, 0.0), (2, BUY, 3.0)]
    rows = scorer.scores(build([], events, []))
    assert not rows[[0, 2]].any()
    np.testing.assert_allclose(rows[1], scorer.scores(build(events))[0], rtol=1e-5, atol=1e-5)
    assert scorer.scores(build([], [])).shape == (2, ITEMS)
    assert not scorer.vectors(build([], events))[0].any()


def test_a_history_without_a_known_item_still_scores(scorer: Scorer) -> None:
    assert np.isfinite(scorer.scores(build([(0, 0, 1.0)]))).all()


def test_only_the_newest_events_are_read(scorer: Scorer) -> None:
    newest = [(1 + n % 9, BUY, 100.0 + n) for n in range(CONFIG.max_events)]
    older = [(30, BUY, float(n)) for n in range(20)]
    np.testing.assert_allclose(scorer.scores(build(older + newest)), scorer.scores(build(newest)), rtol=1e-5, atol=1e-5)


def test_vectors_are_one_state_a_user(scorer: Scorer) -> None:
    assert scorer.vectors(habits(users=3)).shape == (3, CONFIG.dim)


def test_read_only_weights_are_taken_without_a_warning(trained: SequenceModel, weights: dict[str, np.ndarray], scorer: Scorer) -> None:
    frozen = {name: array.copy() for name, array in weights.items()}
    for array in frozen.values():
        array.setflags(write=False)
    np.testing.assert_array_equal(Scorer(trained.config.to_dict(), frozen).scores(habits()), scorer.scores(habits()))


@pytest.mark.parametrize(
    ("config", "changed", "message"),
    [
        ({"model_type": "bert"}, {}, "model_type is 'bert'"),
        ({"items": None}, {}, "lacks items"),
        ({"items": ITEMS + 1}, {}, "weight item"),
        ({}, {"item_bias": None}, "weight item_bias has shape None"),
        ({}, {"surprise": np.zeros(3, np.float32)}, "weight surprise"),
    ],
)
def test_foreign_weights_are_refused(
    trained: SequenceModel, weights: dict[str, np.ndarray], config: dict[str, Any], changed: dict[str, Any], message: str
) -> None:
    told = {name: value for name, value in (trained.config.to_dict() | config).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        Scorer(told, {name: array for name, array in (weights | changed).items() if array is not None})


@pytest.mark.parametrize("event", [(ITEMS + 1, BUY, 0.0), (-1, BUY, 0.0), (1, 7, 0.0)])
def test_an_event_that_the_model_cannot_know_is_refused(scorer: Scorer, event: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="the model knows"):
        scorer.scores(build([event]))


@pytest.mark.parametrize("masked", [False, True])
def test_ranks_are_those_of_the_scores(scorer: Scorer, masked: bool) -> None:
    sequences = habits(users=12)
    targets = np.random.default_rng(2).integers(1, ITEMS + 1, len(sequences)).astype(np.int32)
    targets[0] = sequences.item_index[sequences.item_index > 0][0]  # of the first user's own history: masked, it cannot be ranked
    expected = ranks(scorer.scores(sequences), targets, sequences if masked else None)
    np.testing.assert_array_equal(scorer.ranks(sequences, targets, masked=masked), expected)
    assert bool(expected[0] == UNRANKED) is masked
