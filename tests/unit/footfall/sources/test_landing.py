"""Landing: candidate, accepted, quarantined, held; twice is once; a kill loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from footfall.contracts import C
from footfall.documents import Verdict
from footfall.errors import ContractError, SourceError
from footfall.manifest import MANIFEST
from footfall.paths import Paths
from footfall.sources import landing, quarantine
from tests.unit.rows import catalogue, day, events

PASSED = Verdict("shop-2017-03", "events", "pass", 2, {"unknown_item": 1}, [])
HELD = Verdict("shop-2017-03", "events", "hold", 2, {}, [])
TABLE = events({}, {"item_id": "gone"})
GOOD, BAD = TABLE.slice(0, 1), TABLE.slice(1).append_column(C.REASON, pa.array(["unknown_item"]))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An empty root."""
    return Paths(tmp_path)


def land(paths: Paths, table: pa.Table = TABLE) -> landing.Batch:
    """Land the batch of March."""
    return landing.land(paths, "events", "shop-2017-03", table)


def land_and_pass(paths: Paths) -> Path:
    """Land it, quarantine its bad row, accept the rest."""
    batch = land(paths)
    quarantine.set_aside(paths, batch, BAD, PASSED)
    return landing.accept(paths, batch, GOOD, PASSED)


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_landed_batch_waits_as_a_candidate_in_its_contract_s_order(paths: Paths) -> None:
    batch = land(paths, TABLE.take(pa.array([1, 0])))

    assert (batch.origin, batch.landed) == ("shop", False)
    assert landing.read_candidate(batch).equals(TABLE)
    assert landing.list_batches(paths, "events") == []


def test_an_accepted_batch_lies_in_raw_with_its_receipt_and_the_candidate_is_gone(paths: Paths) -> None:
    folder = land_and_pass(paths)

    assert landing.list_batches(paths, "events") == [folder]
    assert landing.read_receipt(folder) == PASSED
    assert sorted(files(paths.raw)) == [f"events/shop-2017-03/{name}" for name in ("manifest.json", "receipt.json", "rows.parquet")]
    assert files(paths.landing) == {}


def test_bad_rows_lie_in_quarantine_with_their_reason(paths: Paths) -> None:
    land_and_pass(paths)

    assert quarantine.summary(paths) == {"unknown_item": 1}
    (listed,) = quarantine.list_all(paths)
    assert (listed.contract, listed.batch_id, listed.reasons) == ("events", "shop-2017-03", {"unknown_item": 1})
    assert quarantine.read(paths, "shop-2017-03").equals(BAD)


def test_landing_the_same_rows_again_changes_nothing(paths: Paths) -> None:
    folder = land_and_pass(paths)
    before = files(paths.root)

    again = land(paths, TABLE.take(pa.array([1, 0])))

    assert again.landed
    assert again.path == folder
    assert files(paths.root) == before


def test_identifiers_in_what_people_write_are_masked_before_the_first_write_and_twice_is_still_once(paths: Paths) -> None:
    words = {"query": "tea, to anna@example.com", "text": "我叫张伟，电话13800138000", "place": "desk 10.1.2.3", "device": "till 7"}
    table = events(words, {"query": "tea"})

    batch = land(paths, table)
    assert batch.masked == {"e-mail": 1, "ip": 1, "name": 1, "phone": 1}
    (masked, clean) = landing.read_candidate(batch).to_pylist()
    assert {name: masked[name] for name in words} == {
        "query": "tea, to [e-mail]",
        "text": "我叫[name]，电话[phone]",
        "place": "[ip]",
        "device": "till 7",
    }
    assert clean["query"] == "tea"

    landing.accept(paths, batch, landing.read_candidate(batch), Verdict("shop-2017-03", "events", "pass", 2, {}, []))
    assert land(paths, table).landed


