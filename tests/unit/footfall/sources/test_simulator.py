"""The simulator: the same for the same scenario however a span is cut, sound before the gate, and open about being simulated."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.gate import judge
from expectations.history import Past
from footfall.contracts import CAMPAIGNS, CATALOGUE, EVENT_TYPES, EVENTS, RELATIONS, USERS, C
from footfall.pseudonyms import DEMO_KEY
from footfall.sources import open_source
from footfall.sources.landing import content_digest
from footfall.sources.simulator import Scenario, Simulator, read_scenario
from footfall_cli.load import raw_trips
from tests.unit.bentos.reading import read_events_request
from tests.unit.footfall.sources.simulated import BEGIN, END, between, events, of, shop

TINY = read_scenario("simulator:users=40,items=150,end=2021-03-15")
LAST = datetime(2021, 3, 15, tzinfo=UTC)
NOW_US = round(datetime(2021, 6, 1, tzinfo=UTC).timestamp() * 1_000_000)


def test_tables_meet_their_contracts() -> None:
    simulator = shop()

    EVENTS.check_key(EVENTS.check(events()))
    for contract, table in (
        (CATALOGUE, simulator.catalogue()),
        (USERS, simulator.users(END)),
        (RELATIONS, simulator.relations()),
        (CAMPAIGNS, simulator.campaigns()),
    ):
        contract.check_key(contract.check(table))
        assert contract.sort(table).equals(table)
        assert table.num_rows


def test_batches_are_months_in_the_order_of_the_contract() -> None:
    batches = dict(shop().events(None, END))

    assert list(batches) == [f"simulated-2021-0{month}" for month in (1, 2, 3, 4)]
    assert all(EVENTS.sort(table).equals(table) for table in batches.values())


def test_all_kinds_of_events_happen() -> None:
    assert set(events().column(C.EVENT_TYPE).to_pylist()) == set(EVENT_TYPES)


def test_the_same_scenario_gives_the_same_rows_and_another_seed_others() -> None:
    first, again = (content_digest(between(Simulator(DEMO_KEY, TINY), None, LAST)) for _ in range(2))
    other = content_digest(between(Simulator(DEMO_KEY, Scenario(seed=2, users=40, items=150, end=TINY.end)), None, LAST))

    assert first == again
    assert first != other


@settings(max_examples=8, deadline=None)
@given(cut=st.datetimes(datetime(2021, 1, 1), datetime(2021, 3, 15)))
def test_events_do_not_depend_on_how_a_span_is_cut(cut: datetime) -> None:
    moment, simulator = cut.replace(tzinfo=UTC), Simulator(DEMO_KEY, TINY)
    pieces = [table for begin, end in ((None, moment), (moment, LAST)) for _, table in simulator.events(begin, end)]

    assert EVENTS.sort(pa.concat_tables(pieces)).equals(EVENTS.sort(between(simulator, None, LAST)))


def test_the_gate_lets_everything_pass() -> None:
    simulator, known = shop(), set(shop().catalogue().column(C.ITEM_ID).to_pylist())
    months = dict(simulator.events(None, END))

    judged = [judge(CATALOGUE.name, simulator.catalogue(), subject="catalogue"), judge(USERS.name, simulator.users(END), subject="users", until=END)]
    past: tuple[dict[str, Any], ...] = ()
    for number, (name, table) in enumerate(months.items(), start=1):
        covers = date(2021, number, 1), date(2021, number + 1, 1)
        judged.append(judge(EVENTS.name, table, subject=name, known_items=known, until=END, past=Past(past, covers)))
        past += (judged[-1].verdict.profile,)

    assert [check for judgement in judged for check in judgement.verdict.checks if not check["ok"]] == []
    assert [(judgement.verdict.outcome, judgement.bad.num_rows) for judgement in judged] == [("pass", 0)] * 6


def test_the_gate_finds_the_faults_that_are_switched_on() -> None:
    spoilt = shop(None, "users=250,items=400,end=2021-02-01,faults=0.2")
    known = set(spoilt.catalogue().column(C.ITEM_ID).to_pylist())
    ((name, table),) = spoilt.events(None, END)

    judgement = judge(EVENTS.name, table, subject=name, known_items=known)

    assert judgement.verdict.outcome == "pass"
    assert set(judgement.verdict.quarantined) == {"quantity_not_positive", "unknown_item"}
    assert 0.1 < judgement.bad.num_rows / of(table, "purchase").num_rows < 0.3


def test_every_output_says_that_it_is_simulated() -> None:
    simulator = shop()
    catalogue, users, campaigns = simulator.catalogue(), simulator.users(END), simulator.campaigns()

    assert set(events().column(C.ORIGIN).to_pylist()) == {"simulated"}
    assert all(name.startswith("simulated-") for name, _ in simulator.events(None, END))
    assert all(json.loads(text)["simulated"] for table in (catalogue, users) for text in table.column(C.ATTRIBUTES).to_pylist())
    assert all(name.startswith("simulated-") for name in campaigns.column(C.CAMPAIGN_ID).to_pylist())
    for table in (catalogue, users, campaigns, simulator.relations(), simulator.truth.users(), next(iter(simulator.events(None, END)))[1]):
        assert table.schema.metadata[b"footfall.simulated"] == simulator.scenario.text().encode()


def test_raw_ids_stay_raw_without_a_key() -> None:
    assert Simulator(None, TINY).users(LAST).column(C.USER_ID)[0].as_py() == "simulated-user-0000000"


def test_every_account_with_an_event_is_among_the_users_of_that_moment() -> None:
    until = datetime(2021, 2, 11, tzinfo=UTC)

    seen = set(between(shop(), None, until).column(C.USER_ID).to_pylist())

    assert seen <= set(shop().users(until).column(C.USER_ID).to_pylist())
    assert shop().users(until).num_rows < shop().users(END).num_rows


def test_relations_are_mutual_and_between_people_who_have_joined() -> None:
    table = shop().relations()
    joined = dict(zip(*(shop().users(END).column(name).to_pylist() for name in (C.USER_ID, C.FIRST_SEEN_AT)), strict=True))
    rows = [(row[C.USER_ID], row[C.OTHER_USER_ID], row[C.KIND], row[C.SINCE]) for row in table.to_pylist()]

    assert {(other, user, kind, since) for user, other, kind, since in rows} == set(rows)
    assert {kind for _, _, kind, _ in rows} == {"household", "friend"}
    assert all(user != other and since == max(joined[user], joined[other]) for user, other, _, since in rows)


def test_events_of_a_campaign_lie_in_its_time_and_among_its_items() -> None:
    campaigns = {row[C.CAMPAIGN_ID]: row for row in shop().campaigns().to_pylist()}
    rows = events().filter(pc.is_valid(events().column(C.CAMPAIGN_ID))).select([C.CAMPAIGN_ID, C.ITEM_ID, C.OCCURRED_AT]).to_pylist()

    assert len(rows) > 500
    for row in rows:
        campaign = campaigns[row[C.CAMPAIGN_ID]]
        assert row[C.ITEM_ID] in json.loads(campaign[C.ITEMS])
        assert campaign[C.STARTS] <= row[C.OCCURRED_AT] < campaign[C.ENDS] + timedelta(hours=2)  # a visit may last past midnight


def test_the_load_client_reads_trips_from_it_that_the_http_door_takes() -> None:
    trips = raw_trips("simulator:users=40,items=150", BEGIN, BEGIN + timedelta(days=10))

    assert len(trips) > 10
    assert all(trip.user_id.startswith("simulated-user-") for trip in trips)
    door = [read_events_request({"events": trip.events}, now_us=NOW_US, pseudonymise=str.upper, replay_clock=True) for trip in trips]
    assert sum(len(request.rows) for request in door) == sum(len(trip.events) for trip in trips)
    assert not any(request.rejected for request in door)


def test_any_verb_opens_it_by_name() -> None:
    opened = open_source("simulator", DEMO_KEY)

    assert isinstance(opened, Simulator)
    assert opened.scenario == Scenario()


def test_the_first_days_of_a_new_span_follow_from_purchases_before_it() -> None:
    """Reviews and returns come weeks after a purchase, so a span must know what came before it."""
    cut = datetime(2021, 3, 1, tzinfo=UTC)
    late = between(shop(), cut, cut + timedelta(days=20))

    assert of(late, "return").num_rows
    bought_before = set(of(between(shop(), None, cut), "purchase").column(C.ITEM_ID).to_pylist())
    assert bought_before & set(of(late, "return").column(C.ITEM_ID).to_pylist())


@pytest.mark.parametrize("name", [C.EVENT_ID, C.SESSION_ID, C.REQUEST_ID])
def test_ids_are_twelve_characters(name: str) -> None:
    ids = events().column(name).drop_null()

    assert set(pc.binary_length(ids).to_pylist()) == {12}
