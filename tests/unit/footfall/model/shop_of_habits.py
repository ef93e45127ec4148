"""Small seeded histories for the tests of the model."""

from __future__ import annotations

import numpy as np

from footfall.core.sequences import Sequences
from footfall.model.pretrained import SequenceConfig
from footfall.params import Train

DAY_US = 86_400_000_000
ITEMS = 40
CONFIG = SequenceConfig(items=ITEMS, dim=16, blocks=2, heads=2, channels=3, dropout=0.1, max_events=50)
PARAMS = Train(
    seed=7,
    threads=1,
    epochs=2,
    tokens_per_step=300,
    exact_items=0,
    negatives=0,
    learning_rate=0.01,
    weight_decay=0.0,
    warmup_share=0.1,
    basket_power=0.6,
    repeat_pace=5.0,
    spectral_start=False,
    average=0.0,
    patience=0,
    precision="float32",
)


def build(*users: list[tuple[int, int, float]]) -> Sequences:
    """Sequences from one list of (item_index, event type code, day) a user."""
    events = [event for user in users for event in user]
    item, kind, day = (list(column) for column in zip(*events, strict=True)) if events else ([], [], [])
    offsets = np.cumsum([0, *map(len, users)]).astype(np.int64)
    return Sequences(np.array(item, np.int32), np.array(kind, np.int8), (np.array(day) * DAY_US).astype(np.int64), offsets)


def habits(users: int = 40, seed: int = 0) -> Sequences:
    """Weekly baskets: three habits a user, one surprise, and one search without an item before each basket."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(users):
        own, user = random.choice(ITEMS, 3, replace=False) + 1, []
        for week in range(int(random.integers(2, 12))):
            user.append((0, 0, 7.0 * week))
            user += [(int(item), 4, 7.0 * week + 0.01) for item in sorted({*own.tolist(), int(random.integers(1, ITEMS + 1))})]
        rows.append(user)
    return build(*rows)