def test_a_batch_that_was_accepted_before_masking_existed_is_still_known(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    table = events({"query": "anna@example.com"})
    with monkeypatch.context() as patch:
        patch.setattr(landing, "mask_table", lambda table, **_: (table, {}))
        batch = land(paths, table)
        landing.accept(paths, batch, table, Verdict("shop-2017-03", "events", "pass", 1, {}, []))
    assert land(paths, table).landed


def test_attributes_of_users_are_masked_and_the_catalogue_is_not(paths: Paths) -> None:
    who = {C.USER_ID: ["u1"], C.ATTRIBUTES: ['{"age": "35", "email": "a@b.co"}'], C.CONSENT: ["{}"], C.FIRST_SEEN_AT: [day(0)]}
    batch = landing.land(paths, "users", "shop-2017-03", pa.table(who))
    assert landing.read_candidate(batch).column(C.ATTRIBUTES).to_pylist() == ['{"age": "35"}']

    item = catalogue("a@b.co")
    assert landing.read_candidate(landing.land(paths, "catalogue", "shop-2017-03", item)).equals(item)


def test_landing_other_rows_under_an_accepted_id_is_an_error_and_changes_nothing(paths: Paths) -> None:
    land_and_pass(paths)
    before = files(paths.root)

    with pytest.raises(SourceError, match="accepted before with other rows"):
        land(paths, events({}))

    assert files(paths.root) == before


def test_a_held_batch_is_kept_whole_and_may_be_landed_again_when_it_is_mended(paths: Paths) -> None:
    landing.hold(paths, land(paths), HELD)

    assert landing.list_held(paths) == [HELD]
    assert landing.list_batches(paths, "events") == []

    land_and_pass(paths)

    assert landing.list_held(paths) == []
    assert len(landing.list_batches(paths, "events")) == 1


def test_holding_twice_keeps_the_last_receipt(paths: Paths) -> None:
    landing.hold(paths, land(paths), HELD)
    landing.hold(paths, land(paths, GOOD), HELD)

    assert len(landing.list_held(paths)) == 1


def test_a_kill_between_quarantine_and_raw_is_mended_by_doing_it_again(paths: Paths, tmp_path: Path) -> None:
    quarantine.set_aside(paths, land(paths), BAD, PASSED)
    half = paths.landing / "events" / ".shop-2017-03.made"
    half.mkdir()
    (half / "rows.parquet").write_bytes(b"half")

    land_and_pass(paths)

    clean = Paths(tmp_path / "clean")
    land_and_pass(clean)
    assert files(paths.root / "data") == files(clean.root / "data")


def test_a_mended_batch_without_bad_rows_leaves_no_old_ones_in_quarantine(paths: Paths) -> None:
    quarantine.set_aside(paths, land(paths), BAD, PASSED)
    quarantine.set_aside(paths, land(paths), BAD.slice(1), Verdict("shop-2017-03", "events", "pass", 1, {}, []))

    assert quarantine.summary(paths) == {}


def test_a_verdict_that_counts_other_rows_is_refused(paths: Paths) -> None:
    with pytest.raises(SourceError, match="disagree"):
        quarantine.set_aside(paths, land(paths), BAD.slice(1), PASSED)


@pytest.mark.parametrize("batch_id", ["../shop", "shop/2017", "/etc/passwd", "", "a..b", ".hidden", "SHOP", "x" * 101, "a\0b"])
def test_a_batch_id_cannot_leave_its_folder(paths: Paths, batch_id: str) -> None:
    with pytest.raises(SourceError, match="safe file name"):
        landing.land(paths, "events", batch_id, TABLE)
    with pytest.raises(SourceError, match="safe file name"):
        quarantine.read(paths, batch_id)


def test_a_table_of_another_shape_is_refused_before_anything_is_written(paths: Paths) -> None:
    with pytest.raises(ContractError, match="user_id"):
        land(paths, TABLE.drop([C.USER_ID]))

    assert files(paths.root) == {}


def test_unknown_contracts_and_batches_are_named(paths: Paths) -> None:
    with pytest.raises(SourceError, match="unknown contract"):
        landing.land(paths, "weather", "shop-1", TABLE)
    with pytest.raises(SourceError, match="no rows of this batch"):
        quarantine.read(paths, "shop-2017-09")
    with pytest.raises(SourceError, match="no receipt"):
        landing.read_receipt(paths.raw / "events" / "shop-2017-09")


def test_known_items_are_those_of_all_accepted_catalogues(paths: Paths) -> None:
    for batch_id, items in (("shop-2017-03-01", ("pear",)), ("shop-2017-04-01", ("apple", "pear"))):
        batch = landing.land(paths, "catalogue", batch_id, catalogue(*items))
        landing.accept(paths, batch, catalogue(*items), Verdict(batch_id, "catalogue", "pass", 1, {}, []))

    assert landing.known_items(paths) == ["apple", "pear"]


def test_the_content_digest_sees_every_value_and_no_chunk_border() -> None:
    digest = landing.content_digest(TABLE)

    assert landing.content_digest(pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])) == digest
    others = [events({}, {"item_id": None}), events({}, {"item_id": "gon"}), events({}, {"item_id": "gone", "quantity": 2}), events({})]
    others += [events({}, {"item_id": "gone", "quantity": None}), events({}, {"item_id": "gone", "query": ""})]
    assert len({landing.content_digest(table) for table in others} | {digest}) == len(others) + 1


