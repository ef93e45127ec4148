"""The typed mirror of params.yaml: every number that changes an artefact or a decision, by stage.

An unknown key is an error that names the nearest known one; a missing key is an error too, so that the file always says everything.
This module knows nothing of what the numbers do.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import yaml

from footfall.errors import ParamsError


@dataclass(frozen=True)
class Data:
    """Which data any stage may read."""

    as_of: datetime


@dataclass(frozen=True)
class Ingest:
    """When an event that came in by HTTP is too late, or from the future: the bounds of received_at - occurred_at."""

    lateness_hours: float
    ahead_minutes: float


@dataclass(frozen=True)
class Split:
    """Labels lie before `as_of`: train | validation | test."""

    test_days: int
    validation_days: int
    vocabulary_min_count: int
    query_min_users: int


@dataclass(frozen=True)
class Content:
    """What is known of items beside who touched them, and how often training does without their ids."""

    encoder: str
    path: str
    attributes: bool
    id_dropout: float


@dataclass(frozen=True)
class Model:
    """Shape of the sequence model."""

    dim: int
    blocks: int
    heads: int
    repeat_channels: int
    dropout: float
    max_events: int


@dataclass(frozen=True)
class Train:
    """How the sequence model is trained."""

    seed: int
    threads: int
    epochs: int
    tokens_per_step: int
    exact_items: int
    negatives: int
    learning_rate: float
    weight_decay: float
    warmup_share: float
    basket_power: float
    repeat_pace: float
    spectral_start: bool
    average: float
    patience: int
    precision: Literal["auto", "float32", "bfloat16"]

    def for_catalogue(self, items: int) -> Train:
        """The same, with the exact softmax where the catalogue is small enough for it."""
        return replace(self, negatives=0) if items <= self.exact_items else self


@dataclass(frozen=True)
class Heads:
    """How the heads on the sequence model's states are taught."""

    lessons: int
    events: int
    passes: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class HabitTraining:
    """How the habit network is trained."""

    seed: int
    lessons: int
    baskets: int
    epochs: int
    width: int
    learning_rate: float


@dataclass(frozen=True)
class Baselines:
    """The policies that need no gradient."""

    popularity_days: int
    half_life_days: float
    neighbours: int
    history_events: int


@dataclass(frozen=True)
class Fusion:
    """Grid from which validation picks the weights of the fused policy."""

    temperatures: list[float]
    model_weights: list[float]
    item_to_item_weights: list[float]


@dataclass(frozen=True)
class Bundle:
    """How the served folder keeps what was learnt."""

    item_table: Literal["float32", "int8"]


@dataclass(frozen=True)
class Evaluate:
    """How metrics are reported."""

    k: int
    cutoffs: list[int]
    bootstrap: int
    seed: int
    cold_user_events: int
    short_history_events: int
    long_history_events: int
    cold_item_events: int
    tail_share: float
    decays: list[float]
    regularisation: float
    linear_cells: int


@dataclass(frozen=True)
class Release:
    """Limits of the release gate, most on paired intervals of ndcg@10: challenger minus champion, and challenger minus its best baseline."""

    min_difference: float
    min_slice_difference: float
    min_slice_users: int
    min_baseline_difference: float
    max_bundle_mb: float
    max_latency_ms: float
    min_explained_share: float


@dataclass(frozen=True)
class Monitor:
    """Windows and calibrated limits of the drift report."""

    window_days: int
    limits: dict[str, float]


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    data: Data
    ingest: Ingest
    split: Split
    content: Content
    model: Model
    train: Train
    heads: Heads
    habits: HabitTraining
    baselines: Baselines
    fusion: Fusion
    bundle: Bundle
    evaluate: Evaluate
    release: Release
    monitor: Monitor

    @property
    def test_start(self) -> datetime:
        """First moment of the test labels; the end of validation."""
        return self.data.as_of - timedelta(days=self.split.test_days)

    @property
    def train_end(self) -> datetime:
        """The training cut: first moment of the validation labels."""
        return self.test_start - timedelta(days=self.split.validation_days)


def load_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: the file is missing, no YAML, or has an unknown, missing or wrongly typed key.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError("no params file", where=path, next_step="run from the root of a checkout or workspace") from error
    except yaml.YAMLError as error:
        raise ParamsError("params file is no YAML", where=path, found=str(error).splitlines()[0], next_step=f"mend {path}") from error
    loaded: Params = _build(Params, document, where=str(path))
    return loaded


def _build(kind: Any, value: object, *, where: str) -> Any:
    """Turn a YAML value into `kind`, a dataclass or a plain type."""
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list and isinstance(value, list):
        return [_build(arguments[0], item, where=f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {str(key): _build(arguments[1], item, where=f"{where}.{key}") for key, item in value.items()}
    if origin is Literal and value in arguments:
        return value
    if origin is types.UnionType and value is None and type(None) in arguments:
        return None
    if kind is datetime:
        return _moment(value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    expected = ", ".join(map(str, arguments)) if origin is Literal else getattr(kind, "__name__", kind)
    raise ParamsError("wrong value in params", where=where, expected=expected, found=repr(value), next_step="mend the value")


def _build_dataclass(kind: Any, value: object, where: str) -> Any:
    fields = typing.get_type_hints(kind)
    if not isinstance(value, dict):
        raise ParamsError("wrong value in params", where=where, expected="a mapping", found=repr(value), next_step="mend the section")
    for key in value:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"rename it to '{near[0]}'" if near else "remove it"
            raise ParamsError("unknown key in params", where=f"{where}: {key}", expected=", ".join(fields), found=key, next_step=hint)
    for name in fields:
        if name not in value:
            raise ParamsError("key missing from params", where=where, expected=name, found=", ".join(map(str, value)), next_step=f"add '{name}'")
    return kind(**{name: _build(hint, value[name], where=f"{where}: {name}") for name, hint in fields.items()})


def _moment(value: object, where: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ParamsError("wrong moment in params", where=where, expected="ISO 8601, UTC", found=value, next_step="mend the value") from error
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ParamsError("wrong moment in params", where=where, expected="ISO 8601, UTC", found=repr(value), next_step="mend the value")
