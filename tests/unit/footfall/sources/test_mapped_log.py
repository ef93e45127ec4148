from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from footfall.contracts import C
from footfall.errors import ContractError, SourceError
from footfall.pseudonyms import pseudonym
from footfall.sources import open_source
from footfall.sources.mapped import MappedLog
from footfall.sources.mapping import read_mapping
from footfall.sources.survey import survey

KEY = b"key"
UNTIL = datetime(2022, 1, 1, tzinfo=UTC)
HEAD = "invoice,who,when,what,pieces,paid,kind,name"
ROWS = [
    "1,ann,2021-03-28 00:30:00,a,2,1.25,buy,Apple",
    "1,ann,2021-03-28 02:30:00,b,1,0.10,buy,Pear",  # after the clock went forward
    "2,bob,2021-05-01 12:00:00,a,1,1.25,look,Apple",
    "2,bob,2021-05-01 12:00:00,a,1,1.25,look,Apple",  # the same once more
    "3,bob,2021-05-02 12:00:00,a,-1,1.25,buy,APPLE?",
]
MAPPING: dict[str, Any] = {
    "name": "shop",
    "files": "log*.csv",
    "time_zone": "Europe/London",
    "currency": "GBP",
    "event_type": {"column": "kind", "words": {"buy": "purchase", "look": "view"}},
    "returns": "negative_quantity",
    "events": {
        "user_id": "who",
        "item_id": "what",
        "session_id": ["who", "invoice"],
        "occurred_at": "when",
        "quantity": "pieces",
        "price": {"column": "paid", "of": "unit"},
    },
    "catalogue": {"title": "name"},
    "not_recommendable": ["b"],
}


def write(folder: Path, rows: list[str] | None = None, **changes: Any) -> Path:
    (folder / "log.csv").write_text("\n".join([HEAD, *(ROWS if rows is None else rows)]) + "\n", encoding="utf-8")
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(MAPPING | changes), encoding="utf-8")
    return path


def opened(path: Path, key: bytes | None = KEY) -> MappedLog:
    return MappedLog(read_mapping(path), key)


def events(log: MappedLog) -> pa.Table:
    return pa.concat_tables([table for _, table in log.events(None, UNTIL)])


def column(table: pa.Table, name: str) -> list[Any]:
    return table.sort_by([(C.OCCURRED_AT, "ascending"), (C.EVENT_ID, "ascending")]).column(name).to_pylist()


def test_rows_become_events_in_utc_and_minor_units_with_returns_told_from_purchases(tmp_path: Path) -> None:
    batches = dict(opened(write(tmp_path)).events(None, UNTIL))
    assert list(batches) == ["shop-2021-03", "shop-2021-05"]
    march, may = batches.values()
    assert column(march, C.OCCURRED_AT) == [datetime(2021, 3, 28, 0, 30, tzinfo=UTC), datetime(2021, 3, 28, 1, 30, tzinfo=UTC)]
    assert column(march, C.PRICE_MINOR) == [250, 10]
    assert column(may, C.EVENT_TYPE) == ["view", "view", "return"]
    assert column(may, C.QUANTITY) == [1, 1, 1]
    assert column(may, C.PRICE_MINOR) == [125, 125, 125]
    assert set(column(may, C.CURRENCY)) == {"GBP"}
    assert set(column(may, C.ORIGIN)) == {"shop"}


def test_missing_values_are_filled_only_where_the_mapping_says_how(tmp_path: Path) -> None:
    row = "4,ann,2021-05-03 12:00:00,c,,2.00,look,"
    assert column(events(opened(write(tmp_path, [row]))), C.QUANTITY) == [None]
    filled = MAPPING["events"] | {"quantity": {"column": "pieces", "fill": 2}, "device": {"column": "name", "fill": "unknown"}}
    found = events(opened(write(tmp_path, [row], events=filled)))
    assert (column(found, C.QUANTITY), column(found, C.PRICE_MINOR), column(found, C.DEVICE)) == ([2], [400], ["unknown"])
    for name, rule in (("user_id", {"column": "who", "fill": "x"}), ("quantity", {"column": "pieces", "fill": "one"})):
        with pytest.raises(SourceError, match="fill"):
            opened(write(tmp_path, [row], events=MAPPING["events"] | {name: rule}))


