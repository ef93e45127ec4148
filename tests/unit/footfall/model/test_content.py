from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.core.sequences import Sequences
from footfall.model.batches import pack
from footfall.model.content import ContentProjection, ItemContent, ItemFusion
from footfall.model.parallel import Processes
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import TARGET_TYPE, train
from footfall.model.training import StepLoss, Training
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, build, habits

CUT = 70 * DAY_US
KINDS = 4


def plain_vectors(items: int = ITEMS, width: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(1).normal(size=(items + 1, width)).astype(np.float32)
    vectors[0] = 0
    return vectors


def attributes(items: int = ITEMS) -> tuple[np.ndarray, np.ndarray]:
    """Each item has one attribute of three; item 0 has none."""
    return np.arange(items) % 3, np.concatenate([[0], np.arange(items + 1)])


def weights_of(model: torch.nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())


def pictures(kinds: np.ndarray) -> np.ndarray:
    """Image vectors as a frozen encoder gives them: pictures of one kind lie near each other, and all share something."""
    random = np.random.default_rng(2)
    centres = random.normal(size=(KINDS, 24))
    shown = 3.0 + centres[kinds] + 0.3 * random.normal(size=(len(kinds), 24))
    return np.concatenate([np.zeros((1, 24)), shown]).astype(np.float32)


def shop_of_kinds(items: int, new: set[int]) -> Sequences:
    """Each user buys items of one kind only (item j is of kind j % KINDS) and never a new one."""
    random = np.random.default_rng(3)
    old = [[item for item in range(1, items + 1) if item % KINDS == kind and item not in new] for kind in range(KINDS)]
    return build(
        *[[(int(item), TARGET_TYPE, float(day)) for day, item in enumerate(random.permutation(old[user % KINDS])[:8])] for user in range(200)]
    )


def test_without_content_the_step_works_on_the_very_tables_it_did_before_and_nothing_is_drawn_for_content() -> None:
    torch.manual_seed(0)
    model = SequenceModel(CONFIG)
    drawn = torch.get_rng_state()
    items, bias = StepLoss(model, Processes(torch.device("cpu")).part).tables()
    assert items is model.item.weight
    assert bias is model.item_bias
    assert torch.equal(torch.get_rng_state(), drawn)
    assert train(habits(), CUT, CONFIG, dataclasses.replace(PARAMS, epochs=1)).content is None


def test_with_content_the_same_inputs_give_the_same_bytes_and_a_run_that_was_cut_off_goes_on_to_them() -> None:
    content = ItemContent.of(ITEMS, plain_vectors(), attributes(), id_dropout=0.3)
    params = dataclasses.replace(PARAMS, average=0.9, spectral_start=True)
    states = []
    first = train(habits(), CUT, CONFIG, params, keep=lambda state: states.append(state()), content=content)
    again = train(habits(), CUT, CONFIG, params, content=content)
    resumed = train(habits(), CUT, CONFIG, params, kept=states[len(states) * 2 // 3], content=content)
    for other in (again, resumed):
        assert weights_of(other.model) == weights_of(first.model)
        assert first.content is not None
        assert other.content is not None
        assert weights_of(other.content) == weights_of(first.content)


def test_what_is_kept_needs_no_content_to_score() -> None:
    trained = train(habits(), CUT, CONFIG, PARAMS, content=ItemContent.of(ITEMS, plain_vectors()))
    bare = SequenceModel(CONFIG)
    bare.load_state_dict(trained.model.state_dict())
    np.testing.assert_array_equal(Scorer.of(bare).scores(habits()), Scorer.of(trained.model).scores(habits()))


@settings(max_examples=8, deadline=None)
@given(chance=st.floats(0.05, 0.95), seed=st.integers(0, 9))
def test_ids_are_dropped_as_often_as_asked_and_only_in_training_and_only_where_content_serves(chance: float, seed: int) -> None:
    items = 1000
    vectors = plain_vectors(items)
    vectors[items // 2 :] = 0
    fusion = ItemFusion(ItemContent.of(items, vectors, id_dropout=chance), torch.ones(items + 1), 4)
    ids = torch.ones(items + 1, 4)
    torch.nn.init.zeros_(fusion.projection.projection.weight)
    torch.manual_seed(seed)
    table = fusion.train()(ids)
    dropped = (table == 0).all(1)
    assert bool(((table == 0).all(1) | (table == 1).all(1)).all())  # an id goes whole
    assert not dropped[items // 2 :].any()
    share = float(dropped[1 : items // 2].float().mean())
    assert share == pytest.approx(chance, abs=5 * (0.25 / (items // 2)) ** 0.5)
    assert torch.equal(fusion.eval()(ids), ids)


def test_attributes_alone_are_content_too() -> None:
    params = dataclasses.replace(PARAMS, epochs=1, spectral_start=True)
    trained = train(habits(), CUT, CONFIG, params, content=ItemContent.of(ITEMS, attributes=attributes(), id_dropout=0.5))
    assert trained.content is not None
    found = trained.content.vector_of(attributes=(np.array([2]), np.array([0, 1])))
    assert found.any()
    assert all(torch.isfinite(weight).all() for weight in trained.content.state_dict().values())


def test_the_loss_moves_projection_gate_and_attributes() -> None:
    torch.manual_seed(0)
    model = SequenceModel(CONFIG)
    fusion = ItemFusion(ItemContent.of(ITEMS, plain_vectors(), attributes(), id_dropout=0.1), torch.ones(ITEMS + 1), CONFIG.dim)
    training = Training(model, torch.ones(ITEMS + 1), PARAMS, content=fusion)
    before = {name: weight.detach().clone() for name, weight in fusion.named_parameters()}
    training.step(pack(habits(), TARGET_TYPE, PARAMS.basket_power), 0.01)
    for name, weight in fusion.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().sum()) > 0, name
        assert not torch.equal(weight, before[name]), name


def test_an_item_without_content_is_its_id_alone_and_one_that_nobody_touched_its_content_alone() -> None:
    vectors = plain_vectors(3)
    vectors[2] = 0
    fusion = ItemFusion(ItemContent.of(3, vectors), torch.tensor([0, 5, 5, 0]), 4).eval()
    ids = torch.arange(16.0).reshape(4, 4)
    table = fusion(ids)
    alone = torch.from_numpy(fusion.projection.vector_of(vectors))
    assert torch.equal(table[2], ids[2])
    assert torch.equal(table[3], alone[3])
    assert torch.allclose(table[1], ids[1] + alone[1])
    bias = torch.zeros(4, requires_grad=True)
    fusion.biases(bias).sum().backward()
    assert bias.grad is not None
    assert bias.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_a_start_from_vectors_leaves_their_sums_and_explains_what_content_explains() -> None:
    random = np.random.default_rng(4)
    vectors = plain_vectors(600, 3)
    wanted = torch.from_numpy(vectors @ random.normal(size=(3, 8)).astype(np.float32))
    counts = torch.ones(601)
    counts[0] = counts[600] = 0
    fusion = ItemFusion(ItemContent.of(600, vectors), counts, 8).eval()
    ids = wanted.clone()
    fusion.start_from(ids)
    table = fusion(ids).detach()
    assert torch.allclose(table[1:600], wanted[1:600], atol=1e-4)
    assert float(ids[1:600].norm() / wanted[1:600].norm()) < 0.1  # little is left for the ids
    assert float((table[600] - wanted[600]).norm() / wanted[600].norm()) < 0.3  # and the one that nobody touched stands where it belongs


def test_items_nobody_has_seen_rank_among_their_kind_by_their_pictures() -> None:
    items = 80
    new = {4 * n + kind for n in (5, 12) for kind in range(1, 5)}
    kinds = np.arange(1, items + 1) % KINDS
    history = shop_of_kinds(items, new)
    config = SequenceConfig(items=items, dim=16, blocks=1, heads=2, channels=1, dropout=0.1, max_events=50)
    params = dataclasses.replace(PARAMS, epochs=6, tokens_per_step=200, spectral_start=True)
    content = ItemContent.of(items, pictures(kinds), id_dropout=0.2)
    trained = train(history, 1000 * DAY_US, config, params, content=content)
    scores = Scorer.of(trained.model).scores(history.take(np.arange(40)))[:, np.array(sorted(new)) - 1]
    right = np.array(sorted(new)) % KINDS == (np.arange(40) % KINDS)[:, None]
    above = np.mean([np.mean(row[own][:, None] > row[~own][None]) for row, own in zip(scores, right, strict=True)])
    assert above > 0.9  # chance is 0.5

    assert trained.content is not None
    later = trained.content.vector_of(pictures(kinds)[sorted(new)])
    np.testing.assert_allclose(later, trained.model.item.weight.detach().numpy()[sorted(new)], atol=1e-6)


def test_a_projection_comes_back_from_its_weights_and_gives_the_same_vectors() -> None:
    fusion = ItemFusion(ItemContent.of(ITEMS, plain_vectors(), attributes()), torch.ones(ITEMS + 1), 8)
    again = ContentProjection.from_weights({name: tensor.numpy() for name, tensor in fusion.projection.state_dict().items()})
    asked = (np.array([0, 2], np.int64), np.array([0, 2, 2], np.int64))
    vectors = plain_vectors()[1:3]
    np.testing.assert_array_equal(again.vector_of(vectors, asked), fusion.projection.vector_of(vectors, asked))
    assert again.vector_of(attributes=asked)[1].tolist() == [0.0] * 8  # nothing known, nothing said


@pytest.mark.parametrize(
    ("vectors", "asked", "said"),
    [
        (None, None, "neither"),
        (np.zeros((2, 5), np.float32), None, r"expected \(2, 6\)"),
        (None, (np.array([3]), np.array([0, 1])), "3 are known"),
        (np.zeros((2, 6), np.float32), (np.array([0]), np.array([0, 1])), "of 1 items"),
    ],
)
def test_content_that_training_has_not_met_is_refused(vectors: np.ndarray | None, asked: tuple[np.ndarray, np.ndarray] | None, said: str) -> None:
    fusion = ItemFusion(ItemContent.of(ITEMS, plain_vectors(), attributes()), torch.ones(ITEMS + 1), 8)
    with pytest.raises(ValueError, match=said):
        fusion.projection.vector_of(vectors, asked)


def test_content_of_another_number_of_items_is_refused() -> None:
    with pytest.raises(ValueError, match="content of 39 and 40 items, expected 40"):
        ItemContent.of(ITEMS, plain_vectors(39))
    with pytest.raises(ValueError, match="no weights of a content projection"):
        ContentProjection.from_weights({"basis": np.zeros((2, 2), np.float32)})
