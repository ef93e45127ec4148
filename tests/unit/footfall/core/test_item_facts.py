from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from footfall.contracts import CATALOGUE
from footfall.core.item_facts import NO_PRICE, CatalogueFacts, catalogue_facts
from footfall.core.vocabulary import Vocabulary

SHOP = Vocabulary(("phone", "case", "banana", "mystery"))


def row(item_id: str, path: str, **rest: Any) -> dict[str, Any]:
    return {"item_id": item_id, "title": item_id.title(), "category_path": path, "available": True, "recommendable": True} | rest


ROWS = [
    row("phone", "tech > phones", brand="Acme", price_minor=50_000, currency="EUR"),
    row("case", "tech > phone cases > soft", brand="Zeta", price_minor=0, currency="EUR", available=False),
    row("banana", "food", price_minor=30, currency="CNY", recommendable=False),
    row("elsewhere", "tech"),
]


@pytest.fixture
def facts() -> CatalogueFacts:
    return catalogue_facts(SHOP, ROWS)


def test_facts_stand_in_the_order_of_the_vocabulary_and_others_items_are_left_out(facts: CatalogueFacts) -> None:
    assert len(facts) == 4
    assert facts.titles == ("Phone", "Case", "Banana", "")
    assert facts.known.tolist() == [True, True, True, False]
    assert (facts.brands, facts.brand.tolist()) == (("Acme", "Zeta"), [1, 2, 0, 0])
    assert facts.price_minor.tolist() == [50_000, 0, 30, NO_PRICE]
    assert facts.available.tolist() == [True, False, True, False]
    assert facts.recommendable.tolist() == [True, True, False, False]
    assert facts.showable is not None
    assert facts.showable.tolist() == [True, True, False, True]


def test_a_category_is_a_whole_path_and_holds_what_lies_below_it(facts: CatalogueFacts) -> None:
    assert facts.in_category("tech").tolist() == [True, True, False, False]
    assert facts.in_category("tech > phones").tolist() == [True, False, False, False]
    assert facts.in_category(" tech>phone cases ").tolist() == [False, True, False, False]
    for nowhere in ("tech > phone", "phones", "", " > ", "tech > phone cases > soft > red", "food > fruit"):
        assert not facts.in_category(nowhere).any()


def test_levels_of_one_name_in_two_branches_are_two_categories() -> None:
    facts = catalogue_facts(Vocabulary(("tea", "mug")), [row("tea", "food > green"), row("mug", "kitchen > green")])
    assert facts.in_category("food > green").tolist() == [True, False]
    assert facts.category[0, 1] != facts.category[1, 1]


def test_a_category_at_a_level_is_the_deepest_that_there_is(facts: CatalogueFacts) -> None:
    names = [facts.categories[code - 1] if code else None for code in facts.category_at(2)]
    assert names == ["tech > phones", "tech > phone cases", "food", None]
    assert catalogue_facts(SHOP, []).category_at(2).tolist() == [0, 0, 0, 0]


def test_brands_and_currencies_are_as_they_are_spelt(facts: CatalogueFacts) -> None:
    assert facts.of_brand("Zeta").tolist() == [False, True, False, False]
    assert not facts.of_brand("zeta").any()
    assert facts.in_currency("CNY").tolist() == [False, False, True, False]


def test_what_comes_later_is_not_to_be_had_yet() -> None:
    moment = datetime(2020, 1, 2, 3, 4, 5, 6, UTC)
    us = round(moment.timestamp()) * 1_000_000 + 6
    for told in (moment, moment.astimezone(timezone(timedelta(hours=8))), us):
        facts = catalogue_facts(SHOP, [row("phone", "tech", available_from=told), row("case", "tech"), row("banana", "food", available=False)])
        assert facts.to_be_had(us - 1).tolist() == [False, True, False, False]
        assert facts.to_be_had(us).tolist() == [True, True, False, False]


def test_rows_of_a_table_give_the_same_facts_in_any_order(facts: CatalogueFacts) -> None:
    table = CATALOGUE.check(pa.Table.from_pylist([told | {"attributes": "{}"} for told in ROWS]))
    again = catalogue_facts(SHOP, reversed(table.to_pylist()))
    for name, value in vars(facts).items():
        assert np.array_equal(value, getattr(again, name)), name


def test_the_later_of_two_rows_counts() -> None:
    assert catalogue_facts(SHOP, [row("phone", "tech", price_minor=1), row("phone", "tech", price_minor=2)]).price_minor[0] == 2


def test_a_row_without_a_required_column_is_refused() -> None:
    with pytest.raises(KeyError, match="recommendable"):
        catalogue_facts(SHOP, [{"item_id": "phone", "title": "Phone", "category_path": "tech", "available": True}])
