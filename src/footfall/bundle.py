"""The bundle: one folder that is evaluated, released and served.

    manifest.json           MANIFEST: sha256 of every other file, digests of the inputs, as_of, parameters, contract versions
    manifest.sha256         of manifest.json, whose own bytes nothing else vouches for
    config.json             shape of the sequence model
    model.safetensors       its weights; the item table in float32, or in int8 with a scale a row
    vocabulary.parquet      VOCABULARY
    queries.parquet         QUERIES: the search texts that the model knows; where the shop has searches
    baselines.safetensors   popularity (V,), neighbours (V, N), similarities (V, N)
    habits.safetensors      network and item facts of the habit part (`core.habits`); where anybody buys an item twice
    fusion.json             FUSION: weights of the fused policies and how they were chosen
    chances.json            CHANCES: what a fused score is worth in purchases (`core.chances`); where validation could tell

Equal inputs give equal bytes: nothing here depends on the clock, and no user's history is inside. Nothing is unpickled.
A release may be signed: its signature lies beside the folder (`footfall.signing`).
A bundle is verified whole before anything of it is used, and what was hashed is what is parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.bundle_files import (
    BASELINES,
    CHANCES_FILE,
    CONFIG,
    FILES,
    FUSION,
    HABITS_FILE,
    OPTIONAL,
    QUERIES_FILE,
    VOCABULARY_FILE,
    WEIGHTS,
    Chances,
    Fusion,
    fault,
    read_baselines,
    read_chances,
    read_config,
    read_fusion,
    read_habits,
    read_vocabulary,
    read_weights,
)
from footfall.bundle_folder import MANIFEST_SUM, spoken, verified
from footfall.contracts import QUERIES, VOCABULARY
from footfall.core.baselines import ItemToItem
from footfall.core.habits import Habits
from footfall.core.metrics import Float64
from footfall.core.parts import Scorer
from footfall.core.quantised import quantise_items
from footfall.core.sequences import Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.documents import Manifest
from footfall.errors import BundleError
from footfall.manifest import MANIFEST, file_digest
from footfall.signing import VerifyKeys
from footfall.tables import replacing, replacing_folder, write_text


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory.

    Attributes:
        popularity: (V,) purchases in the days before the test window.
        weights: name -> array, for the scorer; in float32, however the item table is kept.
        queries: normalised search texts by their query_index; None where the model knows none.
    """

    release_id: str
    manifest: Manifest
    vocabulary: Vocabulary
    config: dict[str, Any]
    weights: dict[str, npt.NDArray[Any]]
    popularity: Float64
    item_to_item: ItemToItem
    fusion: Fusion
    bytes: int
    queries: Vocabulary | None = None
    habits: Habits | None = None
    chances: Chances | None = None


@dataclass(frozen=True)
class Content:
    """What `write_bundle` puts beside the weights and the vocabulary."""

    popularity: Float64
    item_to_item: ItemToItem
    fusion: Fusion
    habits: Habits | None = None
    chances: Chances | None = None


def write_bundle(
    folder: Path,
    *,
    weights: Path,
    vocabulary: Path,
    content: Content,
    facts: Mapping[str, Any],
    item_table: str = "float32",
    queries: Path | None = None,
) -> str:
    """Write a bundle and return its release id; a folder that stands there is replaced only once the new one is whole.

    Args:
        folder: where the bundle goes.
        weights: folder with config.json and model.safetensors.
        vocabulary: vocabulary.parquet.
        content: the arrays and weights learnt for it.
        facts: the manifest's own fields: inputs, as_of, train_end, validation_end, params.
        item_table: "float32", or "int8": a byte a number and a scale a row.
        queries: queries.parquet, where there is one.

    Raises:
        DiskError: the disk is full; what stood there stands there still.
        ValueError: there is no item table that could be kept in bytes.
    """
    copied = {CONFIG: weights / CONFIG, WEIGHTS: weights / WEIGHTS, VOCABULARY_FILE: vocabulary}
    if queries is not None:
        copied[QUERIES_FILE] = queries
    with replacing_folder(folder) as partial:
        _copy(partial, copied, item_table)
        _write_content(partial, content)
        _write_manifest(partial, facts)
    return release_id(folder)


def _copy(partial: Path, sources: Mapping[str, Path], item_table: str) -> None:
    """Take over what earlier stages made, byte for byte, but the weights in the form in which the item table is kept."""
    from safetensors.numpy import load, save

    for name, source in sources.items():
        with replacing(partial / name) as file:
            raw = source.read_bytes()
            in_bytes = name == WEIGHTS and item_table == "int8"
            file.write(save(quantise_items(load(raw)), metadata={"format": "pt"}) if in_bytes else raw)