def test_repeats_stay_and_ids_do_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    first = column(events(opened(write(tmp_path))), C.EVENT_ID)
    assert len(set(first)) == len(ROWS)
    shuffled = list(ROWS)
    random.Random(3).shuffle(shuffled)
    assert column(events(opened(write(tmp_path, shuffled))), C.EVENT_ID) == first


def test_no_raw_user_id_is_left_in_anything_that_is_made_of_it(tmp_path: Path) -> None:
    found = events(opened(write(tmp_path)))
    assert set(column(found, C.USER_ID)) == {pseudonym("ann", KEY), pseudonym("bob", KEY)}
    assert set(column(found, C.SESSION_ID)) == {f"{pseudonym(user, KEY)}-{number}" for user, number in (("ann", 1), ("bob", 2), ("bob", 3))}
    assert not any(word in str(found.to_pylist()) for word in ("'ann", "'bob"))
    other = events(opened(tmp_path / "shop.yaml", b"another key"))
    assert not set(column(found, C.EVENT_ID)) & set(column(other, C.EVENT_ID))  # nobody can guess them back from items and times
    assert set(column(events(opened(tmp_path / "shop.yaml", None)), C.USER_ID)) == {"ann", "bob"}


def test_the_catalogue_has_every_item_by_its_usual_name_and_users_by_their_first_moment(tmp_path: Path) -> None:
    log = opened(write(tmp_path))
    rows = {row[C.ITEM_ID]: row for row in log.catalogue().to_pylist()}
    assert {item: (row[C.TITLE], row[C.RECOMMENDABLE]) for item, row in rows.items()} == {"a": ("Apple", True), "b": ("Pear", False)}
    first = {row[C.USER_ID]: row[C.FIRST_SEEN_AT] for row in log.users(datetime(2021, 5, 1, tzinfo=UTC)).to_pylist()}
    assert first == {pseudonym("ann", KEY): datetime(2021, 3, 28, 0, 30, tzinfo=UTC)}


def test_a_later_ingest_reads_only_what_is_new(tmp_path: Path) -> None:
    log = opened(write(tmp_path))
    (found,) = log.events(datetime(2021, 5, 2, tzinfo=UTC), datetime(2021, 5, 3, tzinfo=UTC))
    assert (found[0], found[1].num_rows) == ("shop-2021-05-from-02-to-03", 1)


@pytest.mark.parametrize(
    ("row", "rule", "says"),
    [("9,,2021-05-03 12:00:00,a,1,1,buy,x", "without_user", "user_id"), ("9,ann,soon,a,1,1,buy,x", "without_time", "occurred_at")],
)
def test_rows_that_cannot_go_on_are_refused_until_the_mapping_leaves_them_out(tmp_path: Path, row: str, rule: str, says: str) -> None:
    path = write(tmp_path, [*ROWS, row])
    with pytest.raises(SourceError, match=f"no readable {says}") as caught:
        events(opened(path))
    assert "1 rows without" in str(caught.value)
    assert rule in str(caught.value)
    assert events(opened(write(tmp_path, [*ROWS, row], leave_out=[rule]))).num_rows == len(ROWS)


def test_rows_without_an_item_go_to_the_gate_unless_left_out_and_searches_always_go(tmp_path: Path) -> None:
    rows = [*ROWS, "9,ann,2021-05-03 12:00:00,,1,1,buy,x", "9,ann,2021-05-03 12:00:01,,1,1,search,x"]
    assert column(events(opened(write(tmp_path, rows))), C.ITEM_ID).count(None) == 2
    kept = events(opened(write(tmp_path, rows, leave_out=["without_item"])))
    assert [row[C.EVENT_TYPE] for row in kept.to_pylist() if row[C.ITEM_ID] is None] == ["search"]


