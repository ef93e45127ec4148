"""Spark, for tables that one machine cannot hold: `local[*]` on this machine's cores, `spark://host:port` on a cluster.

Rows come and go as Arrow. Large results are written sorted, as Parquet files in the scratch folder, and read back file by file, so that the driver
never holds them; on a cluster that folder, and the tables, must lie where all workers see them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from footfall.errors import SettingsError
from footfall.frames.engine import BATCH_ROWS, plain, plain_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOCAL_SHUFFLE_PARTITIONS = 4  # 200, Spark's own, are mostly empty on one machine
_UNITS = {"KB": "k", "MB": "m", "GB": "g", "TB": "t"}


@ibis.udf.scalar.builtin(signature=((dt.timestamp,), dt.int64))  # type: ignore[untyped-decorator]  # Ibis ships no types
def unix_micros(_moment: object) -> int:
    """Spark's: microseconds since 1970."""
    raise AssertionError("Spark computes it")


class SparkEngine:
    """See `engine.Engine`. A session that ran before stays when this is closed; one that this started ends."""

    def __init__(self, master: str, scratch: str, memory: str) -> None:
        """Start a session, or join the one that runs in this process."""
        self._session, self._started = _session(master, scratch, memory)
        self._connection = ibis.pyspark.connect(self._session)
        self._scratch = f"{scratch.rstrip('/')}/{self._session.sparkContext.applicationId}-{id(self)}"
        self._numbers = count()
        self._views: list[str] = []

    def frame(self, table: pa.Table) -> ir.Table:
        """See `Engine`."""
        return self._view(self._session.createDataFrame(plain(table)))

    def read(self, paths: Sequence[str]) -> ir.Table:
        """See `Engine`."""
        found = self._view(self._session.read.parquet(*map(_literal, paths)))
        moments = {name: unix_micros(found[name]) for name, kind in found.schema().items() if kind.is_timestamp()}
        return found.mutate(**moments)

    def run(self, expression: ir.Table) -> pa.Table:
        """See `Engine`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)  # Spark leaves closing its own socket to the collector
            found = self._session.sql(self._connection.compile(expression)).toArrow()
        return found.cast(plain_schema(expression)).combine_chunks()

    def batches(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """See `Engine`."""
        schema = plain_schema(expression)
        folder = f"{self._scratch}/rows-{next(self._numbers)}"
        files = fs.LocalFileSystem()
        try:
            self._session.sql(self._connection.compile(expression)).write.parquet(folder)
            # A sorted table is cut into ranges, and the files are numbered in their order.
            for path in sorted(info.path for info in files.get_file_info(fs.FileSelector(folder)) if info.path.endswith(".parquet")):
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(BATCH_ROWS):
                        yield batch.cast(schema)
        finally:
            if files.get_file_info(folder).type is fs.FileType.Directory:
                files.delete_dir(folder)

    def close(self) -> None:
        """See `Engine`."""
        for name in self._views:
            self._session.catalog.dropTempView(name)
        files = fs.LocalFileSystem()
        if files.get_file_info(self._scratch).type is fs.FileType.Directory:
            files.delete_dir(self._scratch)
        if self._started:
            self._session.stop()

    def _view(self, rows: object) -> ir.Table:
        name = f"footfall_{id(self)}_{next(self._numbers)}"
        rows.createOrReplaceTempView(name)  # type: ignore[attr-defined]
        self._views.append(name)
        made: ir.Table = self._connection.table(name)
        return made


def _session(master: str, scratch: str, memory: str) -> tuple[SparkSession, bool]:
    """The session of this process, and whether it was started just now."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingsError(
            "Spark is not installed", where="FOOTFALL_ENGINE", expected="pyspark", found=master, next_step="pip install 'footfall[spark]'"
        ) from error
    if (running := SparkSession.getActiveSession()) is not None:
        return running, False
    builder = SparkSession.builder.master(master).appName("footfall")
    for name, value in _configuration(master, scratch, memory).items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate(), True
    except (PySparkException, OSError) as error:
        raise SettingsError(
            "Spark does not start", where="FOOTFALL_ENGINE", expected="Java 17 and a reachable master", found=master, next_step="java -version"
        ) from error


def _configuration(master: str, scratch: str, memory: str) -> dict[str, str]:
    """No page, no metastore, no noise; on this machine also no network beyond it."""
    plain_settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.driver.memory": _java_size(memory),
    }
    if not master.startswith("local"):
        return plain_settings
    here = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.local.dir": scratch}
    return plain_settings | here | {"spark.sql.shuffle.partitions": str(_LOCAL_SHUFFLE_PARTITIONS)}


def _literal(path: str) -> str:
    """A path that Spark does not take for a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def _java_size(memory: str) -> str:
    """DuckDB's "2GB" as Java's "2g"."""
    number, unit = memory[:-2].strip(), memory[-2:].upper()
    return f"{number}{_UNITS[unit]}" if unit in _UNITS else memory