def _write_content(partial: Path, content: Content) -> None:
    """Write what was learnt for this bundle: baselines, habits, fusion, chances."""
    from safetensors.numpy import save

    arrays: dict[str, npt.NDArray[Any]] = {
        "popularity": np.ascontiguousarray(content.popularity, np.float64),
        "neighbours": np.ascontiguousarray(content.item_to_item.neighbours, np.int32),
        "similarities": np.ascontiguousarray(content.item_to_item.similarities, np.float32),
    }
    with replacing(partial / BASELINES) as file:
        file.write(save(arrays))
    if content.habits is not None:
        with replacing(partial / HABITS_FILE) as file:
            file.write(save({name: np.ascontiguousarray(array) for name, array in content.habits.arrays().items()}))
    write_text(partial / FUSION, content.fusion.to_json())
    if content.chances is not None:
        write_text(partial / CHANCES_FILE, content.chances.to_json())


def _write_manifest(partial: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of all that stands in the folder, and the manifest's own sum."""
    files = {name: file_digest(partial / name) for name in (*FILES, *OPTIONAL) if (partial / name).exists()}
    write_text(partial / MANIFEST, Manifest(files=files, contracts=spoken(files), **facts).to_json())
    write_text(partial / MANIFEST_SUM, f"{file_digest(partial / MANIFEST)}\n")


def bundle_digest(folder: Path) -> str:
    """sha256 of the manifest, which holds the sha256 of all else: the bundle's identity.

    Raises:
        BundleError: there is no manifest.
    """
    try:
        return file_digest(folder / MANIFEST)
    except OSError as error:
        raise fault("no bundle here", folder, expected=f"a folder with {MANIFEST}", found=type(error).__name__) from error


def release_id(folder: Path) -> str:
    """Name of the release that this bundle would be: "r" and 12 hex digits of its digest."""
    return name_of(bundle_digest(folder))


def name_of(digest: str) -> str:
    """The release id of a bundle with this digest."""
    return f"r{digest[:12]}"


def open_bundle(folder: Path, verify_keys: VerifyKeys = ()) -> Bundle:
    """Read and verify a bundle.

    Args:
        folder: the bundle.
        verify_keys: one of them must have signed it; none: it need not be signed.

    Raises:
        BundleError: it is not signed by whom it should be; a file is missing, too many, a link, or differs from the manifest by as little as a
            bit; a schema or contract version is unknown; an array has another shape or type than the vocabulary asks for; a weight is NaN or
            infinite. Nothing of it was parsed when its signature or its bytes are wrong.
    """
    proven = verified(folder, verify_keys)
    raw, manifest, identity = proven.files, proven.manifest, name_of(proven.digest)
    vocabulary = read_vocabulary(folder, VOCABULARY, raw[VOCABULARY_FILE])
    queries = read_vocabulary(folder, QUERIES, raw[QUERIES_FILE]) if QUERIES_FILE in raw else None
    config = read_config(folder, raw[CONFIG], 0 if queries is None else len(queries))
    weights = read_weights(folder, raw[WEIGHTS])
    popularity, item_to_item = read_baselines(folder, raw[BASELINES], len(vocabulary))
    fusion = read_fusion(folder, raw[FUSION])
    size = sum(path.stat().st_size for path in folder.iterdir())
    habits = read_habits(folder, raw[HABITS_FILE], len(vocabulary)) if HABITS_FILE in raw else None
    chances = read_chances(folder, raw[CHANCES_FILE]) if CHANCES_FILE in raw else None
    return Bundle(identity, manifest, vocabulary, config, weights, popularity, item_to_item, fusion, size, queries, habits, chances)


def open_scorer(bundle: Bundle, folder: Path, threads: int | None, *, streaming: bool) -> Scorer:
    """The scorer of a bundle's weights, tried on one history.

    Args:
        bundle, folder: from `open_bundle`, and what it was given.
        threads: of torch; None leaves them as they are.
        streaming: score in numpy, a user at a time, without torch.

    Raises:
        BundleError: the weights do not fit the configuration or the vocabulary.
    """
    items, again = len(bundle.vocabulary), "make it again with 'dvc repro bundle'"
    probe = Sequences(np.ones(1, np.int32), np.zeros(1, np.int8), np.zeros(1, np.int64), np.array([0, 1], np.int64))
    try:
        scorer = _scorer(bundle, threads, streaming=streaming)
        width = scorer.scores(probe).shape[1]
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError("weights do not fit the model", where=folder, found=found, next_step=again) from error
    if width != items:
        raise BundleError("weights know other items than the vocabulary", where=folder, expected=items, found=width, next_step=again)
    return scorer


def _scorer(bundle: Bundle, threads: int | None, *, streaming: bool) -> Scorer:
    if streaming:
        from footfall.core.streaming_scorer import StreamingScorer

        return StreamingScorer(bundle.config, bundle.weights)
    from footfall.model.scorer import Scorer as ModelScorer

    return ModelScorer(bundle.config, bundle.weights, threads)
