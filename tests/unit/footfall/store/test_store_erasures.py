from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from footfall.contracts import EVENTS, EXPOSURES, RELATIONS, USERS, C
from footfall.errors import StoreError
from footfall.store import Engine, consent, erasures, events, exposures, open_store, revisions, shop_relations, shop_users, user_rows
from footfall.store.engine import writing
from footfall.store.moments import to_us
from footfall.store.revisions import take_turn
from footfall.store.rows import to_rows
from footfall.store.tables import metadata, users
from footfall.store.together import write_together
from tests.unit.footfall.store.store_rows import MINUTE, NOON, event, events_table, slate

ERASED_AT = NOON + 60 * MINUTE
OTHER = {"user_id": "u2"}
OF_U1 = {"events": 3, "exposures": 2, "consents": 1, "withdrawals": 1, "users": 1, "relations": 4}


def fill(engine: Engine) -> None:
    """Two users with events, slates and consent; u1 has a withdrawn event too."""
    events.append(engine, events_table(event("a"), event("b", 1, origin="http"), event("bad", 2), event("c", 3, **OTHER)))
    events.withdraw(engine, ["bad"], "unknown_item")
    exposures.append(engine, slate("r1", "i1", "i2"))
    exposures.append(engine, slate("r2", "i1").set_column(7, C.USER_ID, pa.array(["u2"])))
    rows = [{C.USER_ID: user, C.ATTRIBUTES: "{}", C.CONSENT: '{"personalise": false}', C.FIRST_SEEN_AT: NOON} for user in ("u1", "u2")]
    consent.record(engine, pa.Table.from_pylist(rows, USERS.schema))
    shop_users.put(engine, [shop_users.Told("u1", {"tier": "gold"}), shop_users.Told("u2")], NOON)
    related = [("u1", "u2", "household"), ("u2", "u1", "friend"), ("u2", "u3", "friend")]
    told = [dict(zip(RELATIONS.schema.names, (*row, NOON), strict=True)) for row in related]
    shop_relations.put(engine, pa.Table.from_pylist(told, RELATIONS.schema), NOON)


