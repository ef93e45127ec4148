"""Content between the stages: what `content` wrote as training reads it, and what training learnt of it as a file beside the weights.

data/weights/content.safetensors   the projection: gives an item that came later a vector
data/weights/attributes.json       names of the attribute codes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from footfall.content import ATTRIBUTES_FILE, VECTORS_FILE, read_attributes, read_vectors
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.manifest import CACHE, check_manifest
from footfall.model.content import ContentProjection, ItemContent
from footfall.tables import replacing, write_text

PROJECTION, ATTRIBUTE_NAMES = "content.safetensors", "attributes.json"
_REMAKE = f"{CACHE}, or dvc repro --force content"


def read_item_content(folder: Path, vocabulary: Vocabulary, id_dropout: float) -> tuple[ItemContent | None, list[str]]:
    """What data/content holds, and the names of its attribute codes; None where content is off.

    Raises:
        SourceError: a file is damaged or breaks its form.
    """
    if not folder.exists():
        return None, []
    check_manifest(folder, next_step=_REMAKE)
    vectors = read_vectors(folder / VECTORS_FILE, vocabulary) if (folder / VECTORS_FILE).exists() else None
    codes, offsets, names = read_attributes(folder / ATTRIBUTES_FILE, vocabulary) if (folder / ATTRIBUTES_FILE).exists() else (None, None, [])
    if vectors is None and codes is None:
        return None, []
    attributes = None if codes is None or offsets is None else (codes, offsets)
    return ItemContent.of(len(vocabulary), vectors, attributes, id_dropout), names


def write_projection(folder: Path, projection: ContentProjection | None, names: Sequence[str]) -> None:
    """Write the projection and the names beside the weights; without one, nothing of an older run stays."""
    if projection is None:
        for name in (PROJECTION, ATTRIBUTE_NAMES):
            (folder / name).unlink(missing_ok=True)
        return
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in projection.state_dict().items()}
    with replacing(folder / PROJECTION) as file:
        file.write(save(arrays))
    write_text(folder / ATTRIBUTE_NAMES, json.dumps(list(names)) + "\n")


def open_projection(folder: Path) -> ContentProjection:
    """The projection of data/weights, ready to give vectors.

    Raises:
        SourceError: training had no content, or the file is damaged.
    """
    path = folder / PROJECTION
    try:
        return ContentProjection.from_weights(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        expected = "weights of a run with content"
        raise SourceError("content projection cannot be read", where=path, expected=expected, found=str(error), next_step="set content") from error
