"""What the shop tells of items, users, relations and campaigns: the last word counts, and a word that is not new changes nothing."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from footfall.contracts import CAMPAIGNS, CATALOGUE, RELATIONS, C
from footfall.errors import ContractError, StoreError
from footfall.store import Engine, retention, shop_campaigns, shop_items, shop_relations, shop_users
from footfall.store.shop_users import Told
from tests.unit.footfall.store.store_rows import NOON

LATER = NOON + timedelta(hours=1)
FULL = {
    "title": "Fresh 牛奶",
    "description": "a litre",
    "brand": "Acme",
    "category_path": "food > dairy > milk",
    "price_minor": 129,
    "currency": "EUR",
    "image": "https://shop.example/milk.jpg",
    "attributes": '{"fat": 1.5}',
    "available_from": NOON,
    "available": False,
    "recommendable": True,
}


def items(*rows: dict[str, Any]) -> pa.Table:
    plain = {"title": "t", "category_path": "c", "attributes": "{}", "available": True, "recommendable": True}
    return pa.Table.from_pylist([plain | row for row in rows], CATALOGUE.schema)


def relations(*rows: tuple[str, str, str, datetime]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(RELATIONS.schema.names, row, strict=True)) for row in rows], RELATIONS.schema)


def campaigns(*rows: tuple[str, datetime, datetime]) -> pa.Table:
    full = [{"campaign_id": name, "kind": "sale", "starts": starts, "ends": ends, "items": '["a"]'} for name, starts, ends in rows]
    return pa.Table.from_pylist(full, CAMPAIGNS.schema)


def test_an_item_comes_back_as_it_was_told(engine: Engine) -> None:
    told = items({"item_id": "b"}, {"item_id": "A", **FULL}, {"item_id": "a"})
    assert shop_items.put(engine, told, NOON) == 3

    assert shop_items.catalogue(engine).equals(CATALOGUE.sort(told))
    assert shop_items.catalogue(engine, shop_items.FACTS).equals(CATALOGUE.sort(told).select(list(shop_items.FACTS)))
    assert shop_items.count(engine) == 3


def test_an_empty_store_has_an_empty_catalogue(engine: Engine) -> None:
    assert shop_items.catalogue(engine).equals(CATALOGUE.schema.empty_table())
    assert shop_items.revision(engine) == 0


def test_the_last_word_about_an_item_counts_and_replaces_it_whole(engine: Engine) -> None:
    shop_items.put(engine, items({"item_id": "a", **FULL}, {"item_id": "b"}), NOON)

    changed = shop_items.put(engine, items({"item_id": "a", "price_minor": 1}, {"item_id": "b"}, {"item_id": "a", "price_minor": 2}), LATER)

    assert changed == 1
    assert shop_items.catalogue(engine).to_pylist() == items({"item_id": "a", "price_minor": 2}, {"item_id": "b"}).to_pylist()


def test_the_number_of_the_last_change_is_another_only_after_a_change(engine: Engine) -> None:
    seen = [shop_items.revision(engine)]
    for price in (1, 2, 1):
        shop_items.put(engine, items({"item_id": "a", "price_minor": price}), NOON)
        seen.append(shop_items.revision(engine))
        assert shop_items.put(engine, items({"item_id": "a", "price_minor": price}), LATER) == 0
        assert shop_items.revision(engine) == seen[-1]
    assert len(set(seen)) == 4
    assert shop_campaigns.revision(engine) == 0


def test_more_items_than_one_statement_takes(engine: Engine) -> None:
    many = items(*[{"item_id": f"i{number:04d}", "price_minor": number} for number in range(1000)])
    assert shop_items.put(engine, many, NOON) == 1000
    assert shop_items.put(engine, items(*[{"item_id": f"i{number:04d}", "price_minor": max(number, 3)} for number in range(1000)]), LATER) == 3
    assert shop_items.catalogue(engine, (C.PRICE_MINOR,)).column(0).to_pylist() == [3, 3, 3, *range(3, 1000)]


def test_what_no_database_could_keep_is_refused_before_the_first_row(engine: Engine) -> None:
    shop_items.put(engine, items({"item_id": "a"}), NOON)
    with pytest.raises(StoreError, match="category_path is too long"):
        shop_items.put(engine, items({"item_id": "b"}, {"item_id": "c", "category_path": "x" * 513}), NOON)
    with pytest.raises(StoreError, match="title holds a NUL"):
        shop_items.put(engine, items({"item_id": "b", "title": "x\0"}), NOON)
    assert shop_items.count(engine) == 1


def test_several_who_tell_of_the_same_items_at_once_leave_one_whole_word(engine: Engine) -> None:
    def tell(price: int) -> None:
        ids = [f"i{number}" for number in range(40)][:: 1 if price % 2 else -1]
        try:
            for _ in range(5):
                shop_items.put(engine, items(*[{"item_id": item_id, "price_minor": price} for item_id in ids]), NOON)
        except StoreError as error:
            failed.append(error)

    failed: list[StoreError] = []
    threads = [threading.Thread(target=tell, args=(price,)) for price in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert shop_items.count(engine) == 40
    assert len(set(shop_items.catalogue(engine, (C.PRICE_MINOR,)).column(0).to_pylist())) == 1


def test_what_is_not_said_of_a_user_stays_as_it_was_known(engine: Engine) -> None:
    assert shop_users.put(engine, [Told("u1", {"tier": "gold", "城市": "上海"}, NOON), Told("u2")], NOON) == 2
    assert shop_users.put(engine, [Told("u1"), Told("u2")], LATER) == 0
    assert shop_users.put(engine, [Told("u1", {"tier": "silver"}), Told("u1", {"tier": "none"}), Told("u2", None, LATER)], LATER) == 2

    assert shop_users.attributes(engine, "u1") == {"tier": "none"}
    assert (shop_users.attributes(engine, "u2"), shop_users.attributes(engine, "stranger")) == ({}, {})
    assert shop_users.count(engine) == 2


def test_attributes_that_are_no_json_are_refused(sqlite: Engine) -> None:
    with pytest.raises(ContractError, match="no JSON"):
        shop_users.put(sqlite, [Told("u1", {"x": float("nan")})], NOON)
    assert shop_users.count(sqlite) == 0


def test_a_relation_is_known_from_both_sides(engine: Engine) -> None:
    assert shop_relations.put(engine, relations(("u2", "u1", "household", NOON), ("u1", "u2", "friend", NOON)), NOON) == 4
    assert shop_relations.put(engine, relations(("u1", "u2", "household", NOON)), LATER) == 0
    assert shop_relations.put(engine, relations(("u1", "u2", "friend", NOON), ("u2", "u1", "friend", LATER)), LATER) == 2

    assert shop_relations.of(engine, "u1").equals(relations(("u1", "u2", "friend", LATER), ("u1", "u2", "household", NOON)))
    assert shop_relations.of(engine, "u2").equals(relations(("u2", "u1", "friend", LATER), ("u2", "u1", "household", NOON)))
    assert shop_relations.everyone(engine).num_rows == 4


@pytest.mark.parametrize(("row", "field"), [(("u1", "u1", "friend"), "other_user_id"), (("u1", "u2", "enemy"), "kind")])
def test_a_relation_that_cannot_be_is_refused_by_its_field(sqlite: Engine, row: tuple[str, str, str], field: str) -> None:
    with pytest.raises(ContractError) as caught:
        shop_relations.put(sqlite, relations((*row, NOON)), NOON)
    assert caught.value.where == f"relations.{field}"


def test_a_campaign_runs_from_its_start_until_before_its_end(engine: Engine) -> None:
    hour = timedelta(hours=1)
    told = campaigns(("past", NOON - hour, NOON), ("now", NOON, NOON + hour), ("soon", NOON + hour, NOON + 2 * hour))
    assert shop_campaigns.put(engine, told, NOON) == 3

    assert shop_campaigns.running(engine, NOON).column(C.CAMPAIGN_ID).to_pylist() == ["now"]
    assert shop_campaigns.running(engine, NOON + hour).column(C.CAMPAIGN_ID).to_pylist() == ["soon"]
    assert shop_campaigns.everything(engine).equals(CAMPAIGNS.sort(told))
    assert shop_campaigns.put(engine, campaigns(("now", NOON, NOON + 2 * hour)), LATER) == 1
    assert shop_campaigns.running(engine, NOON + hour).column(C.CAMPAIGN_ID).to_pylist() == ["now", "soon"]


def test_a_campaign_that_is_over_before_it_starts_is_refused(sqlite: Engine) -> None:
    with pytest.raises(ContractError) as caught:
        shop_campaigns.put(sqlite, campaigns(("never", NOON, NOON)), NOON)
    assert caught.value.where == "campaigns.ends"


def test_retention_of_events_leaves_what_the_shop_told(sqlite: Engine) -> None:
    shop_items.put(sqlite, items({"item_id": "a"}), NOON)
    shop_users.put(sqlite, [Told("u1")], NOON)
    retention.drop_before(sqlite, datetime(2030, 1, 1, tzinfo=UTC).date(), lambda _: True)
    assert (shop_items.count(sqlite), shop_users.count(sqlite)) == (1, 1)
