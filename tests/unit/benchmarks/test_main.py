"""What `python -m benchmarks all` runs, and what each race is told."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as benchmarks


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """Race -> what its `run` was given."""
    found: dict[str, tuple[Any, ...]] = {}

    def module(name: str) -> SimpleNamespace:
        def add_options(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("--sequences")
            parser.add_argument("--seeds", type=int)

        return SimpleNamespace(run=lambda _, *given: found.update({name: given}), add_options=add_options)

    monkeypatch.setattr(benchmarks, "_module", module)
    return found


def test_all_runs_every_race_and_gives_beauty_to_those_that_need_a_file(
    ran: dict[str, tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "amazon_beauty" / "Beauty.txt.gz"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setenv("FOOTFALL_DATA", str(tmp_path))
    for arguments, seeds in ((["all"], 1), (["all", "--full"], 5)):
        benchmarks.main(arguments)
        assert list(ran) == list(benchmarks.RACES)
        assert ran["quality"] == ran["time-to-quality"] == (argparse.Namespace(sequences=str(file), seeds=seeds),)
        assert ran["compression"] == ran["time-split"] == (argparse.Namespace(sequences=None, seeds=None),)
        assert ran["train"] == (seeds == 5,)


def test_all_says_what_it_leaves_out_where_beauty_is_not_there(
    ran: dict[str, tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTFALL_DATA", str(tmp_path))
    benchmarks.main(["all"])
    assert set(benchmarks.RACES) - set(ran) == {"quality", "time-to-quality"}
    assert "not run: quality, time-to-quality; FOOTFALL_DATA names no folder" in capsys.readouterr().out


def test_one_race_is_told_what_was_typed_and_others_take_nothing(ran: dict[str, tuple[Any, ...]]) -> None:
    benchmarks.main(["next-basket", "--seeds", "2"])
    assert ran == {"next-basket": (False, argparse.Namespace(sequences=None, seeds=2))}
    with pytest.raises(SystemExit):
        benchmarks.main(["train", "--seeds", "2"])
