"""Held batches: let in by a person, rejected, or mended and judged again; each exactly once, also after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows import ingest as ingest_module
from flows.admit import admit
from flows.ingest import ingest
from flows.reject import reject
from flows.replay import replay
from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.errors import HoldError, SourceError
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym
from footfall.sources import landing, quarantine
from tests.flow.two_items import stored

UNTIL = datetime(2017, 11, 1, tzinfo=UTC)
USER = pseudonym("1", b"key")
BATCH = "one_item-2017-10"


def _event(number: int, **other: Any) -> dict[str, Any]:
    at = datetime(2017, 10, 1 + number % 30, tzinfo=UTC)
    row = {C.EVENT_ID: f"e{number:03d}", C.USER_ID: USER, C.ITEM_ID: "i1", C.EVENT_TYPE: "purchase", C.OCCURRED_AT: at, C.RECEIVED_AT: at}
    return row | {C.QUANTITY: 1, C.PRICE_MINOR: 100, C.CURRENCY: "EUR", C.ORIGIN: "one_item"} | other


class OneItem:
    """A source whose October lacks the quantity of every second row."""

    name = "one_item"

    def __init__(self) -> None:
        self.rows = [_event(number, **({} if number % 2 else {C.QUANTITY: None})) for number in range(40)] + [_event(40, item_id="gone")]

    def catalogue(self) -> pa.Table:
        row = {C.ITEM_ID: "i1", C.TITLE: "one", C.CATEGORY_PATH: "a", C.ATTRIBUTES: "{}", C.AVAILABLE: True, C.RECOMMENDABLE: True}
        return pa.Table.from_pylist([row], CATALOGUE.schema)

    def users(self, until: datetime) -> pa.Table:
        row = {C.USER_ID: USER, C.ATTRIBUTES: "{}", C.CONSENT: "{}", C.FIRST_SEEN_AT: datetime(2017, 9, 1, tzinfo=UTC)}
        return pa.Table.from_pylist([row], USERS.schema)

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        yield BATCH, pa.Table.from_pylist(self.rows, EVENTS.schema)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, root: Path) -> OneItem:
    """A root in which October is held."""
    source = OneItem()
    monkeypatch.setattr(ingest_module, "open_source", lambda _name, _key: source)
    (held,) = ingest(source="one_item", until=UNTIL)["held"]
    assert held["batch_id"] == BATCH
    return source


def test_a_held_batch_has_samples_a_page_and_the_commands_that_settle_it(root: Path, shop: OneItem) -> None:
    (receipt,) = landing.list_held(Paths(root))
    broken = next(check for check in receipt.checks if check["expected"].startswith("most purchases have a quantity"))
    assert broken["samples"][0] == {"row": 0, "event_id": "e000", "item_id": "i1", "event_type": "purchase", "quantity": None}
    assert len(broken["samples"]) == 5
    for command in (f"quarantine release {BATCH} --note WHY", f"quarantine drop {BATCH}", f"quarantine replay {BATCH} --mend FILE"):
        assert command in str(receipt.next_step)
    page = (Paths(root).data_reports / "events" / f"{BATCH}.html").read_text(encoding="utf-8")
    assert "most purchases have a quantity" in page
    assert USER not in page + receipt.to_json()


def test_a_released_batch_is_accepted_once_and_its_receipt_says_by_whom(root: Path, shop: OneItem, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(root)
    with monkeypatch.context() as patch:
        patch.setattr(landing, "accept", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            admit(BATCH, by="ann", note="a promotion without quantities")  # killed between store and data/raw
    assert admit(BATCH, by="bob", note="again")["outcome"] == "pass"
    receipt = landing.read_receipt(paths.raw / "events" / BATCH)
    assert receipt.released is not None
    assert (receipt.released["by"], receipt.released["note"]) == ("ann", "a promotion without quantities")
    assert (receipt.rows, receipt.quarantined, stored(root)) == (41, {"unknown_item": 1}, 40)
    assert quarantine.summary(paths) == {"unknown_item": 1}
    assert landing.list_held(paths) == []
    assert len((paths.quarantine / "released.jsonl").read_text().splitlines()) == 1
    assert ingest(source="one_item", until=UNTIL)["held"] == []
    assert stored(root) == 40
    with pytest.raises(SourceError, match="no batch of this name is held"):
        admit(BATCH, by="ann", note="once more")


def test_a_rule_that_keeps_ids_unique_is_waived_by_nobody(root: Path, shop: OneItem) -> None:
    shop.rows.append(dict(shop.rows[0]))
    ingest(source="one_item", until=UNTIL)
    with pytest.raises(HoldError, match="nobody can waive"):
        admit(BATCH, by="ann", note="never mind")
    assert landing.list_batches(Paths(root), "events") == []
    assert [receipt.subject for receipt in landing.list_held(Paths(root))] == [BATCH]
    assert stored(root) == 0


def test_a_rejected_batch_stays_away_when_it_comes_again_and_a_mended_one_is_judged(root: Path, shop: OneItem) -> None:
    note = reject(BATCH, by="ann", note="broken export")
    assert (note["rows"], note["by"]) == (41, "ann")
    again = ingest(source="one_item", until=UNTIL)
    assert (again["held"], again["rows"], landing.list_held(Paths(root))) == ([], {}, [])
    assert json.loads((Paths(root).quarantine / "dropped.jsonl").read_text())["batch_id"] == BATCH
    shop.rows[:] = [row | {C.QUANTITY: 1} for row in shop.rows]
    assert landing.list_batches(Paths(root), "events") == []
    Paths(root).watermarks.unlink()
    assert ingest(source="one_item", until=UNTIL)["rows"]["events"] == 40


def test_a_mended_batch_is_accepted_under_its_own_name_and_a_poor_mend_leaves_it_held(root: Path, shop: OneItem, tmp_path: Path) -> None:
    mend = tmp_path / "mend.yaml"
    mend.write_text("columns: {price_minor: {scale: 2}}")
    with pytest.raises(HoldError, match="holds the batch still"):
        replay(BATCH, mend=str(mend))
    assert [receipt.subject for receipt in landing.list_held(Paths(root))] == [BATCH]
    mend.write_text("columns: {quantity: {fill: 1}}")
    assert replay(BATCH, mend=str(mend)) == {"batch_id": BATCH, "accepted": 40, "left": {"unknown_item": 1}}
    assert landing.list_held(Paths(root)) == []
    assert stored(root) == 40


def test_rows_mended_twice_by_different_mends_are_accepted_once(root: Path, shop: OneItem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    admit(BATCH, by="ann", note="a promotion without quantities")
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("only: {reason: unknown_item}\ncolumns: {item_id: {replace: {gone: i1}}}")
    second.write_text("columns: {item_id: {replace: {gone: i1}}, price_minor: {scale: 2}}")
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "keep_only", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            replay(BATCH, mend=str(first))
    assert replay(BATCH, mend=str(second)) == {"batch_id": BATCH, "accepted": 1, "left": {}}
    assert stored(root) == 41
    assert quarantine.summary(Paths(root)) == {}
    assert len([folder for folder in landing.list_batches(Paths(root), "events") if "replay" in folder.name]) == 1
