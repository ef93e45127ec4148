"""The seeded shop: the same for the same seed, with the faults, habits and the shift that tests count on."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.pseudonyms import DEMO_KEY
from footfall.sources.seeded_shop import END, FUEL, GIFTS, SHIFT_AT, SeededShop


@pytest.fixture(scope="module")
def shop() -> SeededShop:
    """The shop as the end-to-end test takes it."""
    return SeededShop(DEMO_KEY)


@pytest.fixture(scope="module")
def rows(shop: SeededShop) -> pa.Table:
    """All its events."""
    return pa.concat_tables([table for _, table in shop.events(None, END)])


def test_tables_meet_their_contracts(shop: SeededShop, rows: pa.Table) -> None:
    EVENTS.check_key(EVENTS.check(rows))
    CATALOGUE.check_key(CATALOGUE.check(shop.catalogue()))
    USERS.check_key(USERS.check(shop.users(END)))
    assert shop.catalogue().num_rows == 400
    assert shop.users(END).num_rows == 300


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(rows: pa.Table) -> None:
    again = pa.concat_tables([table for _, table in SeededShop(DEMO_KEY).events(None, END)])
    other = pa.concat_tables([table for _, table in SeededShop(DEMO_KEY, seed=1).events(None, END)])

    assert again.equals(rows)
    assert not other.equals(rows)


def test_batches_are_months_and_a_cut_month_is_a_batch_of_its_own(shop: SeededShop) -> None:
    cut = datetime(2017, 10, 29, tzinfo=UTC)

    assert [name for name, _ in shop.events(None, cut)][-1] == "seeded_shop-2017-10-to-29"
    assert [name for name, _ in shop.events(cut, END)] == ["seeded_shop-2017-10-from-29", "seeded_shop-2017-11-to-26"]


def test_some_rows_are_bad_and_fuel_is_sold_by_volume(shop: SeededShop, rows: pa.Table) -> None:
    lines = rows.select([C.ITEM_ID, C.QUANTITY]).to_pylist()
    fuel = {row[C.ITEM_ID] for row in shop.catalogue().to_pylist() if row[C.CATEGORY_PATH].startswith(FUEL)}

    assert 20 < sum(row[C.ITEM_ID] == "item-gone" for row in lines) < 0.01 * len(lines)
    assert 20 < sum(row[C.QUANTITY] == 0 for row in lines) < 0.01 * len(lines)
    assert min(row[C.QUANTITY] for row in lines if row[C.ITEM_ID] in fuel and row[C.QUANTITY]) >= 1000


def test_titles_are_chinese_and_english(shop: SeededShop) -> None:
    ascii_titles = [title.isascii() for title in shop.catalogue().column(C.TITLE).to_pylist()]

    assert 100 < sum(ascii_titles) < 300


def test_gifts_are_rare_before_the_shift_and_common_after_it(shop: SeededShop, rows: pa.Table) -> None:
    gifts = {row[C.ITEM_ID] for row in shop.catalogue().to_pylist() if row[C.CATEGORY_PATH].startswith(GIFTS)}
    share = {}
    for shifted in (False, True):
        lines = [row for row in rows.to_pylist() if row[C.EVENT_TYPE] == "purchase" and (row[C.OCCURRED_AT] >= SHIFT_AT) == shifted]
        share[shifted] = sum(row[C.ITEM_ID] in gifts for row in lines) / len(lines)

    assert share[False] < 0.05
    assert share[True] > 0.35


def test_users_come_back_to_their_own_items(rows: pa.Table) -> None:
    bought = Counter(
        (row[C.USER_ID], row[C.ITEM_ID]) for row in rows.to_pylist() if row[C.EVENT_TYPE] == "purchase" and row[C.OCCURRED_AT] < SHIFT_AT
    )
    repeats = sum(times - 1 for times in bought.values()) / sum(bought.values())

    assert repeats > 0.35


def test_raw_ids_stay_raw_without_a_key() -> None:
    assert SeededShop(None).users(END).column(C.USER_ID).to_pylist()[0] == "shopper-0000"
