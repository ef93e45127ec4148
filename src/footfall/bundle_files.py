"""The files of a bundle, one by one: what each is called, and how its bytes are read and checked. Nothing is unpickled."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footfall.contracts import Contract
from footfall.core.baselines import ItemToItem
from footfall.core.chances import ChanceModel, from_document
from footfall.core.fusion import COMPONENTS, HABITS
from footfall.core.habits import Habits
from footfall.core.metrics import Float64
from footfall.core.quantised import restore_items
from footfall.core.vocabulary import Vocabulary
from footfall.documents import Document
from footfall.errors import BundleError, ContractError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
VOCABULARY_FILE = "vocabulary.parquet"
QUERIES_FILE = "queries.parquet"
BASELINES = "baselines.safetensors"
FUSION = "fusion.json"
HABITS_FILE = "habits.safetensors"
CHANCES_FILE = "chances.json"
FILES = (CONFIG, WEIGHTS, VOCABULARY_FILE, BASELINES, FUSION)
"""Every file of a bundle but the manifest and its sum."""
OPTIONAL = (QUERIES_FILE, HABITS_FILE, CHANCES_FILE)
"""Files that only some bundles have."""

D = TypeVar("D", bound=Document)
_MAX_WORDS, _MAX_WORD_BYTES = 1 << 24, 1 << 32
"""More items or search texts than any shop has; a file that says so would only fill the memory."""
_MAX_HEADER = 8 << 20
"""Of a safetensors file, which names some dozen arrays."""

_RESTORE = "restore it with 'dvc checkout data/bundle', make it again with 'dvc repro bundle', or pull the release again"


@dataclass(frozen=True)
class Fusion(Document):
    """FUSION: how the parts are added up, and what validation said.

    Attributes:
        weights: policy -> part -> weight.
        validation: policy -> what was tried and won.
        half_life_days: of a purchase in personal frequency.
        history_events: newest events of a history that are read.
        temperature: of the model's logits.
    """

    SCHEMA: ClassVar[str] = "footfall.fusion/1"
    weights: dict[str, dict[str, float]]
    validation: dict[str, dict[str, float]]
    half_life_days: float
    history_events: int
    temperature: float


@dataclass(frozen=True)
class Chances(Document):
    """CHANCES: from fused scores to the chance of a purchase (`core.chances`), and on whom it was learnt.

    Attributes:
        policy: whose scores are read.
        days: within which the purchase comes.
        depth: best items of a user for which a chance holds.
        weights: of what is read, by name.
        starts, levels: (B,) steps from the weighted sum to the chance.
        users, lines: of the validation window; `bought` is the share of lines that were bought, the base rate.
    """

    SCHEMA: ClassVar[str] = "footfall.chances/1"
    policy: str
    days: int
    depth: int
    weights: dict[str, float]
    starts: list[float]
    levels: list[float]
    users: int
    lines: int
    bought: float

    @property
    def model(self) -> ChanceModel:
        """What it says, ready to be asked.

        Raises:
            ValueError: numbers that are no chances.
        """
        return from_document(self.weights, self.starts, self.levels)


def fault(what: str, where: Path | str, *, expected: object = None, found: object = None, next_step: str = _RESTORE) -> BundleError:
    """What is wrong with a bundle, to be raised; what mends most of it is to get it again."""
    return BundleError(what, where=where, expected=expected, found=found, next_step=next_step)


def read_document(folder: Path, name: str, kind: type[D], raw: bytes) -> D:
    """A JSON document with a schema."""
    try:
        return kind.from_json(raw.decode("utf-8"), where=folder / name)
    except (UnicodeDecodeError, ContractError) as error:
        found = error.found if isinstance(error, ContractError) else "bytes that are no UTF-8"
        raise fault(f"{name} cannot be understood", folder / name, expected=kind.SCHEMA, found=found) from error


def read_fusion(folder: Path, raw: bytes) -> Fusion:
    """FUSION, with weights that can be used."""
    fusion = read_document(folder, FUSION, Fusion, raw)
    _check_types(folder, fusion)
    for policy, weights in fusion.weights.items():
        if set(weights) | {HABITS} != set(COMPONENTS) or not all(np.isfinite(weight) for weight in weights.values()) or not any(weights.values()):
            raise fault(
                "fusion weights cannot be used", folder / FUSION, expected=f"finite weights of {', '.join(COMPONENTS)}", found=f"{policy}: {weights}"
            )
    return fusion


def read_chances(folder: Path, raw: bytes) -> Chances:
    """CHANCES, with numbers that can be used."""
    chances = read_document(folder, CHANCES_FILE, Chances, raw)
    try:
        _ = chances.model
    except (TypeError, ValueError) as error:
        raise fault("chances cannot be used", folder / CHANCES_FILE, expected="ascending steps from 0 to 1", found=str(error)) from error
    return chances


def _check_types(folder: Path, fusion: Fusion) -> None:
    numbers = (fusion.half_life_days, fusion.temperature, fusion.history_events)
    parts = [fusion.weights, *fusion.weights.values()] if isinstance(fusion.weights, dict) else [None]
    weights = [weight for part in parts[1:] if isinstance(part, dict) for weight in part.values()]
    if not all(isinstance(part, dict) for part in parts) or not all(_is_number(value) for value in (*numbers, *weights)):
        raise fault("fusion cannot be used", folder / FUSION, expected="numbers by policy and part", found="something else")
    if min(numbers) <= 0 or not isinstance(fusion.history_events, int) or not np.isfinite(numbers).all():
        raise fault("fusion cannot be used", folder / FUSION, expected="half-life, temperature and history above 0", found=numbers)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_config(folder: Path, raw: bytes, queries: int) -> dict[str, Any]:
    """The shape of the sequence model, which knows as many search texts as the bundle."""
    try:
        config = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise fault("model configuration is no JSON", folder / CONFIG, found=str(error).splitlines()[0]) from error
    if not isinstance(config, dict):
        raise fault("model configuration is no JSON object", folder / CONFIG, found=type(config).__name__)
    if config.get("queries", 0) != queries:
        raise fault("model knows other queries than the bundle", folder / CONFIG, expected=f"{queries} queries", found=config.get("queries", 0))
    return config


def read_vocabulary(folder: Path, contract: Contract, raw: bytes) -> Vocabulary:
    """Words by their index: items (VOCABULARY) or search texts (QUERIES)."""
    where, (index, word) = folder / f"{contract.name}.parquet", contract.schema.names
    try:
        table = contract.check(_words(raw, word), where=where)
    except (pa.ArrowException, OSError, ContractError, ValueError) as error:
        expected = f"{contract.name.upper()} as Parquet"
        raise fault(f"{contract.name} cannot be read", where, expected=expected, found=str(error).splitlines()[0]) from error
    if table.column(index).to_pylist() != list(range(1, table.num_rows + 1)) or not table.num_rows:
        raise fault(f"{contract.name} has gaps", where, expected=f"{index} 1, 2, 3 ...")
    return Vocabulary(tuple(table.column(word).to_pylist()))


def _words(raw: bytes, word: str) -> pa.Table:
    """A table of words, unless it would be far larger in memory than words can be.

    Raises:
        ValueError: it says, or turns out, to be that large. One value that stands in every row costs a file nothing.
    """
    file = pq.ParquetFile(io.BytesIO(raw), read_dictionary=[word], page_checksum_verification=True)
    said = file.metadata
    groups = [said.row_group(n) for n in range(said.num_row_groups)]
    size = sum(group.column(n).total_uncompressed_size for group in groups for n in range(said.num_columns))
    if said.num_rows > _MAX_WORDS or size > _MAX_WORD_BYTES:
        raise ValueError(f"{said.num_rows} rows, {size} bytes")
    packed = file.read()
    if word not in packed.column_names or not pa.types.is_dictionary(packed.schema.field(word).type):
        return packed
    lengths = (pc.take(pc.binary_length(part.dictionary), part.indices) for part in packed.column(word).chunks)
    if (size := sum(pc.sum(some).as_py() or 0 for some in lengths)) > _MAX_WORD_BYTES:
        raise ValueError(f"words of {size} bytes")
    where = packed.column_names.index(word)
    return packed.set_column(where, word, packed.column(word).cast(packed.schema.field(word).type.value_type))


def read_weights(folder: Path, raw: bytes) -> dict[str, npt.NDArray[Any]]:
    """The sequence model's weights, in float32 however the item table is kept."""
    try:
        weights = restore_items(_arrays(folder, WEIGHTS, raw))
    except ValueError as error:
        raise fault("item table cannot be read", folder / WEIGHTS, expected="float32, or int8 with a scale a row", found=str(error)) from error
    if other := sorted(f"{name}: {array.dtype.name}" for name, array in weights.items() if array.dtype != np.float32):
        raise fault("weights are of another type", folder / WEIGHTS, expected="float32", found=", ".join(other))
    return weights


