"""A backup brings the very rows back, on the same database or another, or it is refused and nothing changes."""

from __future__ import annotations

import io
import json
import random
import stat
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from footfall.errors import FootfallError, SealError, StoreDamageError, StoreError
from footfall.sealing import is_sealed
from footfall.store import Engine, backup, backup_file, erasures, events, open_store
from footfall.store.tables import Id, metadata
from tests.unit.footfall.store.store_rows import NOON, event, events_table

KEYS = (b"k" * 32,)
AT = datetime(2017, 12, 1, tzinfo=UTC)
WORDS = ["", "a", "A", "a ", "牛奶 \N{GLASS OF MILK}", 'it\'s "quoted" \\ %s ;--', "line\nbreak\ttab", "é", "e\N{COMBINING ACUTE ACCENT}"]
NUMBERS = {sa.BigInteger: [0, -(2**63), 2**63 - 1], sa.Integer: [0, 2**31 - 1, -(2**31)], sa.SmallInteger: [0, 1, -(2**15)]}
DOUBLES = [0.1 + 0.2, -1e-300, 1.7976931348623157e308, 0.0, 3.0]
Rows = dict[str, set[tuple[Any, ...]]]


def everything(engine: Engine) -> Rows:
    with engine.connect() as connection:
        return {table.name: {tuple(row) for row in connection.execute(sa.select(table))} for table in metadata.sorted_tables}


def value(column: sa.Column[Any], number: int, draw: random.Random) -> Any:
    if column.name == "champion_slot":
        return 1 if number == 0 else None
    if column.name == "erasure_id" or (isinstance(column.type, Id) and (column.unique or column.primary_key)) or column.name == "request_id":
        return f"{draw.choice(WORDS)}{number}"[: column.type.length]
    if column.primary_key:
        return number * 7 + 1
    if column.nullable and draw.random() < 0.3:
        return None
    if isinstance(column.type, sa.Float):
        return draw.choice(DOUBLES)
    if isinstance(column.type, sa.String):
        return draw.choice(WORDS)[: column.type.length] if isinstance(column.type, Id) else draw.choice(WORDS) * draw.randrange(300)
    return draw.choice(NUMBERS[type(column.type)])


def fill(engine: Engine, rows: int = 60) -> None:
    """Something in every column of every table, with what databases treat differently."""
    draw = random.Random(7)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            values = [{column.name: value(column, number, draw) for column in table.columns} for number in range(rows)]
            connection.execute(sa.insert(table), values)


@pytest.fixture
def filled(engine: Engine) -> Engine:
    fill(engine)
    return engine


@pytest.fixture
def saved(sqlite: Engine, tmp_path: Path) -> Path:
    """A backup of a filled SQLite store, in parts of 25 rows."""
    fill(sqlite)
    backup.save(sqlite, tmp_path / "saved.backup", (), AT)
    return tmp_path / "saved.backup"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footfall.store.backup.PART", 25)


@pytest.mark.parametrize("keys", [(), KEYS])
def test_a_store_comes_back_row_for_row(filled: Engine, tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    before, file, seen = everything(filled), tmp_path / "one.backup", []
    made = backup.save(filled, file, keys, AT, report=lambda table, rows: seen.append((table, rows)))
    assert made.tables == {name: len(rows) for name, rows in before.items()} == dict.fromkeys(before, 60)
    assert seen[:3] == [(seen[0][0], 25), (seen[0][0], 25), (seen[0][0], 10)]
    assert (is_sealed(file), stat.S_IMODE(file.stat().st_mode)) == (bool(keys), 0o600)
    with filled.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))

    assert backup.restore(filled, file, keys) == {}

    assert everything(filled) == before


