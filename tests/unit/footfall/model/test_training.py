from __future__ import annotations

import numpy as np
import torch

from footfall.model.batches import Layout, pack_users
from footfall.model.losses import softmax_loss
from footfall.model.prepared import prepare
from footfall.model.pretrained import SequenceModel
from tests.unit.footfall.model.shop_of_habits import CONFIG, habits

BUY = 4


def test_what_a_gpu_computes_in_half_the_bits_is_nearly_the_same() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SequenceModel(CONFIG).eval()
    prepared = prepare(habits(), BUY)
    packed = pack_users(prepared, np.arange(len(prepared)), Layout.BINS)
    losses = []
    for factors in (None, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=factors is not None):
            states, bonuses = model(packed)
        wide = [bonus.float() for bonus in bonuses]
        losses.append(softmax_loss(states.float(), model.item.weight, model.item_bias, wide, packed, factors=factors))
        model.zero_grad()
        losses[-1].backward()
        assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in model.parameters())
    torch.testing.assert_close(losses[1], losses[0], rtol=2e-3, atol=0)