def test_a_word_without_translation_stays_for_the_gate_to_hold(tmp_path: Path) -> None:
    found = events(opened(write(tmp_path, [*ROWS, "9,ann,2021-05-03 12:00:00,a,1,1,steal,x"])))
    assert "steal" in column(found, C.EVENT_TYPE)


@pytest.mark.parametrize(
    ("moments", "rule"),
    [
        (["28.03.2021 00:30", "01.05.2021 12:00"], {"column": "when", "format": "%d.%m.%Y %H:%M"}),
        (["1616891400", "1619866800"], {"column": "when", "unit": "s"}),
        (["1616891400000", "1619866800000"], {"column": "when", "unit": "ms"}),
        (["2021-03-28T00:30:00Z", "2021-05-01T13:00:00+02:00"], "when"),
    ],
)
def test_times_may_be_written_in_many_ways(tmp_path: Path, moments: list[str], rule: object) -> None:
    rows = [f"1,ann,{moment},a,1,1,buy,x" for moment in moments]
    found = events(opened(write(tmp_path, rows, events=MAPPING["events"] | {"occurred_at": rule})))
    assert column(found, C.OCCURRED_AT) == [datetime(2021, 3, 28, 0, 30, tzinfo=UTC), datetime(2021, 5, 1, 11, 0, tzinfo=UTC)]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv.gz", "memory"])
def test_the_same_log_reads_alike_in_every_format(tmp_path: Path, kind: str) -> None:
    import fsspec
    import pyarrow.csv as pcsv

    wanted = column(events(opened(write(tmp_path))), C.EVENT_TYPE)
    table = pcsv.read_csv(tmp_path / "log.csv")
    if kind == "parquet":
        pq.write_table(table, tmp_path / "log.parquet")
    elif kind == "jsonl":
        rows = [{name: str(value) for name, value in row.items()} for row in table.to_pylist()]
        (tmp_path / "log.jsonl").write_text("\n".join(__import__("json").dumps(row) for row in rows))
    elif kind == "csv.gz":
        with pa.CompressedOutputStream(tmp_path / "log.csv.gz", "gzip") as file:
            pcsv.write_csv(table, file)
    else:
        with fsspec.open("memory://shop/log.csv", "wb") as file:
            file.write((tmp_path / "log.csv").read_bytes())
    files = "memory://shop/log.csv" if kind == "memory" else f"log.{kind}"
    found = events(opened(write(tmp_path, files=files)))
    assert column(found, C.EVENT_TYPE) == wanted
    assert column(found, C.PRICE_MINOR) == [250, 10, 125, 125, 125]


def test_numbers_that_were_once_ids_are_ids_again(tmp_path: Path) -> None:
    path = write(tmp_path, files="log.parquet")
    table = pa.table({"who": [17850.0, None], "when": [datetime(2021, 5, 1), datetime(2021, 5, 2)], "what": [1, 2]})
    pq.write_table(table, tmp_path / "log.parquet")
    small = {"name": "shop", "files": "log.parquet", "event_type": "view", "leave_out": ["without_user"]}
    path.write_text(yaml.safe_dump(small | {"events": {"user_id": "who", "occurred_at": "when", "item_id": "what"}}))
    assert column(events(opened(path, None)), C.USER_ID) == ["17850"]


