"""What a training run that is killed leaves for the next one: its whole state, every half minute, in one file that is there whole or not at all.

    .footfall/training/<digest>.safetensors

The digest is of all that the run depends on: the arrays, the parameters, the code of the model and torch itself. A state of another run is not
this one's, and goes when this one ends. The file holds weights, no ids of users.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import footfall.model
from footfall.manifest import MANIFEST
from footfall.model.training import State, from_bytes, to_bytes
from footfall.params import Params
from footfall.paths import Paths
from footfall.tables import replacing

EVERY_S = 30.0
"""Seconds of work that a kill may cost."""


class Checkpoint:
    """The state of one run on disk.

    Args:
        paths: where the arrays lie, and the state.
        params: what the run is made with.
        every_s: how often it is written.
        processes: how many train together; the order of sums, so the last bits, depend on it.
    """

    def __init__(self, paths: Paths, params: Params, every_s: float = EVERY_S, processes: int = 1) -> None:
        self._folder = paths.training
        self._path = self._folder / f"{_digest(paths, params, processes)}.safetensors"
        self._every_s, self._written = every_s, time.monotonic()

    def kept(self) -> State | None:
        """The state of a run like this one that was cut off; None without a whole one."""
        return from_bytes(self._path.read_bytes()) if self._path.exists() else None

    def keep(self, state: Callable[[], State]) -> None:
        """Write the state, when it is time."""
        if time.monotonic() - self._written < self._every_s:
            return
        with replacing(self._path) as file:
            file.write(to_bytes(state()))
        self._written = time.monotonic()

    def clear(self) -> None:
        """Remove this state and all others: a run has ended."""
        for path in self._folder.glob("*"):
            path.unlink()


def _digest(paths: Paths, params: Params, processes: int) -> str:
    found = hashlib.sha256((paths.sequences / MANIFEST).read_bytes())
    content = paths.content / MANIFEST
    if content.exists():
        found.update(content.read_bytes())
    for part in (params.split, params.content.id_dropout, params.model, params.train, version("torch"), processes):
        found.update(repr(part).encode())
    for path in sorted(Path(footfall.model.__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:32]