def everything(engine: Engine) -> str:
    """All that the database has, as text."""
    with engine.connect() as connection:
        return "\n".join(str(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(sa.select(table)))


def test_an_erased_user_is_gone_from_every_table_and_nobody_else_is(engine: Engine) -> None:
    fill(engine)
    record, rows = erasures.begin(engine, "u1", ERASED_AT)

    assert rows == OF_U1
    assert "'u1'" not in everything(engine)
    assert events.history(engine, "u1", to_us(ERASED_AT), 10).item_ids == []
    assert events.history(engine, "u2", to_us(ERASED_AT), 10).item_ids == ["item-c"]
    assert consent.refusals(engine, "personalise") == {"u2"}
    assert exposures.count_slates(engine) == 1
    assert shop_users.count(engine) == 1
    assert shop_relations.of(engine, "u2").column(C.OTHER_USER_ID).to_pylist() == ["u3"]
    assert erasures.unfinished(engine) == [record]
    assert erasures.subjects(engine) == {erasures.subject_of("u1"): to_us(ERASED_AT)}


def test_what_they_did_before_does_not_come_back_and_what_they_do_after_is_kept(engine: Engine) -> None:
    fill(engine)
    erasures.begin(engine, "u1", ERASED_AT)
    late = event("late", 60, received_at=NOON + 90 * MINUTE)
    ahead = event("ahead", 90, received_at=NOON + 59 * MINUTE)
    again = events.append(engine, events_table(event("a"), late, ahead, event("new", 61), event("d", **OTHER)))

    assert (again.accepted, again.erased, again.duplicates) == (2, 3, [])
    assert events.history(engine, "u1", to_us(NOON + timedelta(days=1)), 10).item_ids == ["item-new"]


def test_what_the_shop_said_before_does_not_come_back_and_what_it_says_after_is_kept(engine: Engine) -> None:
    erasures.begin(engine, "u1", ERASED_AT)
    related = pa.Table.from_pylist([{C.USER_ID: "u2", C.OTHER_USER_ID: "u1", C.KIND: "friend", C.SINCE: NOON}], RELATIONS.schema)
    for late in (0, 60):
        assert shop_users.put(engine, [shop_users.Told("u1", {"tier": "gold"})], NOON + late * MINUTE) == 0
        assert shop_relations.put(engine, related, NOON + late * MINUTE) == 0

    assert shop_users.put(engine, [shop_users.Told("u1", {"tier": "new"})], NOON + 61 * MINUTE) == 1
    assert shop_relations.put(engine, related, NOON + 61 * MINUTE) == 2

    assert user_rows.sweep(engine, "u1", ERASED_AT) == {}
    assert shop_users.attributes(engine, "u1") == {"tier": "new"}


@pytest.mark.parametrize("subject", ["users", "relations"])
def test_an_erasure_takes_its_turn_behind_who_is_telling_of_users(server_url: str, subject: str) -> None:
    engine = open_store(server_url)
    fill(engine)
    telling = threading.Event()
    with writing(engine) as connection:
        take_turn(connection, subject)
        erasing = threading.Thread(target=lambda: (erasures.begin(engine, "u1", ERASED_AT), telling.set()))
        erasing.start()
        assert not telling.wait(0.3)  # no row of its own is locked meanwhile: nobody waits in a circle
        connection.execute(sa.update(users).where(users.c.user_id == "u1").values(attributes="{}"))
    erasing.join()
    assert shop_users.count(engine) == 1
    engine.dispose()


def test_an_erasure_gives_what_it_took_from_another_number(engine: Engine) -> None:
    fill(engine)
    before = {subject: revisions.current(engine, subject) for subject in ("users", "relations")}
    erasures.begin(engine, "u1", ERASED_AT)
    after = {subject: revisions.current(engine, subject) for subject in before}
    assert all(after[subject] != before[subject] for subject in before)
    erasures.begin(engine, "u1", ERASED_AT)
    assert {subject: revisions.current(engine, subject) for subject in before} == after


def test_somebody_of_whom_the_shop_only_told_is_found_by_the_digest(engine: Engine) -> None:
    shop_users.put(engine, [shop_users.Told("u7", {"tier": "gold"})], NOON)
    assert erasures.left(engine, erasures.subject_of("u7"), ERASED_AT)["users"] == 1

    erasures.remember(engine, [erasures.Erasure("one", erasures.subject_of("u7"), ERASED_AT)])

    assert erasures.apply_erasures(engine)["users"] == 1
    assert shop_users.count(engine) == 0


def test_a_slate_and_events_on_their_way_during_the_erasure_are_dropped(engine: Engine) -> None:
    erasures.begin(engine, "u1", ERASED_AT)
    names, shown = EVENTS.schema.names, EXPOSURES.schema.names
    rows = [to_rows(events_table(row), names) for row in (event("a"), event("c", **OTHER))]
    slates = [row for minutes in (60, 61) for row in to_rows(slate(f"r{minutes}", "i1", minutes=minutes), shown)]
    done = write_together(engine, rows, slates)

    assert [(one.accepted, one.erased) for one in done] == [(0, 1), (1, 0)]
    assert exposures.window(engine, NOON, NOON + timedelta(days=1)).column(C.REQUEST_ID).to_pylist() == ["r61"]


def test_an_erasure_that_is_asked_for_again_goes_on_until_it_is_finished(engine: Engine) -> None:
    first, _ = erasures.begin(engine, "u1", NOON)
    second, _ = erasures.begin(engine, "u1", ERASED_AT)
    assert (second.erasure_id, second.requested_at) == (first.erasure_id, ERASED_AT)

    erasures.finish(engine, first.erasure_id, "{}", ERASED_AT)
    assert erasures.unfinished(engine) == []
    third, _ = erasures.begin(engine, "u1", ERASED_AT + MINUTE)
    assert third.erasure_id != first.erasure_id
    assert [one.finished_at for one in erasures.list_all(engine)] == [ERASED_AT, None]
    with pytest.raises(StoreError, match="erasure is unknown"):
        erasures.finish(engine, "another", "{}", None)


def test_erasures_are_applied_again_to_a_restored_store(engine: Engine) -> None:
    fill(engine)
    record = erasures.Erasure("one", erasures.subject_of("u1"), ERASED_AT)
    events.append(engine, events_table(event("new", 61)))  # and the user had come back, before the backup was made
    assert erasures.remember(engine, [record]) == 1
    assert erasures.remember(engine, [record]) == 0

    assert erasures.left(engine, record.subject, ERASED_AT) == OF_U1
    gone = erasures.apply_erasures(engine)
    assert {name: gone[name] for name in ("events", "exposures", "withdrawals")} == {"events": 3, "exposures": 2, "withdrawals": 1}
    assert not any(erasures.left(engine, record.subject, ERASED_AT).values())
    assert erasures.apply_erasures(engine) == {}
    assert events.history(engine, "u1", to_us(NOON + timedelta(days=1)), 10).item_ids == ["item-new"]
    assert events.count(engine) == 2


def test_rows_written_while_the_erasure_committed_are_swept(engine: Engine) -> None:
    record, _ = erasures.begin(engine, "u1", ERASED_AT)
    with engine.begin() as connection:  # another transaction, which had asked about erasures just before
        names = EVENTS.schema.names
        events.append_rows(connection, names, to_rows(events_table(event("a"), event("c", **OTHER)), names), {})
    assert user_rows.sweep(engine, "u1", record.requested_at)["events"] == 1
    assert user_rows.sweep(engine, "u1", record.requested_at) == {}
    assert events.count(engine) == 1


def test_nothing_of_the_user_can_be_read_from_the_sqlite_files(sqlite: Engine, tmp_path: Path) -> None:
    events.append(sqlite, events_table(*(event(f"e{n}", n, user_id="usecret") for n in range(50)), event("c", **OTHER)))
    files = lambda: b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))  # noqa: E731
    assert b"usecret" in files()
    erasures.begin(sqlite, "usecret", ERASED_AT)
    assert b"usecret" not in files()
    assert b"u2" in files()
