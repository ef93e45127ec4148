from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from footfall.errors import StoreDamageError, StoreError
from footfall.store import Engine, events, open_store
from footfall.store.schema import MIGRATIONS, current_revision
from footfall.store.tables import SCHEMA_REVISION, VERSION_TABLE, metadata
from tests.unit.footfall.store.store_rows import event, events_table


def test_a_new_store_has_the_newest_schema_and_exactly_the_declared_tables(engine: Engine) -> None:
    assert current_revision(engine) == SCHEMA_REVISION
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": False})
        differences = compare_metadata(context, metadata)
    # comments and the spelling of unique keys differ between databases; tables, columns and indexes may not
    named = [difference[0] if isinstance(difference, tuple) else difference[0][0] for difference in differences]
    assert {name for name in named if "comment" not in name} <= {"add_constraint", "remove_constraint", "remove_index", "add_index"} - (
        {"add_index"} if engine.dialect.name == "sqlite" else set()
    )


def test_the_declared_revision_is_the_newest_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_REVISION


def test_opening_a_store_again_keeps_what_is_in_it(store_url: str) -> None:
    first = open_store(store_url)
    events.append(first, events_table(event("e1")))
    first.dispose()
    second = open_store(store_url)
    assert events.count(second) == 1
    second.dispose()


def test_a_store_of_a_newer_footfall_is_refused(store_url: str) -> None:
    engine = open_store(store_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    try:
        with pytest.raises(StoreError, match="another schema"):
            open_store(store_url)
    finally:
        plain = sa.create_engine(store_url if "sqlite" in store_url else sa.make_url(store_url))
        with plain.begin() as connection:
            connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '{SCHEMA_REVISION}'"))
        plain.dispose()


def test_several_processes_may_open_a_new_store_at_once(tmp_path: Path, checkout: Path) -> None:
    program = f"from footfall.store import open_store; open_store('sqlite:///{tmp_path}/new.db').dispose()"
    there = {"PYTHONPATH": str(checkout / "src")}
    started = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, env=there) for _ in range(4)]
    outcomes = [process.communicate(timeout=60)[1].decode()[-300:] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0, 0], outcomes


@pytest.mark.parametrize("url", ["nonsense", "oracle://h/d", "sqlite://", "sqlite:///:memory:"])
def test_an_unusable_url_says_what_would_be_right(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.next_step


def test_a_store_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store("postgresql://someone:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)


def test_a_damaged_sqlite_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreDamageError, match="damaged"):
        open_store(f"sqlite:///{tmp_path}/store.db")


def test_sqlite_waits_for_the_disk_at_every_commit(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2  # FULL
