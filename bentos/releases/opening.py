"""A release is opened, verified and warm before anybody is answered by it; one that cannot be is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from footfall.bundle import release_id
from footfall.errors import BundleError, FootfallError
from footfall.recommender import History, Recommender, Wishes
from footfall.store.arms import Pointer

RETRY_S = 30.0
"""A release that could not be opened is tried again after so long."""

_WARM_UP_AT_US = 4_102_444_800_000_000  # 2100-01-01: later than every event


def _nothing_more(_: Recommender) -> None:
    return None


@dataclass
class Opener:
    """Opens releases.

    Attributes:
        open_ranker: opens and verifies a bundle.
        find_bundle: model tag -> folder.
        prepare: what else is done before a release serves.
    """

    open_ranker: Callable[[Path], Recommender]
    find_bundle: Callable[[str], Path]
    prepare: Callable[[Recommender], None] = _nothing_more


class Attempts:
    """The attempts to open the releases of one arm."""

    def __init__(self, opener: Opener) -> None:
        """Nothing was tried yet."""
        self._opener = opener
        self._failed: tuple[str, float] | None = None
        self.failure: str | None = None

    def rests(self, release: str) -> bool:
        """Whether the release failed so short a time ago that it is not tried again yet."""
        return self._failed is not None and self._failed[0] == release and time.monotonic() < self._failed[1]

    def failure_of(self, release: str) -> str | None:
        """Why the release could not be opened, where it was the last to fail."""
        return self.failure if self._failed is not None and self._failed[0] == release else None

    def settle(self) -> None:
        """Something else serves now: forget what failed."""
        self._failed = self.failure = None

    def open(self, pointer: Pointer) -> Recommender:
        """The release, verified and warm.

        Raises:
            Exception: whatever a foreign bundle does to its reader; it is kept in `failure`.
        """
        try:
            folder = self._opener.find_bundle(pointer.model_tag)
            _require_release(release_id(folder), pointer, folder)
            ranker = self._opener.open_ranker(folder)
            _require_release(ranker.release_id, pointer, folder)
            warm_up(ranker)
            self._opener.prepare(ranker)
        except Exception as error:
            self.failure = f"{pointer.release_id}: {error.what if isinstance(error, FootfallError) else type(error).__name__}"
            self._failed = (pointer.release_id, time.monotonic() + RETRY_S)
            raise
        self.settle()
        return ranker


def _require_release(found: str, pointer: Pointer, folder: Path) -> None:
    if found != pointer.release_id:
        raise BundleError("another bundle lies in the release's place", where=folder, expected=pointer.release_id, found=found)


def warm_up(ranker: Recommender) -> None:
    """Answer a few requests that nobody asked, so that the first real one is as quick as the others.

    Raises:
        ValueError: the ranker gives no items, or scores that are no numbers.
    """
    first = ranker.recommend(ranker.encode([History([], [], [])]), _WARM_UP_AT_US, Wishes(), "fused")[0]
    seen = [line.item_id for line in first.items]
    history = History(seen, ["purchase"] * len(seen), [_WARM_UP_AT_US - 86_400_000_000 * (n + 1) for n in range(len(seen))][::-1])
    for _ in range(3):
        slate = ranker.recommend(ranker.encode([history]), _WARM_UP_AT_US, Wishes(), "fused")[0]
    if not slate.items or slate.degraded is not None:
        raise ValueError(f"no usable slate from {ranker.release_id}: {slate.degraded}")