def test_what_is_left_after_a_replay_replaces_the_rows_and_nothing_left_ends_it(paths: Paths) -> None:
    two = pa.concat_tables([BAD, events({"event_id": "e9"}).append_column(C.REASON, pa.array(["unknown_item"]))])
    quarantine.set_aside(paths, land(paths), two, Verdict("shop-2017-03", "events", "pass", 3, {"unknown_item": 2}, []))
    quarantine.keep_only(paths, "shop-2017-03", BAD)
    assert quarantine.read(paths, "shop-2017-03").equals(BAD)
    quarantine.keep_only(paths, "shop-2017-03", BAD.slice(0, 0))
    assert quarantine.list_all(paths) == []


def test_dropped_rows_leave_a_note(paths: Paths) -> None:
    quarantine.set_aside(paths, land(paths), BAD, PASSED)
    assert quarantine.drop(paths, "shop-2017-03", datetime(2021, 1, 1, tzinfo=UTC)) == {"unknown_item": 1}
    assert quarantine.summary(paths) == {}
    (note,) = (paths.quarantine / "dropped.jsonl").read_text().splitlines()
    assert json.loads(note) == {"at": "2021-01-01T00:00:00+00:00", "contract": "events", "batch_id": "shop-2017-03", "reasons": {"unknown_item": 1}}
    with pytest.raises(SourceError, match="no rows of this batch"):
        quarantine.drop(paths, "shop-2017-03", datetime(2021, 1, 1, tzinfo=UTC))


def test_a_damaged_batch_is_caught_before_anything_of_it_is_read(paths: Paths) -> None:
    folder = land_and_pass(paths)
    receipt = folder / landing.RECEIPT
    receipt.chmod(0o444)
    content = bytearray(receipt.read_bytes())
    content[len(content) // 2] ^= 1
    receipt.chmod(0o644)
    receipt.write_bytes(content)
    receipt.chmod(0o444)

    with pytest.raises(SourceError, match="damaged") as caught:
        landing.read_receipt(folder)

    assert caught.value.where == str(receipt)
    with pytest.raises(SourceError, match="damaged"):
        landing.check_batch(folder)


def test_a_batch_from_before_manifests_is_read_and_gets_one_once_it_was_found_whole(paths: Paths) -> None:
    folder = land_and_pass(paths)
    manifest = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).unlink()

    landing.check_batch(folder)
    assert landing.complete(paths) == [folder]
    assert (folder / MANIFEST).read_bytes() == manifest
    assert landing.complete(paths) == []

    (folder / MANIFEST).unlink()
    rows = folder / landing.ROWS
    content = bytearray(rows.read_bytes())
    content[60] ^= 0xFF
    rows.write_bytes(content)
    assert landing.complete(paths) == []
    assert not (folder / MANIFEST).exists()


def test_a_file_under_another_name_is_no_batch_from_before_manifests(paths: Paths) -> None:
    folder = land_and_pass(paths)
    (folder / MANIFEST).rename(folder / "manifesu.json")  # one bit of its name in DVC's list of the folder

    with pytest.raises(SourceError, match="no manifest"):
        landing.check_batch(folder)