def test_a_store_moves_from_one_database_to_the_next(saved: Path, sqlite: Engine, postgresql_url: str, mariadb_url: str, tmp_path: Path) -> None:
    right, file = everything(sqlite), saved
    for url in (postgresql_url, mariadb_url, f"sqlite:///{tmp_path / 'last.db'}"):
        engine = open_store(url)
        backup.restore(engine, file, (), replace=True)
        assert everything(engine) == right
        file = tmp_path / f"{engine.dialect.name}.backup"
        backup.save(engine, file, (), AT)
        engine.dispose()


def test_a_restored_store_goes_on_counting(engine: Engine, tmp_path: Path) -> None:
    events.append(engine, events_table(event("a"), event("b")))
    backup.save(engine, tmp_path / "one.backup", (), AT)
    backup.restore(engine, tmp_path / "one.backup", (), replace=True)

    assert events.append(engine, events_table(event("b"), event("c", 1))).accepted == 1
    assert events.history(engine, "u1", 2**60, 9).item_ids == ["item-a", "item-b", "item-c"]


def test_a_backup_is_what_one_moment_saw(engine: Engine, tmp_path: Path) -> None:
    events.append(engine, events_table(*[event(f"e{n}") for n in range(60)]))
    others: Iterator[str] = iter(["late", "later", "latest"])

    def write_meanwhile(_table: str, _rows: int) -> None:
        events.withdraw(engine, ["e1"], "test")
        events.append(engine, events_table(event(next(others))))

    made = backup.save(engine, tmp_path / "one.backup", (), AT, report=write_meanwhile)

    assert (made.tables["footfall_events"], made.tables["footfall_withdrawals"]) == (60, 0)
    assert events.count(engine) == 63


def test_only_an_empty_store_is_restored_into_without_a_word(saved: Path, engine: Engine) -> None:
    events.append(engine, events_table(event("mine")))
    before = everything(engine)

    with pytest.raises(StoreError, match="not empty") as caught:
        backup.restore(engine, saved, ())

    assert "--replace" in str(caught.value.next_step)
    assert everything(engine) == before
    backup.restore(engine, saved, (), replace=True)
    assert events.count(engine) == 60


def test_who_was_erased_since_the_backup_stays_erased(engine: Engine, tmp_path: Path) -> None:
    events.append(engine, events_table(event("a", user_id="gone"), event("b", user_id="stays")))
    backup.save(engine, tmp_path / "one.backup", (), AT)
    erasures.begin(engine, "gone", NOON + timedelta(days=1))

    assert backup.restore(engine, tmp_path / "one.backup", (), replace=True)["events"] == 1

    assert events.count(engine) == 1
    assert len(erasures.list_all(engine)) == 1


@pytest.mark.parametrize("keys", [(), KEYS])
def test_a_damaged_backup_changes_nothing(filled: Engine, tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    file, draw = tmp_path / "one.backup", random.Random(3)
    backup.save(filled, file, keys, AT)
    whole, before = file.read_bytes(), everything(filled)
    spans = [(0, len(whole))]
    if not keys:  # between the members lies nothing but padding
        with tarfile.open(file) as archive:
            spans = [(member.offset_data, member.size) for member in archive]
    for _ in range(12):
        start, size = draw.choice(spans)
        position = start + draw.randrange(size)
        for damaged in (whole[:position], whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]):
            file.write_bytes(damaged)
            with pytest.raises((StoreDamageError, SealError)) as caught:
                backup.restore(filled, file, keys, replace=True)
            assert caught.value.where == str(file)
    assert everything(filled) == before


