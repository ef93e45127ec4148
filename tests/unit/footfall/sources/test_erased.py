"""Which rows of an erased user are old, and what of a source is left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENTS, EXPOSURES, RELATIONS, USERS, C
from footfall.sources.erased import Erased, WithoutErased
from footfall.store.erasures import Erasure, subject_of

UNTIL = datetime(2020, 1, 1, tzinfo=UTC)
ERASED = Erased([Erasure("e0", subject_of("u1"), UNTIL - timedelta(days=400)), Erasure("e1", subject_of("u1"), UNTIL)])
HOUR = timedelta(hours=1)


def events(*rows: tuple[str, datetime, datetime]) -> pa.Table:
    plain = {C.ITEM_ID: "i", C.EVENT_TYPE: "view", C.ORIGIN: "shop"}
    named = [plain | {C.EVENT_ID: str(n), C.USER_ID: user, C.OCCURRED_AT: at, C.RECEIVED_AT: received} for n, (user, at, received) in enumerate(rows)]
    return pa.Table.from_pylist(named, EVENTS.schema)


def kept(table: pa.Table) -> list[str]:
    return list(ERASED.split(table)[0].column(C.EVENT_ID).to_pylist())


def test_what_occurred_or_was_received_until_the_latest_erasure_is_old_and_so_is_the_future() -> None:
    after, tomorrow = UNTIL + HOUR, datetime.now(UTC) + timedelta(days=2)
    table = events(
        ("u1", UNTIL, UNTIL), ("u1", after, UNTIL), ("u1", UNTIL, after), ("u1", tomorrow, tomorrow), ("u1", after, after), ("u2", UNTIL, UNTIL)
    )
    assert kept(table) == ["4", "5"]
    assert ERASED.split(table)[1] == {subject_of("u1"): 4}
    assert ERASED.name(subject_of("u1")) == "e1"


def test_a_relation_is_gone_with_either_of_its_users() -> None:
    rows = [{C.USER_ID: a, C.OTHER_USER_ID: b, C.KIND: "k", C.SINCE: UNTIL} for a, b in (("u1", "u2"), ("u2", "u1"), ("u2", "u3"))]
    left, gone = ERASED.split(pa.Table.from_pylist(rows, RELATIONS.schema))
    assert left.num_rows == 1
    assert gone.total() == 2


def test_slates_of_nobody_stay() -> None:
    plain = {
        C.POSITION: 1,
        C.ITEM_ID: "i",
        C.SCORE: 1.0,
        C.PROPENSITY: 1.0,
        C.POLICY: "p",
        C.REASON: "r",
        C.RELEASE: "r",
        C.ARM: "a",
        C.SHOWN_AT: UNTIL,
    }
    rows = [plain | {C.REQUEST_ID: f"q{n}", C.USER_ID: user} for n, user in enumerate(["u1", None, "u2"])]
    left, gone = ERASED.split(pa.Table.from_pylist(rows, EXPOSURES.schema))
    assert left.column(C.REQUEST_ID).to_pylist() == ["q1", "q2"]
    assert gone.total() == 1


@given(st.lists(st.tuples(st.sampled_from(["u1", "u2"]), st.integers(-3, 3), st.integers(-3, 3))))
def test_splitting_keeps_order_loses_nobody_else_and_is_done_once(rows: list[tuple[str, int, int]]) -> None:
    table = events(*((user, UNTIL + a * HOUR, UNTIL + b * HOUR) for user, a, b in rows))
    left, gone = ERASED.split(table)
    assert left.column(C.EVENT_ID).to_pylist() == [str(n) for n, (user, a, b) in enumerate(rows) if user == "u2" or (a > 0 and b > 0)]
    assert left.num_rows + gone.total() == table.num_rows
    assert ERASED.split(left)[1].total() == 0


class Shop:
    name = "shop"

    def catalogue(self) -> pa.Table:
        return pa.table({C.ITEM_ID: ["i"]})

    def users(self, until: datetime) -> pa.Table:
        rows = [{C.USER_ID: user, C.ATTRIBUTES: "{}", C.CONSENT: "{}", C.FIRST_SEEN_AT: UNTIL - HOUR} for user in ("u1", "u2")]
        return pa.Table.from_pylist(rows, USERS.schema)

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        yield "shop-1", events(("u1", UNTIL, UNTIL), ("u2", UNTIL, UNTIL))
        yield "shop-2", events(("u1", UNTIL, UNTIL))
        yield "shop-3", events()


def test_a_source_is_read_without_the_erased_and_says_how_many_rows_that_were() -> None:
    shop = WithoutErased(Shop(), ERASED, lambda _: {})
    batches = [(batch_id, table.num_rows) for batch_id, table in shop.events(None, UNTIL)]
    assert batches == [("shop-1", 1), ("shop-3", 0)]  # a batch of erased rows alone is none, an empty one is the source's own word
    assert shop.users(UNTIL + HOUR).column(C.USER_ID).to_pylist() == ["u2"]
    assert (shop.name, shop.left_out, shop.catalogue().num_rows) == ("shop", 3, 1)


def test_somebody_who_came_back_is_a_user_again_from_their_first_new_event() -> None:
    back = UNTIL + HOUR
    shop = WithoutErased(Shop(), ERASED, lambda users: dict.fromkeys(users, round(back.timestamp() * 1_000_000)))
    rows = {row[C.USER_ID]: row[C.FIRST_SEEN_AT] for row in shop.users(UNTIL + 2 * HOUR).to_pylist()}
    assert rows == {"u1": back, "u2": UNTIL - HOUR}
    assert shop.users(back).column(C.USER_ID).to_pylist() == ["u2"]  # by then they had not come back
