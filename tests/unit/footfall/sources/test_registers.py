"""A shop's own tables of items and users beside its log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from footfall.contracts import C
from footfall.errors import SourceError
from footfall.pseudonyms import pseudonym
from footfall.sources.mapped import NO_CATEGORY, MappedLog
from footfall.sources.mapping import read_mapping
from footfall.sources.survey import survey

KEY = b"key"
UNTIL = datetime(2022, 1, 1, tzinfo=UTC)
LOG = ["who,when,what", "ann,2021-03-01 10:00:00,a", "bob,2021-04-01 10:00:00,b", "eve,2021-05-01 10:00:00,gone"]
ITEMS = ["sku,name,dept,kind,price,since,stock,colour", "b,Pear,Food,Fruit,0.29,2020-01-01,0,", "a,Äpfel,Food,Fruit,1.25,2020-06-01,7,red"]
USERS = ["customer,since,segment,ads,profile", "ann,2020-12-24,gold,no,yes", "bob,2021-01-01,,,", "carl,2023-01-01,new,yes,yes"]
MAPPING: dict[str, Any] = {
    "name": "shop",
    "files": "log.csv",
    "event_type": "purchase",
    "currency": "EUR",
    "events": {"user_id": "who", "occurred_at": "when", "item_id": "what"},
    "items": {
        "files": "items.csv",
        "item_id": "sku",
        "title": "name",
        "category_path": ["dept", "kind"],
        "price": "price",
        "available_from": "since",
        "available": "stock",
        "attributes": ["colour"],
    },
    "users": {
        "files": "users.csv",
        "user_id": "customer",
        "first_seen_at": "since",
        "attributes": ["segment"],
        "consent": {"advertise": "ads", "personalise": "profile"},
    },
    "not_recommendable": ["b"],
}


def opened(folder: Path, item_rows: list[str] = ITEMS, user_rows: list[str] = USERS, key: bytes | None = KEY, **changes: Any) -> MappedLog:
    for name, lines in (("log", LOG), ("items", item_rows), ("users", user_rows)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(MAPPING | changes), encoding="utf-8")
    return MappedLog(read_mapping(path), key)


def test_the_catalogue_is_the_shops_own_table_of_items(tmp_path: Path) -> None:
    apple, pear = opened(tmp_path).catalogue().to_pylist()  # an item that the table does not know is none, whatever the log says
    assert (apple[C.ITEM_ID], apple[C.TITLE], apple[C.CATEGORY_PATH]) == ("a", "Äpfel", "Food > Fruit")
    assert (apple[C.PRICE_MINOR], apple[C.CURRENCY], apple[C.AVAILABLE_FROM]) == (125, "EUR", datetime(2020, 6, 1, tzinfo=UTC))
    assert (apple[C.AVAILABLE], apple[C.RECOMMENDABLE], json.loads(apple[C.ATTRIBUTES])) == (True, True, {"colour": "red"})
    assert (pear[C.PRICE_MINOR], pear[C.AVAILABLE], pear[C.RECOMMENDABLE], pear[C.ATTRIBUTES]) == (29, False, False, "{}")


def test_users_and_what_they_agreed_to_are_the_shops_own_table(tmp_path: Path) -> None:
    users = {row[C.USER_ID]: row for row in opened(tmp_path).users(UNTIL).to_pylist()}
    ann, bob = pseudonym("ann", KEY), pseudonym("bob", KEY)
    assert set(users) == {ann, bob}  # carl comes later
    assert users[ann][C.FIRST_SEEN_AT] == datetime(2020, 12, 24, tzinfo=UTC)
    assert json.loads(users[ann][C.CONSENT]) == {"advertise": False, "personalise": True}
    assert json.loads(users[ann][C.ATTRIBUTES]) == {"segment": "gold"}
    assert (users[bob][C.CONSENT], users[bob][C.ATTRIBUTES]) == ("{}", "{}")  # nothing said is no word


def test_a_table_of_users_without_a_moment_adds_to_what_the_log_knows(tmp_path: Path) -> None:
    log = opened(tmp_path, users={"files": "users.csv", "user_id": "customer", "consent": {"analyse": "ads"}})
    users = {row[C.USER_ID]: row for row in log.users(UNTIL).to_pylist()}
    assert {row[C.FIRST_SEEN_AT] for row in users.values()} == {datetime(2021, month, 1, 10, tzinfo=UTC) for month in (3, 4, 5)}
    assert {name: users[pseudonym(name, KEY)][C.CONSENT] for name in ("ann", "bob", "eve")} == {"ann": '{"analyse": false}', "bob": "{}", "eve": "{}"}


def test_the_survey_tells_of_both_tables_and_of_rows_that_the_gate_will_not_want(tmp_path: Path) -> None:
    lines = {line.what: (line.found, line.advice) for line in survey(opened(tmp_path, key=None)).lines}
    assert lines["items in their own table"] == ("2", None)
    assert lines["rows of items that the table lacks"] == ("1 (33.3%)", "quarantine")
    assert lines["users, with their own table"][0] == "3, of whom 2 have said something of consent"


def test_rows_that_repeat_count_once_and_rows_that_differ_are_refused(tmp_path: Path) -> None:
    assert opened(tmp_path, [*ITEMS, ITEMS[1]]).catalogue().num_rows == 2
    with pytest.raises(SourceError, match="rows differ about one item_id") as caught:
        opened(tmp_path, [*ITEMS, ITEMS[1].replace("Pear", "Peer")]).catalogue()
    assert caught.value.found == "1 rows more"
    with pytest.raises(SourceError, match="rows differ about one user_id") as caught:
        opened(tmp_path, user_rows=[*USERS, "ann,2020-12-24,silver,no,yes"]).users(UNTIL)
    assert "ann" not in str(caught.value).replace("cannot", "")


@pytest.mark.parametrize("word", ["maybe", "nein"])
def test_a_consent_that_nobody_can_read_is_refused_and_not_guessed(tmp_path: Path, word: str) -> None:
    with pytest.raises(SourceError, match="a yes or no cannot be read") as caught:
        opened(tmp_path, user_rows=[USERS[0], f"ann,2020-12-24,gold,{word},yes"]).users(UNTIL)
    assert "consent_advertise" in str(caught.value)
    assert word not in str(caught.value)


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64(), pa.float64(), pa.string()])
def test_a_flag_may_be_written_in_many_ways(tmp_path: Path, kind: pa.DataType) -> None:
    log = opened(tmp_path, items={"files": "items.parquet", "item_id": "sku", "available": "stock"})
    stock = pa.array([1, 0, None], pa.int64()).cast(kind) if kind != pa.bool_() else pa.array([True, False, None])
    pq.write_table(pa.table({"sku": ["a", "b", "c"], "stock": stock}), tmp_path / "items.parquet")
    catalogue = log.catalogue()
    assert catalogue.column(C.AVAILABLE).to_pylist() == [True, False, True]  # what nobody counts is there
    assert catalogue.column(C.TITLE).to_pylist() == ["a", "b", "c"]
    assert catalogue.column(C.CATEGORY_PATH).to_pylist() == [NO_CATEGORY] * 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"items": {"files": "items.csv"}}, "items.item_id"),
        ({"items": {"files": "items.csv", "item_id": ["a", "b"]}}, "one column"),
        ({"items": {"query": "SELECT 1", "item_id": "sku"}}, "files"),
        ({"items": {"files": "items.xlsx", "item_id": "sku"}}, "parquet, csv"),
        ({"catalogue": {"title": "name"}}, "either `items` or `catalogue`"),
        ({"currency": None}, "the currency of the prices"),
        ({"users": {"files": "users.csv", "user_id": "who", "consent": {"sell": "x"}}}, "personalise, analyse, advertise"),
        ({"users": {"files": "users.csv", "user_id": "who", "colour": "x"}}, "unknown key"),
    ],
)
def test_a_wrong_part_says_where_and_what_would_be_right(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match="mapping cannot be used") as caught:
        opened(tmp_path, **change)
    assert says in str(caught.value)
