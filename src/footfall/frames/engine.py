"""The engine that runs the expressions: embedded DuckDB, fed from Arrow tables in memory."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pyarrow as pa


def frame(table: pa.Table) -> ir.Table:
    """An Arrow table as an Ibis table; its timestamps become int64 microseconds."""
    fields = [pa.field(field.name, pa.int64()) if pa.types.is_timestamp(field.type) else field for field in table.schema]
    plain: ir.Table = ibis.memtable(table.cast(pa.schema(fields)))
    return plain


def run(expression: ir.Table) -> pa.Table:
    """The rows of an expression, in its order."""
    connection = ibis.duckdb.connect()
    try:
        return connection.to_pyarrow(expression)
    finally:
        connection.disconnect()
