"""Where expressions run: DuckDB inside this process, which spills to disk, or Spark, which grows over machines.

An expression never names its engine. What differs between the two stands in `duckdb_engine` and `spark_engine` and is little: how a file becomes a
frame whose moments are int64 microseconds, and how sorted rows come back in batches. Equal inputs give equal rows, types and order on both.
This module opens no file itself: a stage reads the settings and hands in names and folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import ibis
import ibis.expr.types as ir
import pyarrow as pa

DUCKDB = "duckdb"
BATCH_ROWS = 131_072
"""Rows of one batch at most, as in a row group of our Parquet files."""


class Engine(Protocol):
    """What a stage may ask of an engine."""

    def frame(self, table: pa.Table) -> ir.Table:
        """An Arrow table as an Ibis table of this engine."""

    def read(self, paths: Sequence[str]) -> ir.Table:
        """Parquet files of one schema as one Ibis table; nothing is read before an expression over it runs."""

    def run(self, expression: ir.Table) -> pa.Table:
        """All rows of an expression, in its order: for results that are small."""

    def batches(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """The rows of an expression, in its order, a batch at a time: memory does not grow with their number."""

    def close(self) -> None:
        """Let go of memory, of what was spilled and of what was started."""


def open_engine(name: str = DUCKDB, *, scratch: str, memory: str, threads: int | None = None) -> Engine:
    """The engine that FOOTFALL_ENGINE names.

    Args:
        name: "duckdb", or a Spark master: "local[*]", "spark://host:7077".
        scratch: folder for what does not fit in memory. Spark's workers must see it too.
        memory: what the engine may hold before it spills, as "2GB"; on Spark, the memory of the driver.
        threads: DuckDB's threads; None: one a core. Spark's stand in its master.

    Raises:
        SettingsError: Spark is asked for, and it or Java is missing.
    """
    if name == DUCKDB:
        from footfall.frames.duckdb_engine import DuckDBEngine

        return DuckDBEngine(scratch, memory, threads)
    from footfall.frames.spark_engine import SparkEngine

    return SparkEngine(name, scratch, memory)


def plain(table: pa.Table) -> pa.Table:
    """The same table with its timestamps as int64 microseconds."""
    fields = [pa.field(field.name, pa.int64()) if pa.types.is_timestamp(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def plain_schema(expression: ir.Table) -> pa.Schema:
    """Names and types of an expression's rows; every column may hold nulls, since engines differ in what they promise."""
    return pa.schema([pa.field(field.name, field.type) for field in expression.schema().to_pyarrow()])


def frame(table: pa.Table) -> ir.Table:
    """An Arrow table as an Ibis table of no engine yet; its timestamps become int64 microseconds."""
    made: ir.Table = ibis.memtable(plain(table))
    return made


def run(expression: ir.Table) -> pa.Table:
    """The rows of an expression over tables in memory (`frame`), in its order."""
    connection = ibis.duckdb.connect()
    try:
        return connection.to_pyarrow(expression)
    finally:
        connection.disconnect()
