from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.batches import chop, pack
from footfall.model.prepared import prepare
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.repeatable import repeatable
from footfall.model.spectral import item_vectors
from footfall.model.trainer import make_packs, rate_at, train
from footfall.model.training import State
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, build, habits

CUT = 70 * DAY_US
BUY = 4


def weights_of(model: SequenceModel) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())


def test_a_small_catalogue_has_the_exact_softmax_whatever_negatives_say() -> None:
    sampled, exact = (dataclasses.replace(PARAMS, negatives=16, exact_items=most) for most in (CONFIG.items - 1, CONFIG.items))
    found = [train(habits(), CUT, CONFIG, params).model.item.weight for params in (sampled, exact, dataclasses.replace(PARAMS, negatives=0))]
    assert torch.equal(found[1], found[2])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("negatives", [0, 16])
def test_the_same_inputs_give_the_same_weights_byte_for_byte(negatives: int) -> None:
    params = dataclasses.replace(PARAMS, negatives=negatives)
    first = train(habits(), CUT, CONFIG, params)
    torch.rand(3)  # what the process drew before has no say
    second = train(habits(), CUT, CONFIG, params)
    assert weights_of(first.model) == weights_of(second.model)
    assert first.losses == second.losses
    other = train(habits(), CUT, CONFIG, dataclasses.replace(params, seed=8))
    assert weights_of(other.model) != weights_of(first.model)


def test_nothing_that_happens_after_the_cut_is_seen() -> None:
    sequences = habits()
    cut = 35 * DAY_US
    later = sequences.occurred_at >= cut
    assert 0 < later.sum() < len(later)
    changed = Sequences(np.where(later, 1, sequences.item_index).astype(np.int32), sequences.event_type, sequences.occurred_at, sequences.offsets)
    assert weights_of(train(sequences, cut, CONFIG, PARAMS).model) == weights_of(train(changed, cut, CONFIG, PARAMS).model)


def test_habits_are_learnt() -> None:
    sequences = habits()
    trained = train(sequences, CUT, CONFIG, dataclasses.replace(PARAMS, epochs=5))
    assert np.mean(trained.losses[-5:]) < np.mean(trained.losses[:5]) - 0.3
    with torch.inference_mode():
        top = trained.model.scores(pack(sequences)).topk(3).indices + 1
    hits = [len({*row.tolist()} & {*_habits_of(sequences, user)}) for user, row in enumerate(top)]
    assert np.mean(hits) > 2.5


def _habits_of(sequences: Sequences, user: int) -> list[int]:
    mine = sequences.take(np.array([user])).item_index
    counts = np.bincount(mine, minlength=ITEMS + 1)
    counts[0] = 0
    return np.argsort(-counts, kind="stable")[:3].tolist()


def test_every_event_of_every_user_is_in_one_pack() -> None:
    sequences = habits()
    packs = list(make_packs(prepare(chop(sequences, CONFIG.max_events), BUY), PARAMS))
    assert sum(packed.events for packed in packs) == len(sequences.item_index)
    trained = train(sequences, CUT * 100, CONFIG, PARAMS)
    assert trained.events == len(sequences.item_index)
    assert trained.targets == sum(packed.targets for packed in packs)


def test_steps_and_epochs_are_told() -> None:
    steps: list[tuple[int, int]] = []
    states: list[bytes] = []

    def on_epoch(model: SequenceModel) -> None:
        assert not model.training
        states.append(weights_of(model))

    trained = train(habits(), CUT, CONFIG, PARAMS, lambda step, total, *_: steps.append((step, total)), on_epoch)
    assert steps == [(n, len(trained.losses)) for n in range(1, len(trained.losses) + 1)]
    assert len(states) == PARAMS.epochs
    assert states[-1] == weights_of(trained.model)


