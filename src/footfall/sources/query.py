"""The answers of a database that a mapping asks: streamed in bounded batches, pseudonymised on the way, kept as Parquet for as long as they are read.

The server keeps the cursor, so neither side holds more than one batch. Values become text as a CSV file would spell them, which takes the types
of every database alike; zones, units and money are the mapping's to say. The spool is a folder of this process alone, gone when it ends.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from footfall.contracts import C
from footfall.errors import SourceError
from footfall.identifiers import mask_table
from footfall.pseudonyms import pseudonym
from footfall.sources.rules import Mapping, Query, Register, Rule

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_MARGIN = timedelta(days=1)
"""Read on either side of a window: how a database orders times without a zone, or as text, is not for us to know. The exact cut comes later."""
_FREE_TEXT = (C.QUERY, C.TEXT, C.PLACE, C.DEVICE)


class LogQuery:
    """One log in a database; see `mapped.Log`."""

    windowed = True

    def __init__(self, mapping: Mapping, query: Query, key: bytes | None) -> None:
        """Remember; nothing is asked yet."""
        self.mapping, self._query, self._key = mapping, query, key
        self._spooled: tuple[datetime, datetime, Path] | None = None

    @property
    def table(self) -> ir.Table:
        """The whole log."""
        return self.between(EARLIEST, LATEST)

    @cached_property
    def items(self) -> ir.Table | None:
        """The answer of the query in `items`."""
        register = self.mapping.items
        return None if register is None else self._answer("items", register, None)

    @cached_property
    def users(self) -> ir.Table | None:
        """The answer of the query in `users`."""
        register = self.mapping.users
        return None if register is None else self._answer("users", register, register.columns[C.USER_ID])

    def between(self, start: datetime, end: datetime) -> ir.Table:
        """At least the rows with start <= occurred_at < end; what was read last is read again where it holds them."""
        if self._spooled is None or not (self._spooled[0] <= start and end <= self._spooled[1]):
            path = self._folder / "log.parquet"
            batches = self.batches(self._query.log, self.mapping.columns, self.mapping.events.get(C.USER_ID), start, end)
            self._spool(path, batches, self.mapping.columns)
            self._spooled = start, end, path
        return self._connection.read_parquet(str(self._spooled[2]))

    def fetch(self, expression: ir.Table) -> pa.Table:
        """The rows of an expression over these tables."""
        with self._told():
            return self._connection.to_pyarrow(expression)

    def batches(self, query: str, needed: set[str], user: Rule | None, start: datetime = EARLIEST, end: datetime = LATEST) -> Iterator[pa.Table]:
        """The answer of a query, `needed` columns alone, as text, users pseudonymised: at most `batch_rows` rows at a time.

        Raises:
            SourceError: the database cannot be reached or refuses, or the answer lacks a column.
        """
        statement = sa.text(query)
        window = {"since": self._bound(start - _MARGIN, start), "until": self._bound(end + _MARGIN, end)}
        window = {name: value for name, value in window.items() if f":{name}" in query}
        with self._told(), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.set_config("TimeZone", self.mapping.time_zone, False))).close()
            with connection.execute(statement, window) as result:
                names = list(result.keys())
                self._check(names, needed)
                for rows in result.partitions(self._query.batch_rows):
                    yield self._batch(names, needed, rows, user)

    def _check(self, names: list[str], needed: set[str]) -> None:
        if absent := sorted(needed - set(names)):
            raise SourceError(
                "the answer lacks columns that the mapping names",
                where=self.mapping.where,
                expected=", ".join(absent),
                found=", ".join(names),
                next_step=f"mend {self.mapping.path}",
            )

    def _batch(self, names: list[str], needed: set[str], rows: Any, user: Rule | None) -> pa.Table:
        values = dict(zip(names, zip(*rows, strict=True), strict=True))
        columns = {name: [_text(value) for value in values[name]] for name in sorted(needed)}
        if self._key is not None and user is not None:
            column, key = columns[user.columns[0]], self._key
            known = {raw: pseudonym(raw, key) for raw in {raw.strip() for raw in column if raw} if raw}
            columns[user.columns[0]] = [known.get((raw or "").strip()) for raw in column]
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        free = {column for name in _FREE_TEXT if name in self.mapping.events for column in self.mapping.events[name].columns}
        return mask_table(table, texts=free)[0]

    def _bound(self, widened: datetime, exact: datetime) -> object:
        """A bound of the window in the words of the database's own column of times."""
        rule: Rule = self.mapping.events[C.OCCURRED_AT]
        if rule.unit is not None:
            return round(exact.timestamp() * _PER_SECOND[rule.unit])
        local = widened.astimezone(ZoneInfo(self.mapping.time_zone))
        if rule.format is not None:
            return local.strftime(rule.format)
        if self._engine.dialect.name == "postgresql":
            return local  # the session's zone is the mapping's, so columns with and without a zone compare rightly
        plain = local.replace(tzinfo=None, microsecond=0)
        return plain.isoformat(sep=" ") if self._engine.dialect.name == "sqlite" else plain

    def _answer(self, name: str, register: Register, user: Rule | None) -> ir.Table:
        path = self._folder / f"{name}.parquet"
        self._spool(path, self.batches(register.source, register.needed, user), register.needed)
        return self._connection.read_parquet(str(path))

    def _spool(self, path: Path, batches: Iterator[pa.Table], needed: set[str]) -> None:
        path.unlink(missing_ok=True)
        schema = pa.schema([pa.field(name, pa.string()) for name in sorted(needed)])
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_table(batch)

    @cached_property
    def _folder(self) -> Path:
        folder = tempfile.mkdtemp(prefix="footfall-")  # mode 0700
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    @cached_property
    def _connection(self) -> Any:
        connection = ibis.duckdb.connect()
        connection.raw_sql(f"SET TimeZone='{self.mapping.time_zone}'")
        return connection

    @cached_property
    def _engine(self) -> sa.Engine:
        """A connection a query: the shop's database is not ours to keep busy."""
        url = _VARIABLE.sub(self._variable, self._query.url)
        try:
            parsed = sa.make_url(url)
            parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
            engine = sa.create_engine(parsed, poolclass=NullPool, hide_parameters=True)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
            raise self._error("unusable database URL", type(error).__name__, "check sql.url, and that its driver is installed") from None
        return engine.execution_options(stream_results=True, yield_per=self._query.batch_rows)

    def _variable(self, match: re.Match[str]) -> str:
        if not (value := os.environ.get(match[1])):
            raise self._error("variable of the database URL is not set", match[1], f"export {match[1]}=postgresql://...")
        return value

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn a driver's errors into ours. Its own words may quote a row or the address, so only those about the query itself are passed on."""
        try:
            yield
        except DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
            found = type(error.orig).__name__ + (f" {code}" if code else "")
            said = str(error.orig)
            ours = isinstance(error, ProgrammingError) or code == "SQLITE_ERROR" or "Unknown column" in said
            if ours:
                found = f"{found}: {said.splitlines()[0][:200]}"
            lost = not ours and (isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated)
            cause = ConnectionError(found) if lost else None  # a lost connection is worth another try
            raise self._error("database cannot be read", found) from cause
        except (SQLAlchemyError, duckdb.Error, OSError) as error:
            raise self._error("database's answer cannot be read", type(error).__name__) from None

    def _error(self, what: str, found: str, next_step: str | None = None) -> SourceError:
        return SourceError(what, where=self.mapping.where, found=found, next_step=next_step or f"footfall doctor mapping {self.mapping.path}")


def _text(value: object) -> str | None:
    """A value as a CSV file would spell it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return None if value != value else str(int(value)) if value.is_integer() else repr(value)  # noqa: PLR0124  # NaN alone differs from itself
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)
