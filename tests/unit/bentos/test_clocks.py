"""Clocks that are wrong, jump or have a day more: nothing of the future is read before its time, and no two things get one id."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from bentos.slates import answering
from expectations.gate import judge
from footfall.contracts import C
from footfall.frames.engine import frame, run
from footfall.frames.events import canonical_events
from footfall.params import Ingest
from footfall.pseudonyms import pseudonym
from footfall.recommender import History, Wishes
from footfall.store import Engine, events
from footfall.store.serving import read_user
from footfall.store.together import write_together
from tests.trials import Trial
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import KEY, Service
from tests.unit.bentos.reading import read_events_request, read_slate_request
from tests.unit.bentos.test_answers_over_http import bought

START = datetime(2020, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOUNDS = Ingest(lateness_hours=72.0, ahead_minutes=10.0)
USER = pseudonym("ann", KEY)
read = partial(read_events_request, pseudonymise=partial(pseudonym, key=KEY))


def us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def receive(engine: Engine, name: str, occurred: datetime, received: datetime) -> None:
    """Store an event as the door does: what the client's clock says, and what ours says."""
    body = {"events": [bought("a", event_id=name, occurred_at=occurred.isoformat(), quantity=1, price_minor=1)]}
    write_together(engine, [read(body, now_us=us(received)).rows], [])


def ingest(engine: Engine, until: datetime) -> list[pa.Table]:
    """What the flow does with live events: the good ones of each batch; the bad ones leave histories."""
    good = []
    for batch_id, table in events.claim_export(engine, until):
        judged = judge("events", table, subject=batch_id, known_items=["a"], until=until, arrival=BOUNDS)
        assert not judged.held, judged.verdict.checks
        for row in judged.bad.select([C.EVENT_ID, C.REASON]).to_pylist():
            events.withdraw(engine, [row[C.EVENT_ID]], row[C.REASON])
        good.append(judged.good)
        events.mark_exported(engine, batch_id)
    return good


@pytest.mark.trial
def test_no_clock_that_is_two_days_wrong_shows_the_future_to_a_history_a_batch_or_a_label(sqlite: Engine, trial: Trial) -> None:
    luck, accepted, sent, hours = random.Random(2), [], {}, 24 * trial.count(small=2, stated=60)
    for hour in range(0, hours, 2):
        now = START + hour * HOUR
        skew = luck.choice((0.0, luck.uniform(-48, 48), 48.0, -48.0)) * HOUR
        receive(sqlite, f"e{hour}", now + skew, now)
        sent[f"e{hour}"] = skew
        seen = read_user(sqlite, USER, us(now), 1000).history.occurred_at_us
        assert all(moment < us(now) for moment in seen)
        if hour % 48 == 0:
            accepted += [table for table in ingest(sqlite, now) if table.num_rows]
            assert all(moment < now for table in accepted for moment in table.column(C.OCCURRED_AT).to_pylist())
    accepted += ingest(sqlite, START + (hours + 50) * HOUR)
    everything = pa.concat_tables(accepted)
    ahead = {name for name, skew in sent.items() if skew > HOUR / 6}
    assert ahead
    assert set(everything.column(C.EVENT_ID).to_pylist()) == set(sent) - ahead
    assert events.withdrawn(sqlite) == {"from_the_future": len(ahead)}
    for as_of in (START + hours * part * HOUR for part in (0.25, 0.5, 1.0)):
        labels = run(canonical_events(frame(everything), us(as_of)))
        assert all(moment < us(as_of) for moment in labels.column(C.OCCURRED_AT).to_pylist())
        assert not ahead & set(labels.column(C.EVENT_ID).to_pylist())
    assert len(read_user(sqlite, USER, us(START + (hours + 50) * HOUR), 1000).history.item_ids) == len(sent) - len(ahead)
    trial.note(events=len(sent), ahead=len(ahead))


def test_a_clock_more_than_two_days_ahead_is_not_heard_at_all() -> None:
    moments = [(START + delay).isoformat() for delay in (48 * HOUR, 48 * HOUR + timedelta(microseconds=1))]
    found = read({"events": [bought("a", occurred_at=moment) for moment in moments]}, now_us=us(START))
    assert (len(found.rows), [row["index"] for row in found.rejected]) == (1, [1])


