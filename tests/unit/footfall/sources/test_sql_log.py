"""A shop's log in a database: the same rows as from a file, in bounded batches, by window, on three databases."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
import yaml

from flows.world import is_of_the_world
from footfall.contracts import C
from footfall.errors import SourceError
from footfall.pseudonyms import pseudonym
from footfall.sources import open_source
from footfall.sources.mapped import MappedLog
from footfall.sources.mapping import read_mapping
from footfall.sources.query import LogQuery
from footfall.sources.survey import survey

KEY = b"key"
UNTIL = datetime(2021, 7, 1, tzinfo=UTC)
LINES = sa.Table(
    "shop_lines",
    sa.MetaData(),
    sa.Column("customer", sa.BigInteger),
    sa.Column("sku", sa.String(20)),
    sa.Column("placed_at", sa.DateTime),
    sa.Column("pieces", sa.Integer),
    sa.Column("amount", sa.Numeric(18, 2)),
    sa.Column("product", sa.String(40)),
    sa.Column("note", sa.Text),
)
ROWS: list[tuple[Any, ...]] = [
    (7, "a", datetime(2021, 3, 28, 0, 30), 2, Decimal("0.29"), "Äpfel", None),
    (7, "b", datetime(2021, 3, 28, 3, 30), 1, Decimal("12345678901234.56"), "Birne", "ring +49 170 1234567"),  # summer time has begun
    (8, "a", datetime(2021, 4, 1, 1, 30), 1, Decimal("0.29"), "Äpfel", None),  # 23:30 of March in UTC
    (8, "a", datetime(2021, 5, 1, 12, 0), -1, Decimal("-0.29"), "Äpfel", None),
    (8, "a", datetime(2021, 6, 1, 2, 0), 1, Decimal("0.29"), "Äpfel", None),  # the first moment of June in UTC
    (8, "a", datetime(2021, 6, 1, 2, 0), 1, Decimal("0.29"), "Äpfel", None),  # the same once more
]
MAPPING: dict[str, Any] = {
    "name": "shop",
    "sql": {
        "url_from": "SHOP_DATABASE_URL",
        "query": "SELECT customer, sku, placed_at, pieces, amount, product, note FROM shop_lines"
        " WHERE placed_at >= :since AND placed_at < :until ORDER BY placed_at",
        "batch_rows": 2,
    },
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "event_type": "purchase",
    "returns": "negative_quantity",
    "events": {
        "user_id": "customer",
        "item_id": "sku",
        "occurred_at": "placed_at",
        "session_id": ["customer", "placed_at"],
        "quantity": "pieces",
        "price": "amount",
        "text": "note",
    },
    "catalogue": {"title": "product"},
}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A database of a shop with a table of order lines; its URL is in the environment."""
    url = f"sqlite:///{tmp_path / 'shop.db'}" if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_url")
    # a test that fails may still hold a cursor: dropping the table must then fail too, not wait for a day
    engine = sa.create_engine(url, connect_args={"init_command": "SET SESSION lock_wait_timeout=5"} if request.param == "mariadb" else {})
    LINES.metadata.drop_all(engine)
    LINES.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(LINES), [dict(zip(LINES.columns.keys(), row, strict=True)) for row in ROWS])
    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    yield engine
    LINES.metadata.drop_all(engine)
    engine.dispose()


def write(folder: Path, sql: dict[str, Any] | None = None, **changes: Any) -> Path:
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(MAPPING | {"sql": MAPPING["sql"] | (sql or {})} | changes), encoding="utf-8")
    return path


def everything(path: Path, since: datetime | None = None) -> dict[str, pa.Table]:
    return dict(open_source(str(path), KEY).events(since, UNTIL))


def test_rows_become_events_with_moments_in_utc_money_to_the_cent_and_nobody_by_name(shop: sa.Engine, tmp_path: Path) -> None:
    batches = everything(write(tmp_path))
    assert {batch_id: table.num_rows for batch_id, table in batches.items()} == {"shop-2021-03": 3, "shop-2021-05": 1, "shop-2021-06": 2}
    march = batches["shop-2021-03"].sort_by(C.OCCURRED_AT)
    assert march.column(C.OCCURRED_AT).to_pylist() == [
        datetime(2021, 3, 27, 23, 30, tzinfo=UTC),
        datetime(2021, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2021, 3, 31, 23, 30, tzinfo=UTC),
    ]
    assert march.column(C.PRICE_MINOR).to_pylist() == [29, 1234567890123456, 29]
    assert march.column(C.USER_ID).to_pylist() == [pseudonym(name, KEY) for name in ("7", "7", "8")]
    assert march.column(C.TEXT).to_pylist() == [None, "ring [phone]", None]
    assert all(session.startswith("u") for session in march.column(C.SESSION_ID).to_pylist())
    (back,) = batches["shop-2021-05"].to_pylist()
    assert (back[C.EVENT_TYPE], back[C.QUANTITY], back[C.PRICE_MINOR]) == ("return", 1, 29)
    assert len(set(batches["shop-2021-06"].column(C.EVENT_ID).to_pylist())) == 2


