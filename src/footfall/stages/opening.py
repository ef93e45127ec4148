"""How a stage opens tables for its engine: by path where the file may be read as it lies, else through memory."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from footfall.contracts import Contract
from footfall.frames.engine import Engine, open_engine
from footfall.paths import Paths
from footfall.sealing import is_sealed
from footfall.settings import load_settings
from footfall.tables import read_parquet, read_schema

if TYPE_CHECKING:
    import ibis.expr.types as ir


@contextlib.contextmanager
def open_stage_engine(paths: Paths) -> Iterator[Engine]:
    """The engine of the settings, for as long as the block runs.

    What it spills are rows of people: they lie below the root's state, in a folder of this process, and are gone when the block ends. What a killed
    process left goes when the next one begins.
    """
    settings = load_settings()
    for left in paths.spill.glob("*"):
        if not _runs(left.name):
            shutil.rmtree(left, ignore_errors=True)
    own = paths.spill / str(os.getpid())
    own.mkdir(parents=True, exist_ok=True)
    try:
        engine = open_engine(settings.engine, scratch=str(own), memory=settings.engine_memory)
        try:
            yield engine
        finally:
            engine.close()
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _runs(process: str) -> bool:
    """Whether the process of this number still runs."""
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (ValueError, OSError):
        return False
    return True


def open_tables(engine: Engine, files: Mapping[Path, bool], contract: Contract, *, next_step: str) -> ir.Table:
    """All rows of some Parquet files of one contract.

    A file goes to the engine by its path when a manifest vouches for its bytes, it is not sealed, and its columns are the contract's. Any other
    is read here: page by page against the checksums, unsealed, and brought into the contract's shape.

    Args:
        engine: what will read them.
        files: each file, and whether its sha256 was just held against a manifest.
        contract: what their rows are.
        next_step: what mends a damaged file.

    Raises:
        SourceError: a file is missing or damaged; it is named.
        ContractError: a file breaks the contract; it is named.
    """
    by_path = [path for path, vouched in files.items() if vouched and not is_sealed(path) and _fits(path, contract, next_step)]
    others = [read_table(path, contract, next_step=next_step) for path in files if path not in by_path]
    parts = [engine.read([str(path.resolve()) for path in by_path])] if by_path else []
    if others:
        parts.append(engine.frame(pa.concat_tables(others)))
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.union(part)
    return rows


def read_table(path: Path, contract: Contract, *, next_step: str) -> pa.Table:
    """The rows of one file in memory, in their contract's shape.

    Raises:
        SourceError: the file is missing or damaged.
        ContractError: it breaks the contract.
    """
    return contract.check(read_parquet(path, next_step=next_step).replace_schema_metadata(None), where=path)


def _fits(path: Path, contract: Contract, next_step: str) -> bool:
    found: pa.Schema = read_schema(path, next_step=next_step).remove_metadata()
    return bool(found.equals(contract.schema))