def test_our_own_clock_may_jump_back_and_nothing_it_has_stored_is_shown_early(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentos.web.app.now_us", lambda: us(START + HOUR))
    assert ask(service.app, "POST", "/v1/events", {"events": [bought("c", occurred_at=START.isoformat())]}).json["accepted"] == 1
    for now, degraded in ((START + HOUR, None), (START - HOUR, "no_history"), (START, "no_history"), (START + HOUR, None)):
        monkeypatch.setattr("bentos.web.app.now_us", lambda now=now: us(now))
        assert ask(service.app, "POST", "/v1/recommend", {"user_id": "ann"}).json["degraded"] == degraded


def occurred(*moments: str) -> list[datetime]:
    """The moments that the door reads, of events that fit."""
    found = read({"events": [bought("a", occurred_at=moment) for moment in moments]}, now_us=us(datetime(2030, 1, 1, tzinfo=UTC)))
    return [datetime.fromtimestamp(row[5] / 1e6, UTC) for row in found.rows]


def test_the_hour_that_comes_twice_keeps_its_order_and_the_hour_that_is_missing_is_no_gap() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for day in (datetime(2024, 10, 27, tzinfo=UTC), datetime(2024, 3, 31, tzinfo=UTC)):
        true = [day + timedelta(minutes=10 * step) for step in range(24)]  # an hour of the clock comes twice, or never, at one o'clock UTC
        told = [moment.astimezone(berlin).isoformat() for moment in true]
        assert len({text[:16] for text in told}) == (18 if day.month == 10 else 24)
        assert occurred(*told) == true


def test_a_leap_day_is_a_day_like_any_other_and_lands_in_a_batch_of_its_own(sqlite: Engine) -> None:
    leap = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    for number, moment in enumerate((leap - 24 * HOUR, leap, leap + timedelta(microseconds=1))):
        receive(sqlite, f"e{number}", moment, moment)
    batches = {batch_id: table.column(C.EVENT_ID).to_pylist() for batch_id, table in events.claim_export(sqlite, leap + 48 * HOUR)}
    assert batches == {"live-2024-02-28": ["e0"], "live-2024-02-29": ["e1"], "live-2024-03-01": ["e2"]}
    assert occurred("2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2016-12-31T23:59:60Z") == []


def test_a_day_is_a_day_of_utc_whatever_zone_the_client_speaks_of(sqlite: Engine) -> None:
    east, west = datetime.fromisoformat("2020-05-02T08:00:00+14:00"), datetime.fromisoformat("2020-05-01T13:00:00-12:00")
    for name, moment in (("east", east), ("west", west)):
        receive(sqlite, name, moment, START + 26 * HOUR)
    batches = {batch_id: table.column(C.EVENT_ID).to_pylist() for batch_id, table in events.claim_export(sqlite, START + 48 * HOUR)}
    assert batches == {"live-2020-05-01": ["east"], "live-2020-05-02": ["west"]}


class NothingWritten:
    """Keeps the request ids of slates instead of storing them."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def log_exposures(self, rows: list[tuple[Any, ...]]) -> None:
        self.ids.add(rows[0][0])


@pytest.mark.trial
def test_ids_made_in_one_tick_of_the_clock_are_all_different(service: Service, monkeypatch: pytest.MonkeyPatch, trial: Trial) -> None:
    count = trial.count(small=5_000, stated=1_000_000)
    monkeypatch.setattr("time.time_ns", lambda: us(START) * 1000)
    monkeypatch.setattr("time.time", lambda: us(START) / 1e6)
    # events without ids, all at one moment: each differs from the others in one field at least
    made: set[str] = set()
    for first in range(0, count, 1000):
        rows = [bought(f"i{number // 7}", user=f"u{number % 7}", occurred_at=START.isoformat()) for number in range(first, first + 1000)]
        made.update(row[0] for row in read({"events": rows}, now_us=us(START)).rows)
    # and slates, all asked for at one moment
    written, ranker = NothingWritten(), service.changeover.ranker
    asked = read_slate_request({"k": 1, "user_id": "ann"}, now_us=us(START), pseudonymise=str, replay_clock=False)
    slate = ranker.recommend(ranker.encode([History([], [], [])]), us(START), Wishes(1), "fused")[0]  # type: ignore[union-attr]
    one: Any = answering.Answering(service.store, written, service.changeover, service.measures)  # type: ignore[arg-type]
    one._slating._ranking = {"champion": SimpleNamespace(rank=lambda *_: slate)}
    told = {one.recommend(asked)["request_id"] for _ in range(count)}
    trial.note(event_ids=len(made), request_ids=len(told))
    assert len(made) == len(told) == count
    assert told == written.ids
