"""A whole folder takes the place of another, and a kill at any moment leaves the old one or the new one, or both and the rest of the work.

    .footfall/landing/.replacing/data@raw@events@<batch>/{new,old}   while it happens; `old` is there only once `new` is whole

Whoever holds the ingest lease finishes what a killed process left, before anything else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from footfall.paths import Paths
from footfall.tables import sync_folder


@contextmanager
def replacing(paths: Paths, folder: Path) -> Iterator[Path]:
    """A copy of `folder` to change at will; it takes the folder's place at the end of the `with` block.

    Its files are links to the old ones: replace them by new files, never write into them.
    """
    place = _place(paths, folder)
    new, old = place / "new", place / "old"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copytree(folder, new, copy_function=os.link)
    yield new
    sync_folder(new)
    folder.rename(old)
    new.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(place)


def finish_replacing(paths: Paths) -> int:
    """Finish or undo what a killed process was replacing; returns how many folders that were."""
    places = sorted(_replacing(paths).glob("*"))
    for place in places:
        folder = paths.root.joinpath(*place.name.split("@"))
        if not folder.exists() and (place / "old").exists():
            (place / "new").rename(folder)
            sync_folder(folder.parent)
        shutil.rmtree(place)
    return len(places)


def _replacing(paths: Paths) -> Path:
    return paths.landing / ".replacing"


def _place(paths: Paths, folder: Path) -> Path:
    return _replacing(paths) / "@".join(folder.relative_to(paths.root).parts)
