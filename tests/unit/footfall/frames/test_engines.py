"""Both engines: the same rows, types and order from the same expression, in memory, by path and in batches; and a setting chooses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from footfall.contracts import CATALOGUE, EVENTS, C
from footfall.documents import Verdict
from footfall.errors import SettingsError
from footfall.frames.engine import Engine, open_engine
from footfall.frames.events import canonical_events, interactions
from footfall.frames.sequences import first_basket_targets, sequences, vocabulary
from footfall.frames.sessions import sessionize
from footfall.paths import Paths
from footfall.settings import load_settings
from footfall.sources import landing
from footfall.stages.events import make_tables
from footfall.stages.sequences import make_sequences
from footfall.tables import read_parquet, write_batches, write_parquet
from tests.engines import SPARK
from tests.unit.footfall.small_shop import ITEMS, USER_IDS, small_params, write_tables
from tests.unit.rows import catalogue, day, events, us, user

ORDER = list(EVENTS.order)
MANY = 3_000


@pytest.fixture(scope="module")
def shop() -> pa.Table:
    """Events in no order, with nulls, repeats, ties in time, duplicates by two doors and words that are not Latin."""
    random = np.random.default_rng(3)
    kinds, words = ("purchase", "view", "search"), ("milk", "牛奶", None, "Ä\u0301 ✓", "")
    rows = [
        {
            "event_id": f"e{random.integers(0, MANY)}",
            "user_id": USER_IDS[random.integers(0, 20)],
            "item_id": None if (item := int(random.integers(-3, 20))) < 0 else ITEMS[item],
            "event_type": kinds[random.integers(0, 3)],
            "occurred_at": day(float(random.integers(0, 40)) + float(random.integers(0, 3)) / 1440),
            "received_at": day(50),
            "session_id": None if random.random() < 0.3 else f"s{random.integers(0, 200)}",
            "query": words[random.integers(0, 5)],
            "quantity": None if random.random() < 0.2 else int(random.integers(1, 9)),
            "rating": None if random.random() < 0.5 else float(random.integers(0, 50)) / 10,
            "origin": ("shop", "http")[random.integers(0, 2)],
        }
        for _ in range(MANY)
    ]
    return events(*rows)


def everything(engine: Engine, shop: pa.Table, folder: Path) -> dict[str, bytes]:
    """Bytes of every table that the stages derive, read by path and in memory, written as the stages write."""
    folder.mkdir()
    write_parquet(folder / "one.parquet", shop.slice(0, 1000))
    write_parquet(folder / "two.parquet", shop.slice(1000, 1500))
    raw = engine.read([str(folder / "one.parquet"), str(folder / "two.parquet")]).union(engine.frame(shop.slice(2500)))
    batches = engine.batches(canonical_events(raw, us(day(35))))
    write_batches(folder / "events.parquet", EVENTS.schema, (EVENTS.check(pa.Table.from_batches([batch])) for batch in batches))
    canonical = engine.read([str(folder / "events.parquet")])
    bought = interactions(canonical, engine.frame(CATALOGUE.check(catalogue(*ITEMS[:15], unrecommendable=tuple(ITEMS[15:])))))
    known = engine.frame(engine.run(vocabulary(bought, us(day(20)), 3)))
    tables = {
        "vocabulary": engine.run(known.order_by(C.ITEM_INDEX)),
        "sequences": pa.Table.from_batches(list(engine.batches(sequences(canonical, known)))),
        "targets": engine.run(first_basket_targets(bought, known, us(day(20)), us(day(30)))),
        "sessions": engine.run(sessionize(canonical).order_by(ORDER)),
    }
    for name, table in tables.items():
        assert table.num_rows, name
        write_parquet(folder / f"{name}.parquet", table)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_table_is_the_same_byte_for_byte_on_both_engines(duckdb: Engine, spark: Engine, shop: pa.Table, tmp_path: Path) -> None:
    assert everything(spark, shop, tmp_path / "spark") == everything(duckdb, shop, tmp_path / "duckdb")


def test_rows_come_in_batches_of_plain_types_and_in_order(table_engine: Engine) -> None:
    table = pa.table({"number": np.random.default_rng(1).permutation(150_000), "text": pa.array(["a", None, "b"] * 50_000)})
    rows = table_engine.frame(table)

    batches = list(table_engine.batches(rows.order_by("number")))

    assert len(batches) > 1
    assert max(batch.num_rows for batch in batches) <= 131_072
    whole = pa.Table.from_batches(batches)
    assert whole.schema == pa.schema([("number", pa.int64()), ("text", pa.string())])
    assert whole.column("number").to_numpy().tolist() == list(range(150_000))


def test_a_folder_may_have_any_name(table_engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "shop [2] {a,b} *?" / "rows.parquet"
    write_parquet(path, pa.table({"number": [1, 2]}))

    assert table_engine.run(table_engine.read([str(path)]).order_by("number")).column("number").to_pylist() == [1, 2]


def test_nothing_at_all_keeps_its_types(table_engine: Engine) -> None:
    rows = canonical_events(table_engine.frame(EVENTS.schema.empty_table()), us(day(1)))

    assert EVENTS.check(table_engine.run(rows)).num_rows == 0
    assert list(table_engine.batches(rows)) == [] or pa.Table.from_batches(table_engine.batches(rows)).num_rows == 0


def test_of_events_received_at_once_the_same_one_stays_whatever_order_they_came_in(table_engine: Engine) -> None:
    twins = [{"event_id": "e", "occurred_at": day(1), "quantity": quantity, "user_id": user("ann")} for quantity in (3, None, 1, 2)]

    kept = [table_engine.run(canonical_events(table_engine.frame(events(*rows)), us(day(9)))) for rows in (twins, twins[::-1])]

    assert kept[0].equals(kept[1])
    assert kept[0].column(C.QUANTITY).to_pylist() == [1]


def test_duckdb_spills_what_does_not_fit_and_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = open_engine(scratch=str(tmp_path / "spill"), memory="60MB", threads=1)
    numbers = np.random.default_rng(2).permutation(4_000_000)
    stream = engine.batches(engine.frame(pa.table({"number": numbers, "other": numbers, "third": numbers})).order_by("number"))

    first = next(stream)

    assert first.column("number").to_numpy()[:3].tolist() == [0, 1, 2]
    assert sum(path.stat().st_size for path in (tmp_path / "spill").iterdir()) > 1_000_000
    assert first.num_rows + sum(batch.num_rows for batch in stream) == 4_000_000
    engine.close()
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize("engine", ["duckdb", "local", "local[2]", "local[*]", "spark://host:7077"])
def test_the_setting_names_an_engine(engine: str) -> None:
    assert load_settings({"FOOTFALL_ENGINE": engine, "FOOTFALL_ENGINE_MEMORY": "512MB"}).engine == engine


@pytest.mark.parametrize(("variable", "text"), [("FOOTFALL_ENGINE", "polars"), ("FOOTFALL_ENGINE", "local[0]"), ("FOOTFALL_ENGINE_MEMORY", "lots")])
def test_another_engine_or_size_is_refused(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({variable: text})

    assert caught.value.where == variable
    assert caught.value.found == text


def test_without_pyspark_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)

    with pytest.raises(SettingsError, match="not installed") as caught:
        open_engine("local[1]", scratch=str(tmp_path), memory="1GB")

    assert caught.value.next_step == "pip install 'footfall[spark]'"


def test_stages_give_the_same_files_on_spark(spark: Engine, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = small_params(checkout)
    written = {}
    for name in ("duckdb", SPARK):
        monkeypatch.setenv("FOOTFALL_ENGINE", name)
        paths = Paths(tmp_path / name)
        write_tables(tmp_path / "shop")
        for contract in ("events", "catalogue", "users"):
            table = read_parquet(tmp_path / "shop" / f"{contract}.parquet")
            batch = landing.land(paths, contract, "shop-2020", table)
            landing.accept(paths, batch, table, Verdict("shop-2020", contract, "pass", table.num_rows, {}, []))

        make_tables(paths, params)
        make_sequences(paths, params)

        written[name] = {path.name: path.read_bytes() for folder in (paths.tables, paths.sequences) for path in folder.iterdir()}
        assert list(paths.spill.rglob("*.parquet")) == []
    assert written[SPARK] == written["duckdb"]
