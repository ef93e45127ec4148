"""A damaged store file: an error that says what to do, or right answers; never a wrong one."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from footfall.errors import StoreDamageError, StoreError
from footfall.store import Engine, events, open_store
from footfall.store.events import UserHistory
from footfall.store.sqlite_file import set_aside, verify
from tests.trials import Trial
from tests.unit.footfall.store.store_rows import NOON, event, events_table

USERS = [f"user-{number:02d}" for number in range(40)]
FAR = round(NOON.timestamp() * 1_000_000) * 2


def fill(engine: Engine, rows: int = 4000) -> None:
    draw = random.Random(1)
    made = [
        event(f"e{n:05d}", n / 7, user_id=draw.choice(USERS), item_id=f"item-{draw.randrange(900)}", query="q" * draw.randrange(40))
        for n in range(rows)
    ]
    events.append(engine, events_table(*made))


def answers(engine: Engine) -> list[UserHistory]:
    return events.histories(engine, USERS, FAR, 200)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A closed store of some hundred pages."""
    path = tmp_path / "whole.db"
    engine = open_store(f"sqlite:///{path}")
    fill(engine)
    engine.dispose()
    assert [found.name for found in tmp_path.iterdir()] == ["whole.db"]
    return path


def open_and_answer(path: Path, *, verify_s: float) -> list[UserHistory]:
    engine = open_store(f"sqlite:///{path}", verify_s=verify_s)
    try:
        return answers(engine)
    finally:
        engine.dispose()


@pytest.mark.parametrize("keep", [0, 1, 99, 4096, 4097, 200_000, -1, -4096])
def test_a_cut_off_file_is_named_with_what_mends_it_and_stays_as_it_is(whole: Path, keep: int) -> None:
    cut = whole.read_bytes()[:keep]
    whole.write_bytes(cut)

    with pytest.raises(StoreDamageError) as caught:
        open_store(f"sqlite:///{whole}")

    assert caught.value.where == str(whole)
    assert "footfall restore" in str(caught.value.next_step)
    assert whole.read_bytes() == cut


def test_a_file_that_lost_its_schema_is_not_taken_for_a_new_store(whole: Path) -> None:
    page = bytearray(whole.read_bytes())
    page[100 + 3 : 100 + 5] = b"\0\0"  # the first page holds no cell any more: SQLite sees a sound database without tables
    page[100] = 13
    whole.write_bytes(bytes(page))

    with pytest.raises(StoreError):
        open_store(f"sqlite:///{whole}")


def test_damage_that_is_met_in_use_says_what_mends_it(whole: Path) -> None:
    size = whole.stat().st_size
    with whole.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(bytes(size - 8 * 4096))

    with pytest.raises(StoreDamageError, match="restore"):
        open_and_answer(whole, verify_s=0)


def test_a_row_that_no_longer_agrees_with_its_index_is_found_and_not_shown(whole: Path) -> None:
    content = whole.read_bytes()
    assert content.count(b"item-77") > 1
    position = content.index(b"item-77")
    whole.write_bytes(content[:position] + b"item-78" + content[position + 7 :])

    with pytest.raises(StoreDamageError) as caught:
        verify(whole)

    assert "item-7" not in str(caught.value)
    assert "user-" not in str(caught.value)


def test_a_sound_store_is_verified_while_it_is_used_and_a_check_without_time_says_so(sqlite: Engine) -> None:
    fill(sqlite)
    path = Path(str(sqlite.url.database))

    assert verify(path)
    assert verify(path, 60.0)
    assert verify(path, 1e-9) is False


def test_a_damaged_store_can_be_set_aside_for_a_new_one(whole: Path) -> None:
    content = whole.read_bytes()
    whole.with_name("whole.db-wal").write_bytes(b"log")

    aside = [set_aside(whole), set_aside_again(whole)]

    assert [path.name for path in aside] == ["whole.db.damaged-1", "whole.db.damaged-2"]
    assert aside[0].read_bytes() == content
    assert (whole.parent / "whole.db.damaged-1-wal").read_bytes() == b"log"
    assert open_and_answer(whole, verify_s=1) == [UserHistory([], [], [])] * len(USERS)


def set_aside_again(path: Path) -> Path:
    path.write_bytes(b"damaged too")
    return set_aside(path)


def test_a_store_of_an_earlier_footfall_that_cannot_shrink_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")

    assert open_and_answer(path, verify_s=1) == [UserHistory([], [], [])] * len(USERS)


def garble(content: bytes, draw: random.Random) -> bytes:
    """One of the ways in which a disk or a hand spoils a file."""
    start = draw.randrange(len(content))
    length = draw.choice([1, 8, 512, 4096, 65_536])
    ways: list[Callable[[], bytes]] = [
        lambda: content[:start],
        lambda: content[:start] + draw.randbytes(length) + content[start + length :],
        lambda: content[:start] + bytes(length) + content[start + length :],
        lambda: content[:start] + content[start + length :],
        lambda: content[:start] + bytes([content[start] ^ (1 << draw.randrange(8))]) + content[start + 1 :],
        lambda: content[: start // 4096 * 4096] + content[:4096] + content[start // 4096 * 4096 + 4096 :],
    ]
    return draw.choice(ways)()


@pytest.mark.trial
def test_a_spoilt_file_gives_an_error_or_right_answers(whole: Path, trial: Trial) -> None:
    content, right = whole.read_bytes(), open_and_answer(whole, verify_s=0)
    rounds = trial.count(small=30, stated=500)
    seen = {"error": 0, "right": 0, "wrong": 0}
    for number in range(rounds):
        folder = whole.parent / str(number)
        folder.mkdir()
        (folder / "store.db").write_bytes(garble(content, random.Random(number)))
        try:
            found = open_and_answer(folder / "store.db", verify_s=60)
        except StoreError:
            seen["error"] += 1
        else:
            seen["right" if found == right else "wrong"] += 1
        shutil.rmtree(folder)
    trial.note(rounds=rounds, **seen)

    assert seen["wrong"] == 0
    assert seen["error"] > rounds / 3
