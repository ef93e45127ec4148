from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from aiohttp import web

from expectations.gate import judge
from footfall.contracts import EVENTS, C
from footfall.params import Ingest
from footfall.pseudonyms import pseudonym
from footfall.store.rows import to_table
from footfall_cli.load import raw_trips
from footfall_cli.traffic import Traffic, as_json, replay, steady, trips_of
from tests.unit.bentos.reading import read_events_request

NOON = datetime(2017, 11, 1, 12, tzinfo=UTC)


def events(*rows: tuple[str, str, str | None, int, int]) -> pa.Table:
    """EVENTS rows from (event id, user, session, minutes after noon, quantity)."""
    names = (C.EVENT_ID, C.USER_ID, C.SESSION_ID, C.OCCURRED_AT, C.QUANTITY)
    fixed = {C.EVENT_TYPE: "purchase", C.RECEIVED_AT: NOON, C.ORIGIN: "shop", C.ITEM_ID: "i1"}
    columns = [dict(zip(names, (row[0], row[1], row[2], NOON + timedelta(minutes=row[3]), row[4]), strict=True)) | fixed for row in rows]
    return EVENTS.check(pa.Table.from_pylist(columns))


def served(answer: Callable[[web.Request, dict[str, Any]], Awaitable[web.Response]], ask: Callable[[str], Awaitable[Traffic]]) -> Traffic:
    """Run `ask` against a service whose every POST is answered by `answer`."""

    async def handle(request: web.Request) -> web.Response:
        return await answer(request, await request.json())

    async def both() -> Traffic:
        application = web.Application()
        application.router.add_post("/{path:.*}", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            return await ask(f"http://{host}:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(both())


def test_a_trip_is_all_rows_of_one_session_of_one_user_and_trips_go_by_time() -> None:
    table = events(("b1-2", "ann", "b1", 30, 1), ("a1-1", "bob", "a1", 5, 2), ("b1-1", "ann", "b1", 30, 0))
    trips = list(trips_of(table))
    assert [(trip.user_id, [event[C.EVENT_ID] for event in trip.events]) for trip in trips] == [("bob", ["a1-1"]), ("ann", ["b1-1", "b1-2"])]
    assert trips[0].at == NOON + timedelta(minutes=5)


def test_events_without_a_session_are_trips_of_their_own_because_they_may_lie_months_apart() -> None:
    trips = list(trips_of(events(("x", "ann", None, 0, 1), ("y", "ann", None, 90 * 24 * 60, 1))))
    assert [[event[C.EVENT_ID] for event in trip.events] for trip in trips] == [["x"], ["y"]]


def test_rows_that_the_gate_will_refuse_are_sent_like_any_other() -> None:
    assert [event[C.QUANTITY] for event in as_json(events(("x", "ann", "s", 0, 0), ("y", "ann", "s", 0, -3)))] == [0, -3]


def test_an_event_carries_iso_moments_and_leaves_out_what_the_door_itself_knows() -> None:
    (event,) = as_json(events(("x", "ann", "s", 0, 1)))
    assert event[C.OCCURRED_AT] == "2017-11-01T12:00:00+00:00"
    assert not {C.RECEIVED_AT, C.ORIGIN, C.QUERY} & set(event)


def test_a_replay_asks_for_a_slate_before_it_sends_the_trip_and_keeps_each_users_order() -> None:
    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        if request.path == "/v1/recommend":
            seen.append((body["user_id"], body["at"]))
            return web.json_response({"release": "r1", "degraded": None, "items": []})
        assert body["at"] == body["events"][-1][C.OCCURRED_AT]  # received when the trip ends, and not years later
        seen.append((body["events"][0][C.USER_ID], "events"))
        return web.json_response({"accepted": len(body["events"]), "duplicates": [], "rejected": []})

    rows = [(f"{user}{trip}", user, f"{user}{trip}", trip, 1) for trip in range(3) for user in ("ann", "bob")]
    traffic = served(answer, lambda url: replay(url, trips_of(events(*rows)), workers=2))
    assert (traffic.sent, traffic.failed, traffic.trips, traffic.slates, traffic.accepted) == (12, 0, 6, 6, 6)
    moments = [(NOON + timedelta(minutes=trip)).isoformat() for trip in range(3)]
    for user in ("ann", "bob"):
        assert [what for who, what in seen if who == user] == [moments[0], "events", moments[1], "events", moments[2], "events"]


def test_every_answer_but_a_200_is_one_failure_and_nothing_is_sent_again() -> None:
    calls = 0

    async def answer(request: web.Request, _: dict[str, Any]) -> web.Response:
        nonlocal calls
        calls += 1
        return web.json_response({}, status=503 if request.path == "/v1/recommend" else 202)

    traffic = served(answer, lambda url: replay(url, trips_of(events(("x", "ann", "s", 0, 1)))))
    assert (calls, traffic.sent, traffic.failed) == (2, 2, 2)
    assert dict(traffic.faults) == {"/v1/recommend 503": 1, "/v1/events 202": 1}


def test_a_service_that_is_not_there_is_counted_as_failures() -> None:
    trips = trips_of(events(("x", "ann", "s", 0, 1)))
    traffic = asyncio.run(replay("http://127.0.0.1:9", trips))
    assert (traffic.sent, traffic.failed) == (2, 2)


def test_steady_load_keeps_its_schedule_while_answers_are_slow_and_names_the_releases() -> None:
    answered = 0

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        nonlocal answered
        await asyncio.sleep(0.2)
        answered += 1
        return web.json_response({"release": "r1" if answered <= 10 else "r2", "degraded": None, "items": []})

    traffic = served(answer, lambda url: steady(url, ["ann", "bob"], rate=100, until=lambda now: now.sent >= 30, at=NOON))
    assert traffic.failed == 0
    assert sum(traffic.releases.values()) == traffic.sent >= 30
    assert list(traffic.releases) == ["r1", "r2"]
    assert traffic.seconds < 2.0  # one after the other would take six


def test_latency_counts_from_the_schedule() -> None:
    async def answer(_: web.Request, __: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.05)
        return web.json_response({"release": "r1", "degraded": "no_history", "items": []})

    traffic = served(answer, lambda url: steady(url, ["ann"], rate=200, until=lambda now: now.sent >= 5))
    assert all(latency >= 0.05 for latency in traffic.latencies)
    assert traffic.degraded["no_history"] == traffic.slates


def test_replayed_days_are_received_when_they_happened_so_that_the_gate_calls_none_of_it_late() -> None:
    trips = list(raw_trips("simulator:users=200", datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 4, tzinfo=UTC)))
    rows = []
    for trip in trips:
        body = {"events": json.loads(json.dumps(trip.events)), "at": trip.until.isoformat()}
        found = read_events_request(body, now_us=time.time_ns() // 1000, pseudonymise=lambda raw: pseudonym(raw, b"key"), replay_clock=True)
        assert found.rejected == []
        rows += found.rows
    table = to_table(EVENTS, rows)
    judged = judge("events", table, subject="live", arrival=Ingest(lateness_hours=72.0, ahead_minutes=0.0))
    assert table.num_rows > 100
    assert {"too_late", "from_the_future"} & set(judged.verdict.quarantined) == set()
