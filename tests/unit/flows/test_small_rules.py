"""Retries, watermarks, the environment of processes, and the flows' own command line."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import watermarks
from flows.__main__ import main
from flows.environment import process_environment
from flows.ingest import moment
from flows.world import is_of_the_world
from footfall.errors import BundleError, ContractError, SourceError, StoreError


def _unreadable(cause: Exception) -> SourceError:
    error = SourceError("table cannot be read")
    error.__cause__ = cause
    return error


def test_the_world_is_tried_again_and_the_maths_is_not() -> None:
    for worldly in (StoreError("refused"), ConnectionError(), TimeoutError(), _unreadable(OSError("disk"))):
        assert is_of_the_world(worldly)
    for wrong in (ContractError("shape"), SourceError("no such source"), _unreadable(ValueError("parquet")), BundleError("bit"), ZeroDivisionError()):
        assert not is_of_the_world(wrong)


def test_a_watermark_never_moves_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "watermarks.json"
    assert watermarks.read(path, "shop") is None
    october, november = datetime(2017, 10, 29, tzinfo=UTC), datetime(2017, 11, 26, tzinfo=UTC)
    for until in (october, november, october):
        watermarks.write(path, "shop", until)
    watermarks.write(path, "other", october)
    assert (watermarks.read(path, "shop"), watermarks.read(path, "other")) == (november, october)


def test_damaged_watermarks_name_the_file_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "watermarks.json"
    path.write_text('{"shop": 3}')
    with pytest.raises(SourceError, match=f"rm {path}"):
        watermarks.read(path, "shop")


def test_a_process_sees_its_root_and_nothing_of_the_users_shell(tmp_path: Path) -> None:
    shell = {"PATH": "/usr/bin", "GIT_DIR": "/home/x/.git", "PREFECT_API_KEY": "secret", "PREFECT_API_URL": "https://cloud", "PYTHONPATH": "/home/x"}
    environment = process_environment(tmp_path, "http://127.0.0.1:4200/api", base=shell)
    assert not {"GIT_DIR", "PREFECT_API_KEY"} & set(environment)
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(tmp_path / "src"), str(tmp_path)]
    assert environment["DO_NOT_TRACK"] == "1"
    assert all(environment[name].startswith(str(tmp_path)) for name in ("PREFECT_HOME", "BENTOML_HOME", "DVC_SITE_CACHE_DIR", "FOOTFALL_ROOT"))
    assert "PREFECT_API_URL" not in process_environment(tmp_path, base=shell)


def test_moments_are_utc() -> None:
    assert moment(datetime.fromisoformat("2017-10-29")) == datetime(2017, 10, 29, tzinfo=UTC)
    assert moment(None).tzinfo is UTC


def test_wrong_use_is_refused_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["run", "nothing"], ["run", "ingest", "--until"], ["deploy", "--wrong"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "pairs" in capsys.readouterr().err
