from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from footfall.core.sequences import Sequences
from footfall.model import network
from footfall.model.batches import Layout, pack, pack_users
from footfall.model.losses import softmax_loss
from footfall.model.network import dropout
from footfall.model.prepared import Prepared, prepare
from footfall.model.pretrained import SequenceConfig, SequenceModel
from tests.unit.footfall.model.shop_of_habits import CONFIG, build, habits

BUY = 4


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    """Random weights, far from the gentle first ones, so that every part has a say."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SequenceModel(CONFIG)
        with torch.no_grad():
            for weight in made.parameters():
                weight.add_(torch.randn_like(weight) * 0.3)
    return made.eval()


def scores(model: SequenceModel, sequences: Sequences) -> np.ndarray:
    with torch.inference_mode():
        return model.scores(pack(sequences)).numpy()


def test_a_model_comes_back_from_its_folder_unchanged(model: SequenceModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    again = SequenceModel.from_pretrained(tmp_path, local_files_only=True).eval()
    assert isinstance(again.config, SequenceConfig)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    np.testing.assert_array_equal(scores(model, habits()), scores(again, habits()))


def test_what_comes_later_changes_no_earlier_state(model: SequenceModel) -> None:
    past = [(1, BUY, 0), (2, BUY, 0), (3, BUY, 5), (1, BUY, 9)]
    with torch.inference_mode():
        states, (bonus,) = model(pack(build(past)))
        longer, (longer_bonus,) = model(pack(build([*past, (2, BUY, 12), (7, BUY, 30)])))
    torch.testing.assert_close(longer[:3], states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(longer_bonus[:, :3, :3], bonus, rtol=1e-5, atol=1e-5)


def test_an_item_has_no_bonus_before_it_is_met(model: SequenceModel) -> None:
    with torch.inference_mode():
        _, (bonus,) = model(pack(build([(1, BUY, 0), (2, BUY, 5)])))
    assert bonus[0, 0, 1] == 0
    assert bonus[0, 1, 1] != 0


def test_neighbours_in_a_pack_change_nothing(model: SequenceModel) -> None:
    sequences = habits()
    alone = np.concatenate([scores(model, sequences.take(np.array([user]))) for user in range(len(sequences))])
    np.testing.assert_allclose(scores(model, sequences), alone, rtol=1e-5, atol=1e-5)


def test_order_inside_a_basket_says_nothing(model: SequenceModel) -> None:
    one = build([(1, BUY, 0), (2, BUY, 0), (3, BUY, 0), (4, BUY, 2), (5, BUY, 2)])
    other = build([(3, BUY, 0), (1, BUY, 0), (2, BUY, 0), (5, BUY, 2), (4, BUY, 2)])
    np.testing.assert_allclose(scores(model, one), scores(model, other), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("change", ["item", "event_type", "time", "no_item"])
def test_everything_that_an_event_says_is_heard(model: SequenceModel, change: str) -> None:
    before = build([(1, BUY, 0), (2, BUY, 3), (3, BUY, 10)])
    event = {"item": (5, BUY, 3), "event_type": (2, 2, 3), "time": (2, BUY, 8), "no_item": (0, BUY, 3)}[change]
    after = build([(1, BUY, 0), event, (3, BUY, 10)])
    assert np.abs(scores(model, before) - scores(model, after)).max() > 1e-4


def test_one_of_few_rows_has_the_slope_of_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_PIECE", 100)
    draw = torch.Generator().manual_seed(1)
    index, rows = torch.randint(0, 7, (450,), generator=draw), torch.randn(7, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    slopes = torch.randn(450, 3, generator=draw, dtype=torch.float64)
    ours, theirs = network._OneOfFew.apply(index, rows), rows[index]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad((ours * slopes).sum(), rows), torch.autograd.grad((theirs * slopes).sum(), rows))


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_everywhere_alike_and_keeps_the_mean(chance: float) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        x = torch.ones(2000, 64, requires_grad=True)
        found = dropout(x, chance, True)
    gone = (found == 0).float()
    assert gone.mean().item() == pytest.approx(chance, abs=0.01)
    assert (gone.mean(0) - chance).abs().max() < 0.06  # bytes of one draw are alike
    assert found.mean().item() == pytest.approx(1.0, abs=0.06)
    found.sum().backward()
    assert torch.equal(x.grad == 0, found == 0)
    assert dropout(x, chance, False) is x


def test_a_fresh_model_ranks_by_repeats_then_popularity() -> None:
    made = SequenceModel(CONFIG)
    with torch.no_grad():
        made.item.weight.zero_()  # else its small random start decides between items of nearly equal popularity
    made.start_from(torch.arange(CONFIG.items + 1))
    row = scores(made.eval(), build([(3, BUY, 0), (3, BUY, 7), (9, BUY, 7)]))[0]
    assert row[3 - 1] > row[4 - 1] + 0.5
    assert np.argmax(np.delete(row, [2, 8])) == CONFIG.items - 3


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(
        build(*([(item + 1, BUY, 2.0 * day) for day in range(n) for item in (day % 9, n % 30)] for n in (9, 1, 70, 2, 3, 4, 5, 6, 7, 8))), BUY
    )


def test_empty_moments_in_front_change_no_score(model: SequenceModel, prepared: Prepared) -> None:
    exact, similar = (pack_users(prepared, np.arange(len(prepared)), layout) for layout in (Layout.EXACT, Layout.SIMILAR))
    assert len(similar.stacks) < len(exact.stacks)
    with torch.inference_mode():
        torch.testing.assert_close(model.scores(similar), model.scores(exact), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("layout", "stacks"), [(Layout.SIMILAR, 5), (Layout.BINS, 1)])
def test_loss_and_gradients_do_not_depend_on_who_shares_a_rectangle(model: SequenceModel, prepared: Prepared, layout: Layout, stacks: int) -> None:
    found = []
    for packed in (pack_users(prepared, np.arange(len(prepared)), one) for one in (Layout.EXACT, layout)):
        states, bonuses = model(packed)
        loss = softmax_loss(states, model.item.weight, model.item_bias, bonuses, packed)
        found.append((loss, torch.autograd.grad(loss, list(model.parameters()))))
    assert len(packed.stacks) == stacks
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)


def test_sampled_losses_do_not_depend_on_empty_moments(model: SequenceModel, prepared: Prepared) -> None:
    drawn = (torch.tensor([1, 5, 30]), torch.zeros(3))
    with torch.inference_mode():
        ours, theirs = (
            softmax_loss(states, model.item.weight, model.item_bias, bonuses, packed, drawn)
            for packed in (pack_users(prepared, np.arange(len(prepared)), layout) for layout in (Layout.EXACT, Layout.SIMILAR))
            for states, bonuses in (model(packed),)
        )
    torch.testing.assert_close(ours, theirs)
