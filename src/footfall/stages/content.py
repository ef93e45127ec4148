"""Stage `content`: what the catalogue, or a shop's own file, says of the vocabulary's items -> vectors and attributes.

    data/tables/catalogue.parquet, data/sequences/vocabulary.parquet -> data/content/ (its files: `footfall.content`)

With `content.encoder: none` and no attributes the folder holds a manifest alone, and training knows items by id only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from footfall.arrays import REMAKE
from footfall.arrays.vocabularies import read_vocabulary
from footfall.content import ATTRIBUTES_FILE, VECTORS_FILE, read_vectors, write_attributes, write_vectors
from footfall.contracts import CATALOGUE, C
from footfall.errors import ParamsError
from footfall.manifest import CACHE, check_manifest, write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.stages.command import run_stage
from footfall.tables import read_parquet, replacing_folder

ENCODERS = ("none", "use", "file")
_PATH = " > "
_REMAKE = f"{CACHE}, or dvc repro --force events"
_COLUMNS = (C.ITEM_ID, C.TITLE, C.BRAND, C.CATEGORY_PATH, C.DESCRIPTION)


def make_content(paths: Paths, params: Params) -> None:
    """Write data/content.

    Raises:
        ParamsError: an encoder that is not known, or `file` without a path.
        SourceError: the catalogue or the shop's own file cannot be read, or breaks its form.
        SettingsError: the text encoder is not installed.
    """
    asked = params.content
    if asked.encoder not in ENCODERS or (asked.encoder == "file") != bool(asked.path):
        raise ParamsError(
            "wrong content in params",
            where="params.yaml: content",
            expected=f"encoder one of {', '.join(ENCODERS)}; a path with file, and only then",
            found=f"encoder {asked.encoder}, path '{asked.path}'",
            next_step="mend content.encoder or content.path",
        )
    check_manifest(paths.sequences, ["vocabulary.parquet"], next_step=REMAKE)
    vocabulary = read_vocabulary(paths.sequences)
    with replacing_folder(paths.content) as folder:
        if asked.encoder == "file":
            found = read_vectors(paths.root / asked.path, vocabulary)
            has = np.abs(found[1:]).sum(1) > 0
            write_vectors(folder / VECTORS_FILE, [item for item, one in zip(vocabulary.item_ids, has, strict=True) if one], found[1:][has])
        if asked.encoder == "use" or asked.attributes:
            rows = [row for row in _catalogue(paths) if row[C.ITEM_ID] in vocabulary]
            _write_known(folder, rows, params)
        write_manifest(folder)


def text_of(row: dict[str, Any]) -> str:
    """What the encoder reads of one row of the catalogue: title, brand, category from the narrowest to the widest, description."""
    parts = [row[C.TITLE], row[C.BRAND], ", ".join(reversed(row[C.CATEGORY_PATH].split(_PATH))), row[C.DESCRIPTION]]
    return ". ".join(part.strip() for part in parts if part and part.strip())


def attributes_of(row: dict[str, Any]) -> list[str]:
    """Brand, and each level of the category with all that is above it."""
    levels = row[C.CATEGORY_PATH].split(_PATH) if row[C.CATEGORY_PATH] else []
    named = [f"category:{_PATH.join(levels[: depth + 1])}" for depth in range(len(levels))]
    return named + ([f"brand:{row[C.BRAND]}"] if row[C.BRAND] else [])


def _write_known(folder: Path, rows: list[dict[str, Any]], params: Params) -> None:
    """Encode the catalogue's text and list its attributes, as asked."""
    if params.content.encoder == "use":
        from footfall.model.text_encoder import encode

        write_vectors(folder / VECTORS_FILE, [row[C.ITEM_ID] for row in rows], encode([text_of(row) for row in rows], params.train.threads))
    if params.content.attributes:
        write_attributes(folder / ATTRIBUTES_FILE, [(row[C.ITEM_ID], one) for row in rows for one in attributes_of(row)])


def _catalogue(paths: Paths) -> list[dict[str, Any]]:
    file = f"{CATALOGUE.name}.parquet"
    check_manifest(paths.tables, [file], next_step=_REMAKE)
    rows: list[dict[str, Any]] = read_parquet(paths.tables / file, _COLUMNS, next_step=_REMAKE).to_pylist()
    return rows


if __name__ == "__main__":
    sys.exit(run_stage(make_content))
