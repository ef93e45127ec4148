"""The files that a mapping names, as one Ibis table: CSV, Parquet or JSON lines, local or by any URL that fsspec knows.

DuckDB reads them as far as a question needs, so that a log may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from footfall.contracts import C
from footfall.errors import SourceError
from footfall.pseudonyms import pseudonym
from footfall.sources.rules import Mapping, Rule
from footfall.sources.translation import as_text

_RAW_USER, _PSEUDONYM = "raw_user", "pseudonym"


class LogFiles:
    """One log on one connection of its own; see `mapped.Log`."""

    windowed = False

    def __init__(self, mapping: Mapping, key: bytes | None) -> None:
        """Remember; no file is opened yet."""
        self.mapping = mapping
        self._key = key

    @cached_property
    def table(self) -> ir.Table:
        """The files with pseudonyms in the user column: what is made of it, a session's name or an event's id, gives nobody away."""
        user = self.mapping.events.get(C.USER_ID)
        return self._pseudonymised(self._read(self.mapping.files, self.mapping.format, self.mapping.columns), user)

    @cached_property
    def items(self) -> ir.Table | None:
        """The files of `items`."""
        register = self.mapping.items
        return None if register is None else self._read(register.source, register.format, register.needed)

    @cached_property
    def users(self) -> ir.Table | None:
        """The files of `users`, with pseudonyms too."""
        register = self.mapping.users
        if register is None:
            return None
        return self._pseudonymised(self._read(register.source, register.format, register.needed), register.columns[C.USER_ID])

    def _pseudonymised(self, table: ir.Table, user: Rule | None) -> ir.Table:
        if self._key is None or user is None:
            return table
        (column,) = user.columns
        named = table.mutate(**{_RAW_USER: as_text(table[column])})
        users = self.fetch(named.filter(named[_RAW_USER].notnull()).select(_RAW_USER).distinct()).column(_RAW_USER)
        names = pa.table({_RAW_USER: users, _PSEUDONYM: pa.array([pseudonym(user, self._key) for user in users.to_pylist()], pa.string())})
        joined = named.drop(column).left_join(ibis.memtable(names), _RAW_USER)
        return joined.select(*[name for name in table.columns if name != column], **{column: joined[_PSEUDONYM]})

    def between(self, _start: datetime, _end: datetime) -> ir.Table:
        """All rows: DuckDB reads of the files what a question needs."""
        return self.table

    def _read(self, files: str, form: str, needed: set[str]) -> ir.Table:
        """Files as they are; text columns only where the format is CSV."""
        paths = self._paths(files)
        with self._told():
            if form == "parquet":
                table = self._connection.read_parquet(paths)
            elif form == "json":
                table = self._connection.read_json(paths)
            else:
                delimiter = self.mapping.csv.get("delimiter", "\t" if ".tsv" in files.lower() else ",")
                encoding = self.mapping.csv.get("encoding", "utf-8")
                table = self._connection.read_csv(paths, all_varchar=True, header=True, delim=delimiter, encoding=encoding)
        if absent := sorted(needed - set(table.columns)):
            raise SourceError(
                "the log lacks columns that the mapping names",
                where=files,
                expected=", ".join(absent),
                found=", ".join(table.columns),
                next_step=f"mend {self.mapping.path}",
            )
        return table

    def fetch(self, expression: ir.Table) -> pa.Table:
        """The rows of an expression over `table`.

        Raises:
            SourceError: the files cannot be read to their end.
        """
        with self._told():
            return self._connection.to_pyarrow(expression)

    @cached_property
    def _connection(self) -> Any:
        connection = ibis.duckdb.connect()
        connection.raw_sql(f"SET TimeZone='{self.mapping.time_zone}'")  # text and plain timestamps are read in this zone
        return connection

    def _paths(self, files: str) -> list[str]:
        """The files that a pattern or URL means, in order."""
        if "://" in files:
            import fsspec

            try:
                system, _, found = fsspec.core.get_fs_token_paths(files)
            except (ImportError, OSError, ValueError) as error:
                raise SourceError(
                    "log cannot be reached", where=files, found=str(error).splitlines()[0], next_step="install its fsspec driver"
                ) from error
            self._connection.con.register_filesystem(system)
            protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
            return [f"{protocol}://{path}" for path in sorted(found)]
        found = _beside(self.mapping.path.parent, files)
        if not found:
            raise SourceError("the log is not there", where=self.mapping.path.parent / files, expected="one file or more", found="none")
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn DuckDB's errors into ours; its first line says what and where, the next ones quote the row."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            found = str(error).splitlines()[0][:300]
            raise SourceError(
                "log cannot be read", where=self.mapping.files, found=found, next_step=f"footfall doctor mapping {self.mapping.path}"
            ) from error


def _beside(folder: Path, pattern: str) -> list[str]:
    """The local files that a pattern means, in order; a relative one starts at `folder`."""
    absolute = Path(pattern)
    root, relative = (Path(absolute.anchor), str(absolute.relative_to(absolute.anchor))) if absolute.is_absolute() else (folder, pattern)
    return sorted(str(path) for path in root.glob(relative))