def rewritten(file: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """The backup with other members: None leaves one out."""
    with tarfile.open(file) as archive:
        members = [change(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]
    with tarfile.open(file, "w") as archive:
        for name, data in filter(None, members):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def in_manifest(**changes: object) -> Callable[[str, bytes], tuple[str, bytes]]:
    return lambda name, data: (name, json.dumps(json.loads(data) | changes).encode() if name == "manifest.json" else data)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda name, data: None if name == "footfall_events/000001.parquet" else (name, data), "damaged"),
        (lambda name, data: None if name == "manifest.json" else (name, data), "cut off"),
        (lambda name, data: ("../../etc/passwd" if name == "footfall_events/000001.parquet" else name, data), "damaged"),
        (lambda name, data: (name, b"{}" if name == "manifest.json" else data), "damaged"),
        (in_manifest(revision="9999"), "another schema"),
        (in_manifest(tables={}), "damaged"),
        (in_manifest(parts={}), "damaged"),
    ],
)
def test_a_backup_that_is_not_what_it_says_is_refused(saved: Path, sqlite: Engine, change: Any, found: str) -> None:
    before = everything(sqlite)
    rewritten(saved, change)

    with pytest.raises(StoreError, match=found):
        backup.restore(sqlite, saved, (), replace=True)

    assert everything(sqlite) == before


def test_a_backup_of_an_earlier_footfall_is_taken(saved: Path, sqlite: Engine) -> None:
    rewritten(saved, in_manifest(revision="0001"))

    assert backup_file.check(saved, ()).revision == "0001"
    backup.restore(sqlite, saved, (), replace=True)


def test_a_backup_from_before_the_shop_told_of_items_leaves_none(saved: Path, sqlite: Engine) -> None:
    later = {"items", "users", "relations", "campaigns", "rules", "rule_changes", "revisions"}
    new = {f"footfall_{name}" for name in later}

    def earlier(name: str, data: bytes) -> tuple[str, bytes] | None:
        if name.partition("/")[0] in new:
            return None
        if name != "manifest.json":
            return name, data
        said = json.loads(data)
        tables = {table: rows for table, rows in said["tables"].items() if table not in new}
        parts = {part: digest for part, digest in said["parts"].items() if part.partition("/")[0] not in new}
        return name, json.dumps(said | {"revision": "0002", "tables": tables, "parts": parts}).encode()

    rewritten(saved, earlier)
    backup.restore(sqlite, saved, (), replace=True)

    assert {name for name, rows in everything(sqlite).items() if not rows} == new


@pytest.mark.parametrize("content", [None, b"", b"no backup at all" * 100, b"\0" * 10240])
def test_what_is_no_backup_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "none.backup"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(StoreError) as caught:
        backup_file.check(file, ())

    assert caught.value.where == str(file)


def test_a_sealed_backup_shows_no_row_and_needs_its_key(sqlite: Engine, tmp_path: Path) -> None:
    events.append(sqlite, events_table(event("e", query="a-word-that-nobody-else-may-read")))
    backup.save(sqlite, tmp_path / "open.backup", (), AT)
    backup.save(sqlite, tmp_path / "shut.backup", KEYS, AT)

    assert b"footfall_events" in (tmp_path / "open.backup").read_bytes()
    assert b"footfall" not in (tmp_path / "shut.backup").read_bytes().lower()
    with pytest.raises(SealError, match="key"):
        backup.restore(sqlite, tmp_path / "shut.backup", (b"o" * 32,), replace=True)


def test_a_failed_backup_leaves_the_last_one(saved: Path, sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = saved.read_bytes()

    def fail(_table: str, rows: int) -> None:
        raise FootfallError("full")

    with pytest.raises(FootfallError, match="full"):
        backup.save(sqlite, saved, KEYS, AT, report=fail)

    assert saved.read_bytes() == whole
    assert not [path for path in saved.parent.iterdir() if "tmp" in path.name]


def test_a_damaged_store_is_not_saved_over_a_good_backup(saved: Path, sqlite: Engine) -> None:
    whole, path = saved.read_bytes(), Path(str(sqlite.url.database))
    sqlite.dispose()
    content = path.read_bytes()
    path.write_bytes(content[: 5 * 4096] + b"\x07" * 4096 + content[6 * 4096 :])

    with pytest.raises(StoreDamageError):
        backup.save(sqlite, saved, (), AT)

    assert saved.read_bytes() == whole
