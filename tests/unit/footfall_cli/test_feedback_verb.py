"""`footfall feedback`: what slates brought, by release, arm and policy, and what could not be put to a line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from footfall.paths import Paths
from footfall.store import events, exposures, open_store
from footfall_cli.main import app
from tests.unit.footfall.store.store_rows import event, events_table, slate

NEXT_DAY = 24 * 60


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    return tmp_path


def fill(root: Path) -> None:
    """Two slates of r1 and one of r2, which is of the day after."""
    engine = open_store(f"sqlite:///{Paths(root).store}")
    exposures.append(
        engine, pa.concat_tables([slate("q1", "tea", "mug"), slate("q2", "tea", "pot"), slate("q3", "tea", minutes=NEXT_DAY, release="r2")])
    )
    view, bought = {"event_type": "view", "item_id": "tea"}, {"item_id": "tea", "request_id": "q3"}
    told = [event("a", 1, request_id="q1", **view), event("b", 2, request_id="q1", **view), event("c", 3, request_id="q9", **view)]
    told += [event("d", NEXT_DAY + 1, **bought), event("e", NEXT_DAY * 9, **bought), event("f", NEXT_DAY + 2, request_id="q1", **view)]
    events.append(engine, events_table(*told, event("no request", 1)))
    engine.dispose()


def ask(root: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["feedback", *words, "--workspace", str(root)])
    assert done.exit_code == 0, done.output
    return done.output


def test_lines_that_brought_something_are_counted_by_policy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that no cell of the table is broken into lines
    fill(root)
    said = json.loads(ask(root, "--json"))
    plain = {"arm": "champion", "policy": "fused", "carted": 0}
    assert said["policies"] == [
        {"release": "r1", **plain, "slates": 2, "lines": 4, "clicked": 1, "bought": 0, "click_rate": 0.25, "purchase_rate": 0.0},
        {"release": "r2", **plain, "slates": 1, "lines": 1, "clicked": 0, "bought": 1, "click_rate": 0.0, "purchase_rate": 1.0},
    ]
    assert (said["events"], said["attributed"], said["not_attributed"]) == (6, 4, {"unknown_request": 1, "too_late": 1})
    text = ask(root)
    assert "4 of 6 events that name a request count for a line" in text
    assert "0.2500" in text
    assert "no such slate is on record" in text


def test_since_leaves_earlier_slates_out_and_days_moves_the_window(root: Path) -> None:
    fill(root)
    said = json.loads(ask(root, "--json", "--since", "2017-11-04", "--days", "10"))
    assert [one["release"] for one in said["policies"]] == ["r2"]
    assert (said["events"], said["attributed"], said["not_attributed"]) == (2, 2, {})


def test_without_slates_it_says_how_to_have_some(root: Path) -> None:
    assert "POST /v1/recommend" in ask(root)


def test_a_day_that_is_none_is_wrong_use(root: Path) -> None:
    assert CliRunner().invoke(app, ["feedback", "--since", "soon", "--workspace", str(root)]).exit_code == 2
