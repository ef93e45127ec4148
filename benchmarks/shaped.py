"""Histories in the shape of Amazon Beauty, for races over training: the real file where the data folder has it, else a generated one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

USERS, ITEMS, MEAN, LEAST = 22_363, 12_101, 8.9, 5
_BEAUTY = Path("amazon_beauty") / "Beauty.txt.gz"


def beauty(folder: Path) -> tuple[Path, str]:
    """A file in the S3-Rec text form (user, then its items in order, a user a line) and what it is, in words.

    Beauty itself below FOOTFALL_DATA; without it a generated file of that shape, written to `folder`.
    """
    if real := beauty_itself():
        return real, "Beauty"
    path = folder / "beauty-shaped.txt"
    write_shaped(path, USERS, ITEMS)
    return path, "Beauty-shaped"


def beauty_itself() -> Path | None:
    """Beauty below FOOTFALL_DATA, where it is."""
    real = Path(os.environ.get("FOOTFALL_DATA", "")) / _BEAUTY
    return real if "FOOTFALL_DATA" in os.environ and real.exists() else None


def write_shaped(path: Path, users: int, items: int, seed: int = 7) -> None:
    """Write users with five events and more, 8.9 on average and a few with two hundred; nobody meets an item twice.

    Every item comes up five times where there are events enough; the rest goes to the popular ones.
    """
    random = np.random.default_rng(seed)
    # a mixture of geometric lengths: the longest of Beauty's histories has 204 events
    lengths = LEAST + random.geometric(1.0 / (1.0 + (MEAN - LEAST) * random.gamma(1.0, 1.0, users))) - 1
    events = int(lengths.sum())
    every = np.repeat(np.arange(1, items + 1), LEAST if LEAST * items <= events else 0)
    pool = random.permutation(np.concatenate([every, _popular(random, events - len(every), items)]))
    owners = np.repeat(np.arange(users), lengths)
    for _ in range(3):
        again = _again(owners, pool)
        pool[again] = _popular(random, int(again.sum()), items)
    _write(path, owners, pool, ~_again(owners, pool))


def write_even(path: Path, users: int, length: int, items: int, seed: int = 7) -> None:
    """Write `users` users with `length` different items each, all items alike."""
    first = np.random.default_rng(seed).integers(0, items, users)
    # a prime stride above the catalogue's size: no user comes to an item twice
    pool = (first[:, None] + np.arange(length) * 1_000_003) % items + 1
    _write(path, np.repeat(np.arange(users), length), pool.ravel(), np.ones(pool.size, bool))


def _popular(random: np.random.Generator, events: int, items: int) -> npt.NDArray[np.int64]:
    """Items by popularity, which falls with the rank."""
    share = np.cumsum((np.arange(items) + 30.0) ** -0.7)
    drawn: npt.NDArray[np.int64] = np.minimum(np.searchsorted(share, random.random(events) * share[-1]), items - 1) + 1
    return drawn


def _again(owners: npt.NDArray[np.int64], pool: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where a user meets an item for the second time."""
    again = np.ones(len(pool), bool)
    again[np.unique(owners * (int(pool.max(initial=0)) + 1) + pool, return_index=True)[1]] = False
    return again


def _write(path: Path, owners: npt.NDArray[np.int64], pool: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]) -> None:
    users = np.split(pool[kept], np.flatnonzero(np.diff(owners[kept])) + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{number} {' '.join(map(str, items.tolist()))}\n" for number, items in enumerate(users, 1)), encoding="utf-8")