def test_a_window_gives_the_same_rows_with_the_same_ids_and_asks_for_little_more(
    shop: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    whole = everything(path)
    read: list[int] = []
    batch = LogQuery._batch
    monkeypatch.setattr(
        LogQuery, "_batch", lambda self, names, needed, rows, user: (read.append(len(rows)), batch(self, names, needed, rows, user))[1]
    )
    part = everything(path, since=datetime(2021, 5, 1, tzinfo=UTC))
    assert {name: table.to_pylist() for name, table in part.items()} == {
        name: table.to_pylist() for name, table in whole.items() if name != "shop-2021-03"
    }
    assert sum(read) < len(ROWS) + 2  # May is read with a day of April and of June, June with a day of May


def test_no_more_rows_than_said_are_held_at_once_and_the_server_keeps_the_rest(shop: sa.Engine, tmp_path: Path) -> None:
    mapping = read_mapping(write(tmp_path, {"batch_rows": 4}))
    assert mapping.sql is not None
    log = LogQuery(mapping, mapping.sql, KEY)
    assert [batch.num_rows for batch in log.batches(mapping.sql.log, mapping.columns, None)] == [4, 2]
    with log._engine.connect() as connection, connection.execute(sa.text("SELECT sku FROM shop_lines")) as result:
        kind = type(result.cursor).__name__
    assert kind == {"sqlite": "Cursor", "postgresql": "ServerCursor", "mysql": "SSCursor"}[shop.dialect.name]


def test_catalogue_and_users_come_from_the_log_or_from_tables_of_their_own(shop: sa.Engine, tmp_path: Path) -> None:
    log = open_source(str(write(tmp_path)), KEY)
    titles = {row[C.ITEM_ID]: row[C.TITLE] for row in log.catalogue().to_pylist()}
    assert titles == {"a": "Äpfel", "b": "Birne"}
    first = {row[C.USER_ID]: row[C.FIRST_SEEN_AT] for row in log.users(UNTIL).to_pylist()}
    assert first == {pseudonym("7", KEY): datetime(2021, 3, 27, 23, 30, tzinfo=UTC), pseudonym("8", KEY): datetime(2021, 3, 31, 23, 30, tzinfo=UTC)}

    mapping = MAPPING | {
        "items": {"query": "SELECT DISTINCT sku AS article, product FROM shop_lines", "item_id": "article", "title": "product"},
        "users": {
            "query": "SELECT customer AS buyer, MIN(placed_at) AS since FROM shop_lines GROUP BY customer",
            "user_id": "buyer",
            "first_seen_at": "since",
        },
    }
    mapping.pop("catalogue")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    other = open_source(str(tmp_path / "own.yaml"), KEY)
    assert other.catalogue().equals(log.catalogue())
    assert other.users(UNTIL).equals(log.users(UNTIL))


def test_the_survey_explains_a_database_as_it_does_a_file(shop: sa.Engine, tmp_path: Path) -> None:
    found = survey(MappedLog(read_mapping(write(tmp_path)), None))
    lines = {line.what: line.found for line in found.lines}
    assert found.usable
    assert (lines["rows"], lines["users"], lines["first moment, UTC"]) == ("6", "2", "2021-03-27 23:30:00")


def test_times_with_a_zone_need_none_of_the_mapping(tmp_path: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", postgresql_url)
    engine = sa.create_engine(postgresql_url)
    zoned = sa.Table(
        "zoned_lines", sa.MetaData(), sa.Column("customer", sa.Text), sa.Column("sku", sa.Text), sa.Column("at", sa.DateTime(timezone=True))
    )
    zoned.metadata.create_all(engine)
    tokyo = timezone(timedelta(hours=9))
    with engine.begin() as connection:
        connection.execute(sa.insert(zoned), [{"customer": "x", "sku": "a", "at": datetime(2021, 6, 1, 8, 59, tzinfo=tokyo)}])
    sql = {"query": "SELECT customer, sku, at FROM zoned_lines WHERE at >= :since AND at < :until"}
    mapping = {"events": {"user_id": "customer", "item_id": "sku", "occurred_at": "at"}, "returns": None, "catalogue": {}}
    (batch,) = everything(write(tmp_path, sql, **mapping)).items()
    zoned.metadata.drop_all(engine)
    engine.dispose()
    assert batch[0] == "shop-2021-05"
    assert batch[1].column(C.OCCURRED_AT).to_pylist() == [datetime(2021, 5, 31, 23, 59, tzinfo=UTC)]


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_times_as_numbers_are_bounded_as_numbers(tmp_path: Path, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    engine, scale = sa.create_engine(url), {"s": 1, "ms": 1000}[unit]
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE n (who, what, at INTEGER)"))
        for day in (3, 4, 5):
            connection.execute(sa.text("INSERT INTO n VALUES ('x', 'a', :at)"), {"at": int(datetime(2021, 5, day, tzinfo=UTC).timestamp()) * scale})
    engine.dispose()
    sql = {"query": "SELECT who, what, at FROM n WHERE at >= :since AND at < :until"}
    events = {"user_id": "who", "item_id": "what", "occurred_at": {"column": "at", "unit": unit}}
    path = write(tmp_path, sql, events=events, returns=None, catalogue={}, currency=None)
    (table,) = everything(path, since=datetime(2021, 5, 4, tzinfo=UTC)).values()
    assert [moment.day for moment in table.column(C.OCCURRED_AT).to_pylist()] == [4, 5]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ({"query": "SELECT * FROM nowhere WHERE 1 < :since AND 2 < :until"}, "nowhere"),
        ({"query": "SELECT customer FROM shop_lines WHERE placed_at >= :since AND placed_at < :until"}, "lacks columns"),
        ({"query": "SELECT customer, sku, nothing FROM shop_lines WHERE placed_at >= :since AND placed_at < :until"}, "nothing"),
    ],
)
def test_a_wrong_query_is_told_and_not_tried_again(shop: sa.Engine, tmp_path: Path, sql: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        everything(write(tmp_path, sql))
    assert not is_of_the_world(caught.value)


@pytest.mark.parametrize("driver", ["postgresql", "mariadb"])
def test_no_error_tells_the_password_and_a_server_that_is_away_is_tried_again(tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", f"{driver}://shop:hunter2secret@127.0.0.1:9/shop")
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2secret")
    for sql in ({}, {"url_from": None, "url": f"{driver}://shop:${{SHOP_PASSWORD}}@127.0.0.1:9/shop"}):
        settings = {name: value for name, value in (MAPPING["sql"] | sql).items() if value is not None}
        with pytest.raises(SourceError, match="cannot be read") as caught:
            everything(_write_sql(tmp_path, settings))
        assert "hunter2secret" not in "".join(traceback.format_exception(caught.value))
        assert is_of_the_world(caught.value)


def _write_sql(folder: Path, sql: dict[str, Any]) -> Path:
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(MAPPING | {"sql": sql}), encoding="utf-8")
    return path


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="SHOP_DATABASE_URL"):
        everything(write(tmp_path))


@pytest.mark.parametrize("url", ["nonsense", "oracle+none://x"])
def test_an_unusable_url_is_refused_without_repeating_it(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    with pytest.raises(SourceError, match="unusable database URL") as caught:
        everything(write(tmp_path))
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ({"url": "postgresql://shop:secret@db/shop", "url_from": None}, "a password in the file"),
        ({"url": "sqlite:///shop.db"}, "either `url` or `url_from`"),
        ({"query": "SELECT * FROM shop_lines"}, "no :since and no :until"),
        ({"batch_rows": 0}, "a whole number from 1"),
        ({"tables": "x"}, "an unknown key"),
    ],
)
def test_a_wrong_sql_section_says_what_would_be_right(tmp_path: Path, sql: dict[str, Any], says: str) -> None:
    settings = {name: value for name, value in (MAPPING["sql"] | sql).items() if value is not None}
    with pytest.raises(SourceError, match="mapping cannot be used") as caught:
        read_mapping(_write_sql(tmp_path, settings))
    assert says in str(caught.value)
    assert "secret@" not in str(caught.value)