def _arrays(folder: Path, name: str, raw: bytes) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if int.from_bytes(raw[:8], "little") > min(_MAX_HEADER, len(raw)):
        raise fault("arrays cannot be read", folder / name, expected="safetensors", found="a header longer than any")
    try:
        arrays: dict[str, npt.NDArray[Any]] = {name: array.copy() for name, array in load(raw).items()}  # owned, so writable
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise fault("arrays cannot be read", folder / name, expected="safetensors", found=str(error)) from error
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where, count = f"{folder / name}: {key}", int((~np.isfinite(array)).sum())
            raise fault("weights are not finite", where, expected="finite numbers", found=f"{count} NaN or infinite", next_step="train again")
    return arrays


def read_habits(folder: Path, raw: bytes, items: int) -> Habits:
    """Network and item facts of the habit part."""
    try:
        return Habits.of(_arrays(folder, HABITS_FILE, raw), items)
    except ValueError as error:
        raise fault("habits cannot be used", folder / HABITS_FILE, expected=f"arrays of {items} items", found=str(error)) from error


def read_baselines(folder: Path, raw: bytes, items: int) -> tuple[Float64, ItemToItem]:
    """Popularity and item-to-item."""
    arrays = _arrays(folder, BASELINES, raw)
    found = {name: (array.dtype.name, array.shape) for name, array in sorted(arrays.items())}
    kept = arrays["neighbours"].shape[-1] if "neighbours" in arrays and arrays["neighbours"].ndim == 2 else 0
    expected = {"neighbours": ("int32", (items, kept)), "popularity": ("float64", (items,)), "similarities": ("float32", (items, kept))}
    if found != expected:
        raise fault("baseline arrays have other shapes", folder / BASELINES, expected=expected, found=found)
    neighbours = arrays["neighbours"]
    if neighbours.size and (neighbours.min() < 0 or neighbours.max() >= items):
        raise fault("neighbours point outside the vocabulary", folder / BASELINES, expected=f"0 to {items - 1}")
    return arrays["popularity"], ItemToItem(neighbours, arrays["similarities"])
