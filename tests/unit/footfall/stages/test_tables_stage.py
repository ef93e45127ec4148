"""Stage `events`: accepted batches become canonical tables, or a damaged one is named and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from footfall.contracts import CATALOGUE, C
from footfall.documents import Verdict
from footfall.errors import ContractError, SourceError
from footfall.manifest import write_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.sources import landing
from footfall.stages import events as stage
from footfall.stages.command import run_stage
from footfall.tables import read_parquet, write_parquet
from tests.unit.rows import catalogue, day, events, user, users

ANN, BOB = sorted((user("ann"), user("bob")))


@pytest.fixture
def params(checkout: Path) -> Params:
    """The committed numbers, as of the hundredth day."""
    params = load_params(checkout / "params.yaml")
    return replace(params, data=replace(params.data, as_of=day(100)))


def accept(paths: Paths, contract: str, batch_id: str, table: pa.Table) -> Path:
    """Land and accept a batch whole; returns its rows' file."""
    batch = landing.land(paths, contract, batch_id, table)
    return landing.accept(paths, batch, table, Verdict(batch_id, contract, "pass", table.num_rows, {}, [])) / landing.ROWS


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A root with two batches of events, which overlap in one, two catalogues and one users snapshot."""
    paths = Paths(tmp_path)
    accept(paths, "events", "shop-2017-03", events({"user_id": BOB}, {"user_id": ANN}, {"user_id": ANN, "occurred_at": day(100)}))
    accept(paths, "events", "shop-2017-04", events({"user_id": BOB}, {"event_id": "e900", "user_id": ANN, "occurred_at": day(40)}))
    accept(paths, "catalogue", "shop-2017-03-31", catalogue("apple", "fig"))
    accept(
        paths, "catalogue", "shop-2017-04-30", catalogue("apple", "pear").set_column(1, CATALOGUE.schema.field(C.TITLE), pa.array(["APPLE", "Pear"]))
    )
    accept(paths, "users", "shop-2017-04-30", users(ANN, BOB))
    return paths


def test_canonical_events_are_distinct_past_and_in_order(paths: Paths, params: Params) -> None:
    stage.make_tables(paths, params)

    rows = read_parquet(paths.tables / "events.parquet").select([C.USER_ID, C.EVENT_ID]).to_pylist()
    assert [(row[C.USER_ID], row[C.EVENT_ID]) for row in rows] == [(ANN, "e001"), (ANN, "e900"), (BOB, "e000")]


def test_of_two_snapshots_the_later_wins_and_no_item_is_forgotten(paths: Paths, params: Params) -> None:
    stage.make_tables(paths, params)

    rows = read_parquet(paths.tables / "catalogue.parquet").select([C.ITEM_ID, C.TITLE]).to_pylist()
    assert [(row[C.ITEM_ID], row[C.TITLE]) for row in rows] == [("apple", "APPLE"), ("fig", "fig"), ("pear", "Pear")]


def test_doing_it_again_gives_the_same_bytes(paths: Paths, params: Params) -> None:
    stage.make_tables(paths, params)
    before = {path.name: path.read_bytes() for path in paths.tables.iterdir()}

    stage.make_tables(paths, params)

    assert {path.name: path.read_bytes() for path in paths.tables.iterdir()} == before
    assert sorted(before) == ["catalogue.parquet", "events.parquet", "manifest.json", "users.parquet"]


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_corrupt_batch_is_named_with_the_next_move_and_nothing_is_lost(paths: Paths, params: Params, keep: int) -> None:
    stage.make_tables(paths, params)
    tables = {path.name: path.read_bytes() for path in paths.tables.iterdir()}
    broken = paths.raw / "events" / "shop-2017-04" / landing.ROWS
    broken.write_bytes(broken.read_bytes()[:keep])
    raw = sorted(paths.raw.rglob("*"))

    with pytest.raises(SourceError) as caught:
        stage.make_tables(paths, params)

    assert caught.value.where == str(broken)
    assert caught.value.next_step == landing.RESTORE
    assert sorted(paths.raw.rglob("*")) == raw
    assert {path.name: path.read_bytes() for path in paths.tables.iterdir()} == tables


def test_a_flipped_byte_in_the_data_is_no_silent_other_value(paths: Paths, params: Params) -> None:
    broken = paths.raw / "events" / "shop-2017-04" / landing.ROWS
    content = bytearray(broken.read_bytes())
    content[60] ^= 0xFF
    broken.write_bytes(bytes(content))

    with pytest.raises(SourceError) as caught:
        stage.make_tables(paths, params)

    assert caught.value.where == str(broken)


def test_a_batch_of_another_shape_is_named(paths: Paths, params: Params) -> None:
    broken = paths.raw / "events" / "shop-2017-04" / landing.ROWS
    write_parquet(broken, events({}).drop([C.ORIGIN]))
    write_manifest(broken.parent)

    with pytest.raises(ContractError, match="origin") as caught:
        stage.make_tables(paths, params)

    assert caught.value.where == str(broken)


def test_without_batches_the_next_move_is_to_ingest(tmp_path: Path, params: Params) -> None:
    with pytest.raises(SourceError, match="footfall ingest"):
        stage.make_tables(Paths(tmp_path), params)


def test_the_command_ends_with_one_and_the_reason_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run_stage(stage.make_tables) == 1
    assert "no params file" in capsys.readouterr().err
