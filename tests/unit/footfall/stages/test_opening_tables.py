"""How a stage opens its tables: by path or through memory, always the same rows; and nothing stays in the spill folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from footfall.contracts import EVENTS, C
from footfall.errors import ContractError, SourceError
from footfall.frames.engine import Engine
from footfall.paths import Paths
from footfall.stages.opening import open_stage_engine, open_tables
from footfall.tables import write_parquet
from tests.unit.rows import events

FOUR = events(*({"event_id": f"e{number}"} for number in range(4)))


class Watched:
    """An engine that says how it was given what it reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.by_path: list[str] = []
        self.in_memory = 0

    def read(self, paths: list[str]) -> object:
        self.by_path += [Path(path).parent.name for path in paths]
        return self._engine.read(paths)

    def frame(self, table: pa.Table) -> object:
        self.in_memory += table.num_rows
        return self._engine.frame(table)


def ids(engine: Engine, rows: object) -> list[str]:
    """Event ids, sorted."""
    found: list[str] = engine.run(rows.order_by(C.EVENT_ID)).column(C.EVENT_ID).to_pylist()  # type: ignore[attr-defined]
    return found


def test_files_go_by_path_unless_nobody_vouches_they_are_sealed_or_of_an_older_shape(
    duckdb: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTFALL_ENCRYPTION_KEY", "A" * 43 + "=")
    files = {name: tmp_path / name / "rows.parquet" for name in ("plain", "unvouched", "sealed", "older")}
    write_parquet(files["plain"], FOUR.slice(0, 1).replace_schema_metadata({b"footfall.landed": b"digest"}))
    write_parquet(files["unvouched"], FOUR.slice(1, 1))
    write_parquet(files["sealed"], FOUR.slice(2, 1), sealed=True)
    write_parquet(files["older"], FOUR.slice(3, 1).drop([C.QUERY]))
    watched = Watched(duckdb)

    rows = open_tables(watched, {path: name != "unvouched" for name, path in files.items()}, EVENTS, next_step="mend it")  # type: ignore[arg-type]

    assert ids(duckdb, rows) == ["e0", "e1", "e2", "e3"]
    assert (watched.by_path, watched.in_memory) == (["plain"], 3)


def test_a_file_that_is_missing_or_of_another_shape_is_named(duckdb: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"

    with pytest.raises(SourceError) as missing:
        open_tables(duckdb, {path: True}, EVENTS, next_step="mend it")
    write_parquet(path, FOUR.drop([C.ORIGIN]))
    with pytest.raises(ContractError, match="origin") as broken:
        open_tables(duckdb, {path: True}, EVENTS, next_step="mend it")

    assert missing.value.where == broken.value.where == str(path)
    assert missing.value.next_step == "mend it"


def test_what_a_killed_stage_spilled_is_gone_after_the_next_and_what_a_living_one_spills_stays(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    over = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True).stdout.strip()
    living, dead = paths.spill / str(os.getppid()), paths.spill / over
    for folder in (living, dead):
        folder.mkdir(parents=True)
        (folder / "rows.tmp").write_text("rows of people")

    with open_stage_engine(paths) as engine:
        assert engine.run(engine.frame(FOUR)).num_rows == 4
        assert (paths.spill / str(os.getpid())).is_dir()

    assert list(paths.spill.iterdir()) == [living]


def test_a_stage_that_fails_leaves_nothing_spilled(tmp_path: Path) -> None:
    paths = Paths(tmp_path)

    with pytest.raises(SourceError), open_stage_engine(paths):
        raise SourceError("something else went wrong")

    assert list(paths.spill.iterdir()) == []
