"""A mend says, in one small YAML file, how rows that the gate did not want are put right before it sees them again.

    only: {reason: [unknown_item], event_type: [purchase]}   # which rows; without it all
    columns:
      item_id: {replace: {old-1: new-1, old-2: new-2}}
      price_minor: {scale: 0.01}
      quantity: {fill: 1}                                      # missing values only
      occurred_at: {shift_hours: -8}

Within a column the order is replace, scale, shift, fill. Ids of events and users cannot be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CONTRACTS, C
from footfall.errors import SourceError
from footfall.sources.yaml_file import YamlFile

_UNTOUCHED = {C.EVENT_ID, C.USER_ID, C.ORIGIN}
_CHANGES = ("replace", "scale", "shift_hours", "fill")


@dataclass(frozen=True)
class Change:
    """What becomes of one column; None is no change of that kind."""

    replace: Mapping[str, Any] = field(default_factory=dict)
    scale: float | None = None
    shift_hours: float | None = None
    fill: Any = None


@dataclass(frozen=True)
class Mend:
    """The changes of one file by column, and the rows that they are for: values by column."""

    columns: Mapping[str, Change]
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read_mend(path: Path, contract_name: str) -> Mend:
    """Read and check one mend for rows of one contract.

    Raises:
        SourceError: the file is missing or no YAML, or a key, column or value is wrong.
    """
    file = YamlFile(path, "mend")
    given = file.dictionary(file.parsed("docs/operations.md"), "the mend", ("columns", "only"))
    schema = CONTRACTS[contract_name].schema
    columns = tuple(name for name in schema.names if name not in _UNTOUCHED)
    changes = {}
    for name, change in file.dictionary(given.get("columns"), "columns", columns).items():
        changes[name] = _change(file, schema.field(name), file.dictionary(change, f"columns.{name}", _CHANGES))
    if not changes:
        raise file.error("columns", "at least one", "none")
    only = {}
    for name, values in file.dictionary(given.get("only", {}), "only", (C.REASON, *columns)).items():
        listed = values if isinstance(values, list) else [values]
        only[name] = frozenset(str(value) for value in listed)
    return Mend(changes, only)


def mend_rows(mend: Mend, table: pa.Table) -> pa.Table:
    """`table` (contract columns, perhaps with `reason`) with the changes made.

    Raises:
        SourceError: a mended value does not fit its column.
    """
    chosen = pa.array([True] * table.num_rows, pa.bool_())
    for name, values in mend.only.items():
        if name in table.column_names:
            text = table.column(name).cast(pa.string())
            chosen = pc.and_(chosen, pc.fill_null(pc.is_in(text, value_set=pa.array(sorted(values), pa.string())), False))
    for name, change in mend.columns.items():
        place = table.schema.get_field_index(name)
        field_ = table.schema.field(name)
        try:
            changed = _changed(change, table.column(name), field_.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
            raise SourceError("a mended value does not fit", where=name, expected=field_.type, found=str(error).splitlines()[0]) from error
        table = table.set_column(place, field_, pc.if_else(chosen, changed, table.column(name)))
    return table


def _changed(change: Change, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if change.replace:
        old, new = pa.array(list(change.replace), pa.string()), pa.array(list(change.replace.values())).cast(kind)
        place = pc.index_in(column.cast(pa.string()), value_set=old)
        column = pc.if_else(pc.is_valid(place), new.take(pc.fill_null(place, 0).combine_chunks()), column)
    if change.scale is not None:
        scaled = pc.multiply(column.cast(pa.float64()), change.scale)
        column = (pc.round(scaled, round_mode="half_to_even") if pa.types.is_integer(kind) else scaled).cast(kind)
    if change.shift_hours is not None:
        column = pc.add(column.cast(pa.int64()), round(change.shift_hours * 3_600_000_000)).cast(kind)
    return column if change.fill is None else pc.fill_null(column, pa.scalar(change.fill).cast(kind))


def _change(file: YamlFile, of: pa.Field, given: dict[str, Any]) -> Change:
    name = f"columns.{of.name}"
    number = pa.types.is_integer(of.type) or pa.types.is_floating(of.type)
    for key, fits in (("scale", number), ("shift_hours", pa.types.is_timestamp(of.type))):
        if key not in given:
            continue
        value = given[key]
        if not fits:
            raise file.error(f"{name}.{key}", "a change that fits the column", of.type)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9 or (key == "scale" and value <= 0):
            raise file.error(f"{name}.{key}", "a number, above zero for scale", value)
    replace = given.get("replace", {})
    if not isinstance(replace, dict):
        raise file.error(f"{name}.replace", "old values, each with a new one", type(replace).__name__)
    for value in (*replace.values(), *([given["fill"]] if "fill" in given else [])):
        fitting = (int, float) if number else str
        if isinstance(value, bool) or not isinstance(value, fitting) or pa.types.is_timestamp(of.type):
            raise file.error(name, f"values of type {of.type}", type(value).__name__)
    return Change({str(old): new for old, new in replace.items()}, given.get("scale"), given.get("shift_hours"), given.get("fill"))
