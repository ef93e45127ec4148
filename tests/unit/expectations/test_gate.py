"""The gate: rows to quarantine with a reason, batches held with a receipt, and a failing check that is not taken for bad data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations import gate
from expectations.gate import Judgement, judge
from expectations.rules import FOLDER, read_suite
from footfall.contracts import C
from footfall.documents import Verdict
from footfall.errors import ContractError
from tests.unit.rows import DAY_ONE, catalogue, day, events, user, users

KNOWN = ["apple", "pear", "petrol"]


def judge_events(table: pa.Table) -> Judgement:
    """Judge events up to day 900 against the known items."""
    return judge("events", table, subject="shop-2017-03", known_items=KNOWN, until=day(900))


def many(count: int, **columns: Any) -> pa.Table:
    """`count` good purchases; a column may be given as a function of the row number."""
    rows = [{name: value(number) if callable(value) else value for name, value in columns.items()} for number in range(count)]
    return events(*rows)


def broken(judgement: Judgement) -> list[str]:
    """Rules of the batch that do not hold."""
    return [str(check["expected"]) for check in judgement.verdict.checks if check["severity"] == "batch" and not check["ok"]]


def test_a_good_batch_passes_whole() -> None:
    table = events({}, {"item_id": "pear"}, {"event_type": "search", "item_id": None, "quantity": None, "price_minor": None, "query": "梨"})

    judged = judge_events(table)

    assert judged.verdict.outcome == "pass"
    assert judged.good.equals(table)
    assert judged.bad.num_rows == 0
    assert judged.verdict.next_step is None


def test_bad_rows_go_to_quarantine_each_with_its_reason_and_the_good_rows_stay() -> None:
    table = events(
        {},
        {"quantity": 0},
        {"item_id": "gone"},
        {"quantity": -2, "item_id": "gone"},
        {"item_id": None},
        {"price_minor": -1},
        {"item_id": "pear"},
    )

    judged = judge_events(table)

    assert judged.verdict.outcome == "pass"
    assert judged.bad.select([C.EVENT_ID, C.REASON]).to_pylist() == [
        {"event_id": "e001", "reason": "quantity_not_positive"},
        {"event_id": "e002", "reason": "unknown_item"},
        {"event_id": "e003", "reason": "unknown_item"},
        {"event_id": "e004", "reason": "item_missing"},
        {"event_id": "e005", "reason": "price_negative"},
    ]
    assert judged.good.column(C.EVENT_ID).to_pylist() == ["e000", "e006"]
    assert judged.verdict.quarantined == {"item_missing": 1, "price_negative": 1, "quantity_not_positive": 1, "unknown_item": 2}
    assert str(judged.verdict.next_step).startswith("footfall quarantine show shop-2017-03, then: footfall quarantine replay")


def test_a_huge_quantity_is_a_unit_and_not_a_fault() -> None:
    judged = judge_events(events({"item_id": "petrol", "quantity": 89_638}))

    assert judged.verdict.quarantined == {}


def test_without_a_product_table_no_item_is_called_unknown() -> None:
    judged = judge("events", events({"item_id": "gone"}), subject="s")

    assert judged.verdict.quarantined == {}
    assert "unknown_item" not in {check["rule"] for check in judged.verdict.checks}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (events, "there are rows"),
        (lambda: events({"event_id": "same"}, {"event_id": "same"}), "event_id is unique"),
        (lambda: events({"event_type": "stare"}), "event_type is a known one"),
        (lambda: events({"occurred_at": day(900)}), "nothing occurred at or after the batch's end"),
        (lambda: events({"occurred_at": day(-17_000)}), "times are in the right unit"),
        (lambda: events({"user_id": "ann@example.org"}), "user_id is a pseudonym, never a raw id"),
        (lambda: events({"quantity": None}, {}), "most purchases have a quantity (at least 80%)"),
        (lambda: events({"price_minor": None}, {}), "most purchases have a price (at least 80%)"),
        (lambda: many(200, quantity=lambda n: 0 if n < 11 else 1), "at most 5% of the rows are bad (asked from 100 rows)"),
        (lambda: many(200, item_id=lambda n: "gone" if n % 2 else "apple"), "at most 5% of the rows are bad (asked from 100 rows)"),
    ],
)
def test_a_batch_that_breaks_a_batch_rule_is_held_and_the_receipt_names_the_rule(fault: Callable[[], pa.Table], rule: str) -> None:
    judged = judge_events(fault())

    assert judged.held
    assert rule in broken(judged)
    assert [check["error"] for check in judged.verdict.checks if check["error"]] == []
    assert "data/quarantine/held/events/shop-2017-03" in str(judged.verdict.next_step)


def test_five_bad_rows_of_a_hundred_are_set_aside_and_do_not_hold_the_batch() -> None:
    judged = judge_events(many(100, quantity=lambda n: 0 if n < 5 else 1))

    assert not judged.held
    assert judged.bad.num_rows == 5


def test_a_column_of_another_type_is_the_contract_s_matter_and_says_so() -> None:
    table = events({}).drop([C.USER_ID])

    with pytest.raises(ContractError, match="user_id"):
        judge_events(table)


def test_an_exception_inside_a_check_holds_the_batch_and_is_not_called_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = json.loads((FOLDER / "events.json").read_text())
    suite["expectations"] = [suite["expectations"][2]]
    suite["expectations"][0]["kwargs"] = {"column": "no_such_column", "min_value": 0}
    (tmp_path / "events.json").write_text(json.dumps(suite))
    monkeypatch.setattr(gate, "read_suite", lambda name: read_suite(name, tmp_path))

    judged = judge_events(events({}))

    (check, _) = judged.verdict.checks
    assert judged.held
    assert "no_such_column" in check["error"]
    assert judged.bad.num_rows == 0
    assert "a check itself failed" in str(judged.verdict.next_step)


def test_a_receipt_says_what_was_expected_and_observed_and_reads_back() -> None:
    verdict = judge_events(events({"quantity": 0}, {})).verdict

    check = next(check for check in verdict.checks if check["rule"] == "quantity_not_positive")
    assert check["observed"] == "1 of 2 rows break it"
    assert check["severity"] == "row"
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_equal_batches_get_equal_receipts() -> None:
    table = many(50, quantity=lambda n: n % 10)

    assert judge_events(table).verdict.to_json() == judge_events(table).verdict.to_json()


def test_good_and_bad_rows_together_are_the_batch() -> None:
    rng = np.random.default_rng(1)
    table = many(300, quantity=lambda n: int(rng.integers(-2, 40)), item_id=lambda n: str(rng.choice([*KNOWN, "gone"], p=[0.5, 0.3, 0.19, 0.01])))

    judged = judge_events(table)

    ids = judged.good.column(C.EVENT_ID).to_pylist() + judged.bad.column(C.EVENT_ID).to_pylist()
    assert sorted(ids) == table.column(C.EVENT_ID).to_pylist()
    assert min(judged.good.column(C.QUANTITY).to_pylist()) > 0
    assert set(judged.good.column(C.ITEM_ID).to_pylist()) <= set(KNOWN)


def test_a_batch_of_searches_alone_passes() -> None:
    judged = judge_events(events({"event_type": "search", "item_id": None, "quantity": None, "price_minor": None, "query": "tea"}))

    assert judged.verdict.outcome == "pass"


def test_the_catalogue_suite_sets_aside_an_empty_title_and_holds_a_repeated_item() -> None:
    table = catalogue("apple", "pear")
    untitled = table.set_column(1, table.schema.field(C.TITLE), pa.array(["", "pear"]))

    assert judge("catalogue", untitled, subject="c").verdict.quarantined == {"title_empty": 1}
    assert judge("catalogue", pa.concat_tables([table, table]), subject="c").held
    assert judge("catalogue", catalogue("apple", unrecommendable=("petrol", "coupon")), subject="c").held


def test_the_users_suite_sets_aside_consent_that_cannot_be_read_and_holds_raw_ids() -> None:
    table = users(user("ann"), user("bob"), user("cy"))
    position = table.schema.get_field_index(C.CONSENT)
    unreadable = table.set_column(position, table.schema.field(C.CONSENT), pa.array(['{"advertise": "maybe"}', "{,", '{"advertise": false}']))

    assert judge("users", unreadable, subject="u").verdict.quarantined == {"consent_unreadable": 2}
    assert judge("users", users("ann@example.org"), subject="u").held
    assert judge("users", table, subject="u", until=DAY_ONE).held
