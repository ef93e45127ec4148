from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from footfall.model import slopes
from footfall.model.batches import pack
from footfall.model.losses import narrow_type, softmax_loss
from footfall.model.packs import Pack
from footfall.model.sampled_softmax import NegativeSampler
from tests.unit.footfall.model.shop_of_habits import ITEMS, habits

BUY = 4


@pytest.fixture(scope="module")
def packed() -> Pack:
    return pack(habits(users=6), BUY, basket_power=0.5)


@pytest.fixture
def inputs(packed: Pack) -> list[Tensor]:
    """States, items, bias and each stack's bonus, all wanting gradients."""
    draw = torch.Generator().manual_seed(3)
    grids = [(stack.users, stack.moments, stack.distinct) for stack in packed.stacks]
    shapes = [(len(packed.gap_before), 8), (ITEMS + 1, 8), (ITEMS + 1,), *grids]
    return [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]


def plain_loss(packed: Pack, states: Tensor, items: Tensor, bias: Tensor, bonuses: list[Tensor], drawn: tuple[Tensor, Tensor] | None) -> Tensor:
    """The same by the book, a moment at a time: a logit for everything, cross-entropy by autograd."""
    loss = torch.zeros(())
    for stack, bonus in zip(packed.stacks, bonuses, strict=True):
        for user in range(stack.users):
            mine = packed.candidates[stack.candidates].view(stack.users, -1)[user]
            for moment in range(stack.moments):
                row = stack.first_row + user * stack.moments + moment
                logits = (items @ states[row] + bias).index_add(0, mine, bonus[user, moment])
                allowed = logits[1:]
                if drawn is not None:
                    negatives, log_expected = drawn
                    keep = ~torch.isin(negatives, mine)
                    allowed = torch.cat([logits[mine[mine > 0]], logits[negatives[keep]] - log_expected[keep]])
                for target in (packed.target_row == row).nonzero()[:, 0].tolist():
                    part = torch.logsumexp(allowed, dim=0) - logits[packed.target_item[target]]
                    loss = loss + packed.moment_weight[row] * packed.target_weight[target] * part
    return loss / packed.moment_weight.sum()


@pytest.mark.parametrize("rows", [1, 7, 256])
@pytest.mark.parametrize("scale", [1.0, 12.0])
@pytest.mark.parametrize("sampled", [False, True])
def test_loss_and_gradients_are_those_of_plain_cross_entropy(
    packed: Pack, inputs: list[Tensor], sampled: bool, scale: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slopes, "ROWS", rows)
    inputs = [(scale * one).detach().double().requires_grad_() for one in inputs]  # the larger ones need their largest taken off first
    drawn = (torch.tensor([1, 5, 5, 30, 17]), torch.tensor([-0.5, 0.2, 0.2, -1.0, 0.0]).double()) if sampled else None
    states, items, bias, *bonuses = inputs
    exact = replace(packed, target_weight=packed.target_weight.double(), moment_weight=packed.moment_weight.double())
    ours = softmax_loss(states, items, bias, bonuses, exact, drawn)
    theirs = plain_loss(exact, states, items, bias, bonuses, drawn)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-9)


def test_drawing_every_item_once_is_the_exact_softmax(packed: Pack, inputs: list[Tensor]) -> None:
    states, items, bias, *bonuses = inputs
    everything = (torch.arange(1, ITEMS + 1), torch.zeros(ITEMS))
    torch.testing.assert_close(softmax_loss(states, items, bias, bonuses, packed, everything), softmax_loss(states, items, bias, bonuses, packed))


def test_no_item_is_neither_target_nor_competitor(packed: Pack, inputs: list[Tensor]) -> None:
    states, items, bias, *bonuses = inputs
    _, d_items, d_bias = torch.autograd.grad(softmax_loss(states, items, bias, bonuses, packed), [states, items, bias])
    assert d_items[0].abs().max() == 0
    assert d_bias[0] == 0


def test_the_logq_correction_estimates_the_whole_catalogue() -> None:
    counts = torch.tensor([99, 50, 5, 1, 0, 20])
    sampler = NegativeSampler(counts, 20_000, torch.Generator().manual_seed(0))
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5, 0.1])
    items, log_expected = sampler.draw(torch.device("cpu"))
    assert set(items.tolist()) == {1, 2, 3, 4, 5}
    estimate = (logits[items] - log_expected).exp().sum()
    assert estimate == pytest.approx(float(logits[1:].exp().sum()), rel=0.03)


@pytest.mark.parametrize(("rows", "scale"), [(4, 1.0), (96, 1.0), (96, 5.0)])
def test_factors_may_be_rounded_and_the_bias_hardly_is(
    packed: Pack, inputs: list[Tensor], rows: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slopes, "ROWS", rows)
    states, items, bias, *bonuses = [(scale * one).detach().requires_grad_() for one in inputs]  # the larger ones need their largest taken off first
    bias = (bias - 9.0).detach().requires_grad_()
    exact, rounded = (softmax_loss(states, items, bias, bonuses, packed, factors=kind) for kind in (None, torch.bfloat16))
    torch.testing.assert_close(rounded, exact, rtol=1e-3, atol=0)
    wanted = [states, items, bias, *bonuses]
    for ours, theirs in zip(torch.autograd.grad(rounded, wanted), torch.autograd.grad(exact, wanted), strict=True):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_auto_rounds_where_the_processor_is_fast_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for able, expected in (({}, None), ({"avx512_bf16": False}, None), ({"avx512_bf16": True}, torch.bfloat16)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert narrow_type("auto", cpu) is expected
        assert narrow_type("float32", cpu) is None
        assert narrow_type("bfloat16", cpu) is torch.bfloat16
    assert narrow_type("auto", torch.device("cuda")) is torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("sampled", [False, True])
def test_a_gpu_gives_the_loss_and_the_gradients_of_a_cpu(packed: Pack, inputs: list[Tensor], sampled: bool) -> None:
    drawn = (torch.tensor([1, 5, 5, 30, 17]), torch.tensor([-0.5, 0.2, 0.2, -1.0, 0.0])) if sampled else None
    there = torch.device("cuda")
    moved = replace(packed, **{name: part.to(there) for name, part in vars(packed).items() if isinstance(part, Tensor)})
    ours = [one.detach().to(there).requires_grad_() for one in inputs]
    on_gpu = softmax_loss(*ours[:3], ours[3:], moved, drawn and (drawn[0].to(there), drawn[1].to(there)))
    on_cpu = softmax_loss(*inputs[:3], inputs[3:], packed, drawn)
    assert float(on_gpu) == pytest.approx(float(on_cpu), rel=1e-5)
    for mine, other in zip(torch.autograd.grad(on_gpu, ours), torch.autograd.grad(on_cpu, inputs), strict=True):
        assert (mine.cpu() - other).norm() < 1e-4 * other.norm()