def test_the_model_of_the_best_epoch_is_kept_and_training_stops_when_nothing_better_comes() -> None:
    seen: list[bytes] = []
    answers = iter([0.1, 0.3, 0.2, 0.25, 0.9])

    def judge(model: SequenceModel) -> float:
        seen.append(weights_of(model))
        return next(answers)

    trained = train(habits(), CUT, CONFIG, dataclasses.replace(PARAMS, epochs=5, patience=2), on_epoch=judge)
    assert trained.figures == [0.1, 0.3, 0.2, 0.25]
    assert weights_of(trained.model) == seen[1]


@pytest.mark.parametrize(("negatives", "average", "at"), [(0, 0.0, 1), (16, 0.9, 4), (0, 0.9, 6)])
def test_a_run_that_was_cut_off_ends_with_the_same_bytes(negatives: int, average: float, at: int) -> None:
    params = dataclasses.replace(PARAMS, negatives=negatives, average=average)
    kept: dict[str, torch.Tensor] = {}
    steps = 0

    def keep(state: Callable[[], State]) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            kept.update(state())

    def judge(model: SequenceModel) -> float:
        return -float(model.item.weight.detach().abs().sum())

    whole = train(habits(), CUT, CONFIG, params, on_epoch=judge, keep=keep)
    torch.rand(7)
    rest = train(habits(), CUT, CONFIG, params, on_epoch=judge, kept=kept)
    assert len(whole.losses) > 6
    assert (rest.losses, rest.figures, rest.targets) == (whole.losses, whole.figures, whole.targets)
    assert weights_of(rest.model) == weights_of(whole.model)


def test_an_average_of_the_weights_is_kept_where_it_is_asked_for() -> None:
    last = train(habits(), CUT, CONFIG, PARAMS)
    averaged = train(habits(), CUT, CONFIG, dataclasses.replace(PARAMS, average=0.9))
    assert averaged.losses == last.losses  # it does not disturb training
    assert weights_of(averaged.model) != weights_of(last.model)


def test_a_spectral_start_puts_items_of_the_same_users_side_by_side() -> None:
    left, right = [1, 2, 3, 4], [5, 6, 7, 8]
    users = [
        [(item, BUY, 7.0 * day) for day, item in enumerate(np.random.default_rng(n).permutation(group)[:3])]
        for n in range(30)
        for group in (left, right)
    ]
    vectors = item_vectors(build(*users), 10, 4, seed=1)
    assert vectors.shape == (11, 4)
    assert not vectors[[0, 9, 10]].any()
    near = torch.nn.functional.cosine_similarity(vectors[1], vectors[2:5])
    far = torch.nn.functional.cosine_similarity(vectors[1], vectors[5:9])
    assert near.min() > far.max() + 0.2
    assert torch.equal(vectors, item_vectors(build(*users), 10, 4, seed=1))


def test_the_rate_warms_up_and_then_falls_to_nothing() -> None:
    rates = [rate_at(step, 100, PARAMS) for step in range(100)]
    assert rates[0] == pytest.approx(PARAMS.learning_rate / 10)
    assert max(rates) == pytest.approx(PARAMS.learning_rate, rel=0.11)
    assert np.argmax(rates) == 9
    assert rates[-1] == pytest.approx(PARAMS.learning_rate / 100)


def test_torch_is_left_as_it_was_found() -> None:
    torch.use_deterministic_algorithms(False)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    with repeatable(1, 1):
        torch.rand(5)
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_histories_without_a_next_purchase_are_refused() -> None:
    with pytest.raises(SourceError, match="nothing to learn from"):
        train(build([(1, BUY, 0)], [(2, BUY, 0)]), CUT, CONFIG, PARAMS)
    with pytest.raises(SourceError, match="nothing to learn from"):
        train(habits(), 0, CONFIG, PARAMS)


def test_an_item_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(SourceError, match="outside the vocabulary"):
        train(habits(), CUT, SequenceConfig(items=5, dim=16), PARAMS)