def test_what_cannot_be_read_is_named_and_no_row_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lacks columns"):
        events(opened(write(tmp_path, events=MAPPING["events"] | {"item_id": "sku"})))
    with pytest.raises(SourceError, match="is not there"):
        events(opened(write(tmp_path, files="other.csv")))
    (tmp_path / "log.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(SourceError, match="log cannot be read"):
        events(opened(write(tmp_path, files="log.parquet")))
    with pytest.raises(SourceError, match="log cannot be read") as caught:
        events(opened(write(tmp_path, [*ROWS * 50, "1,secret-user,2021-05-01", *ROWS])))
    assert "secret-user" not in str(caught.value)


def test_an_empty_log_gives_nothing(tmp_path: Path) -> None:
    assert list(opened(write(tmp_path, [])).events(None, UNTIL)) == []


def test_the_survey_counts_and_advises(tmp_path: Path) -> None:
    rows = [*ROWS, "9,,2021-05-03 12:00:00,a,0,1,buy,x", "9,ann,2021-05-03 12:00:00,,1,1,steal,x"]
    found = survey(opened(write(tmp_path, rows), None))
    said = {line.what: line for line in found.lines}
    assert (said["rows"].found, said["users"].found, said["items"].found) == ("7", "2", "2")
    assert said["rows without user_id"].stops
    assert said["event type steal"].stops
    assert said["quantities of zero or less"].found == "1 (14.3%)"
    assert not found.usable
    assert survey(opened(write(tmp_path), None)).usable


@pytest.mark.skipif("FOOTFALL_DATA" not in os.environ, reason="FOOTFALL_DATA names no folder with real data")
@pytest.mark.parametrize(
    ("name", "folder", "until", "kinds", "items"),
    [
        ("online_retail", "online_retail", datetime(2011, 10, 1, tzinfo=UTC), {"purchase": 259_111, "return": 6_262}, 3_331),
        ("rees46", "rees46_fragment", datetime(2019, 10, 2, tzinfo=UTC), {"view": 17_055, "cart": 165, "purchase": 214}, 6_493),
    ],
)
def test_real_logs_read_through_the_mappings_that_ship(
    checkout: Path, tmp_path: Path, name: str, folder: str, until: datetime, kinds: dict[str, int], items: int
) -> None:
    shipped = checkout / "src" / "footfall" / "sources" / "mappings" / f"{name}.yaml"
    data = Path(os.environ["FOOTFALL_DATA"]) / folder
    mapping = tmp_path / shipped.name
    mapping.write_text(shipped.read_text().replace("files: ", f"files: {data}/"))
    source = open_source(str(mapping), KEY)
    table = pa.concat_tables([batch for _, batch in source.events(None, until)])
    assert {row["values"]: row["counts"] for row in table.column(C.EVENT_TYPE).value_counts().to_pylist()} == kinds
    assert source.catalogue().num_rows == items
    assert pc.count_distinct(table.column(C.EVENT_ID)).as_py() == table.num_rows


def test_impressions_of_one_request_are_exposures_by_position_and_two_at_one_position_are_refused(tmp_path: Path) -> None:
    rows = ["q1,ann,2021-05-01 12:00:00,a,1,0.5,look,x", "q1,ann,2021-05-01 12:00:00,b,2,0.25,buy,x"]
    columns = {"user_id": "who", "item_id": "what", "occurred_at": "when", "request_id": "invoice", "position": "pieces"}
    changes: dict[str, Any] = {"events": columns, "returns": None, "currency": None, "exposures": {"policy": {"value": "old"}, "propensity": "paid"}}
    ((_, shown),) = opened(write(tmp_path, rows, **changes)).exposures(None, UNTIL)
    assert [(row[C.REQUEST_ID], row[C.POSITION], row[C.ITEM_ID], row[C.PROPENSITY], row[C.POLICY], row[C.USER_ID]) for row in shown.to_pylist()] == [
        ("q1", 1, "a", 0.5, "old", None),
        ("q1", 2, "b", 0.25, "old", None),
    ]
    with pytest.raises(ContractError, match="not unique"):
        list(opened(write(tmp_path, [*rows, rows[0]], **changes)).exposures(None, UNTIL))
    assert list(opened(write(tmp_path)).exposures(None, UNTIL)) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exposures": {"policy": "kind", "propensity": "paid"}}, "as `exposures` is there"),
        ({"exposures": {"policy": "kind"}}, "exposures"),
        ({"anonymous": True}, "a log without user_id"),
        ({"anonymous": "yes"}, "true or false"),
    ],
)
def test_a_log_of_impressions_says_what_it_needs(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read_mapping(write(tmp_path, **changes))
