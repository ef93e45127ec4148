"""Stage `habits`: arrays and categories -> the network that ranks a user's own items.

    data/sequences, data/tables -> data/habits/habits.safetensors

Only what happened before the training cut is read. In a shop where nobody buys an item twice the file holds no array, and the habit part is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from footfall.arrays import REMAKE
from footfall.arrays.histories import read_sequences
from footfall.arrays.vocabularies import read_vocabulary
from footfall.arrays.windows import read_split
from footfall.contracts import CATALOGUE, C
from footfall.core.habit_figures import ItemFacts
from footfall.core.habit_lessons import choose_lessons, fit_traits, make_lessons, recent_purchases
from footfall.core.habits import Habits
from footfall.core.sequences import Int32, Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.manifest import CACHE, check_manifest, write_manifest
from footfall.params import HabitTraining, Params
from footfall.paths import Paths
from footfall.stages.command import run_stage
from footfall.tables import read_parquet, replacing

FILE = "habits.safetensors"
FEWEST_LESSONS = 100
"""With fewer nothing is learnt."""
_ABOVE = " > "


def make_habits(paths: Paths, params: Params) -> None:
    """Write data/habits.

    Raises:
        SourceError: sequences or the catalogue cannot be read.
    """
    check_manifest(paths.sequences, next_step=REMAKE)
    vocabulary, split = read_vocabulary(paths.sequences), read_split(paths.sequences)
    groups = item_groups(vocabulary, _categories(paths.tables / f"{CATALOGUE.name}.parquet"))
    history = read_sequences(paths.sequences).before(split.train_end)
    write_habits(paths.habits, fit_habits(history, split.train_end, groups, params.habits, params.baselines.history_events))


def fit_habits(history: Sequences, until: int, groups: Int32, params: HabitTraining, events: int) -> Habits | None:
    """Learn from `history`, which ends before `until` (microseconds); None where there is too little to learn from.

    Args:
        groups: (V, 2) from `item_groups`.
        events: newest events of a history that are read.
    """
    from footfall.model.habits import train_habits

    facts = ItemFacts(fit_traits(history, len(groups)), recent_purchases(history, len(groups), until), groups)
    users, moments = choose_lessons(history, params.baskets, params.lessons, params.seed)
    lessons = make_lessons(history, users, moments, facts, events)
    if len(lessons) < FEWEST_LESSONS:
        return None
    trained = train_habits(lessons, params)
    return Habits(facts, trained.mean, trained.scale, trained.layers)


def item_groups(vocabulary: Vocabulary, categories: dict[str, str]) -> Int32:
    """(V, 2) numbers of each item's category and of the category above; where nothing is above, the category; without one, a group of its own."""
    paths = [categories.get(item_id) or None for item_id in vocabulary.item_ids]
    own = [path if path is not None else f"{_ABOVE}{item_id}" for path, item_id in zip(paths, vocabulary.item_ids, strict=True)]
    above = [name if path is None else path.rpartition(_ABOVE)[0] or path for path, name in zip(paths, own, strict=True)]
    levels = [np.unique(np.array(names), return_inverse=True)[1].astype(np.int32) for names in (own, above)]
    return np.stack(levels, axis=1)


def _categories(path: Path) -> dict[str, str]:
    """item_id -> category path, of the items that have one."""
    table = read_parquet(path, (C.ITEM_ID, C.CATEGORY_PATH), next_step=f"{CACHE}, or dvc repro --force events")
    table = table.filter(pc.is_valid(table.column(C.CATEGORY_PATH)))
    return dict(zip(table.column(C.ITEM_ID).to_pylist(), table.column(C.CATEGORY_PATH).to_pylist(), strict=True))


def write_habits(folder: Path, habits: Habits | None) -> None:
    """Write data/habits; without habits, a file without arrays."""
    from safetensors.numpy import save

    arrays: dict[str, npt.NDArray[Any]] = {} if habits is None else habits.arrays()
    with replacing(folder / FILE) as file:
        file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    write_manifest(folder)


def read_habits(folder: Path, items: int) -> Habits | None:
    """The habits of data/habits; None where there are none.

    Raises:
        SourceError: the file is damaged or of another vocabulary.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    try:
        arrays = load_file(path)
        return Habits.of(arrays, items) if arrays else None
    except (OSError, SafetensorError, ValueError) as error:
        raise SourceError("habits cannot be read", where=path, found=str(error), next_step="dvc repro habits") from error


if __name__ == "__main__":
    sys.exit(run_stage(make_habits))
