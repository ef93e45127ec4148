"""DuckDB inside this process: the engine by default. What does not fit in its memory it writes to its scratch folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from footfall.frames.engine import BATCH_ROWS, plain, plain_schema


@ibis.udf.scalar.builtin(signature=((dt.Timestamp("UTC"),), dt.int64))  # type: ignore[untyped-decorator]  # Ibis ships no types
def epoch_us(_moment: object) -> int:
    """DuckDB's: microseconds since 1970."""
    raise AssertionError("DuckDB computes it")


class DuckDBEngine:
    """See `engine.Engine`."""

    def __init__(self, scratch: str, memory: str, threads: int | None) -> None:
        """Open an empty database in memory."""
        self._connection = ibis.duckdb.connect(temp_directory=scratch, memory_limit=memory, **({} if threads is None else {"threads": threads}))
        self._connection.raw_sql("SET TimeZone='UTC'")
        self._numbers = count()

    def frame(self, table: pa.Table) -> ir.Table:
        """See `Engine`."""
        name = f"frame_{next(self._numbers)}"
        self._connection.con.register(name, plain(table))
        made: ir.Table = self._connection.table(name)
        return made

    def read(self, paths: Sequence[str]) -> ir.Table:
        """See `Engine`."""
        found = self._connection.read_parquet(list(paths), table_name=f"files_{next(self._numbers)}")
        moments = {name: epoch_us(found[name]) for name, kind in found.schema().items() if kind.is_timestamp()}
        return found.mutate(**moments)

    def run(self, expression: ir.Table) -> pa.Table:
        """See `Engine`."""
        found = self._connection.con.execute(self._connection.compile(expression)).to_arrow_table()
        return found.cast(plain_schema(expression)).combine_chunks()

    def batches(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """See `Engine`."""
        schema = plain_schema(expression)
        for batch in self._connection.con.execute(self._connection.compile(expression)).to_arrow_reader(BATCH_ROWS):
            yield batch if batch.schema.equals(schema) else batch.cast(schema)

    def close(self) -> None:
        """See `Engine`."""
        self._connection.disconnect()
