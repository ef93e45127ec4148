from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bentos.live import writer as writer_module
from bentos.live.live_store import LiveStore
from bentos.live.tally import Tally, left_behind
from bentos.live.writer import Writer
from bentos.measures import Measures
from tests.unit.bentos.test_writer import slate_rows


def killed(tally: Tally) -> None:
    """What a kill leaves: the file is closed, and nobody tidies up."""
    os.close(tally._file)


def test_what_a_killed_process_owed_is_told_once(tmp_path: Path) -> None:
    for owed in (30, 12):
        tally = Tally(tmp_path)
        tally.add(50)
        tally.add(owed - 50)
        killed(tally)
    assert left_behind(tmp_path) == 42
    assert left_behind(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_lives_is_left_alone_and_one_that_ended_owes_nothing(tmp_path: Path) -> None:
    alive, ended = Tally(tmp_path), Tally(tmp_path)
    alive.add(7)
    ended.add(3)
    ended.close()
    assert left_behind(tmp_path) == 0
    killed(alive)
    assert left_behind(tmp_path) == 7


def test_a_folder_that_is_not_there_and_a_file_cut_short_owe_nothing(tmp_path: Path) -> None:
    assert left_behind(tmp_path / "nowhere") == 0
    (tmp_path / "x.owed").write_bytes(b"\x01")
    assert left_behind(tmp_path) == 0


def test_the_next_writer_counts_what_a_kill_lost_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_module, "FLUSH_S", 3_600.0)
    store, owed = LiveStore(f"sqlite:///{tmp_path / 'store.db'}"), tmp_path / "owed"
    first = Writer(store, Measures(CollectorRegistry()), owed)
    first.log_exposures(slate_rows("q1", "q2"))
    assert first._tally is not None
    copied = next(owed.iterdir()).read_bytes()  # as it lies there while two slates of two wait
    first.close()
    assert list(owed.iterdir()) == []

    (owed / "killed.owed").write_bytes(copied)
    measures = Measures(CollectorRegistry())
    with caplog.at_level(logging.ERROR, "footfall.service"):
        second = Writer(store, measures, owed)
    second.close()
    store.close()
    assert "footfall_exposures_lost_total 4.0" in measures.page()[0].decode()
    assert "4 exposures of slates that were answered just before a kill are missing" in caplog.text


def test_what_is_stored_is_not_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LiveStore(f"sqlite:///{tmp_path / 'store.db'}")
    writer, owed = Writer(store, Measures(CollectorRegistry()), tmp_path / "owed"), []
    assert writer._tally is not None
    add = writer._tally.add
    monkeypatch.setattr(writer._tally, "add", lambda number: (owed.append(number), add(number)))
    writer.log_exposures(slate_rows("q1"))
    writer.close()
    store.close()
    assert owed == [2, -2]


def test_where_nothing_can_be_written_the_service_says_so_and_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    store = LiveStore(f"sqlite:///{tmp_path / 'store.db'}")
    with caplog.at_level(logging.ERROR, "footfall.service"):
        writer = Writer(store, Measures(CollectorRegistry()), tmp_path / "file" / "owed")
    writer.log_exposures(slate_rows("q1"))
    writer.close()
    store.close()
    assert "will not be counted" in caplog.text
