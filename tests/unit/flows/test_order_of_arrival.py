"""Events that come late, twice and in any order end in the same canonical table; those that come too late are all in quarantine."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations import gate
from footfall.contracts import EVENTS, LIVE_ORIGIN, C
from footfall.frames.engine import frame, run
from footfall.frames.events import canonical_events
from footfall.params import Ingest
from footfall.pseudonyms import pseudonym
from footfall.sources.landing import content_digest
from footfall.store import Engine, events, open_store
from tests.trials import Trial

START, HOUR = datetime(2020, 2, 27, tzinfo=UTC), timedelta(hours=1)  # over a leap day
BOUNDS = Ingest(lateness_hours=72.0, ahead_minutes=10.0)
LATENESS = BOUNDS.lateness_hours * HOUR


def purchase(number: int, occurred: datetime) -> dict[str, Any]:
    row = {C.EVENT_ID: f"e{number:05d}", C.USER_ID: pseudonym(str(number % 7), b"k"), C.ITEM_ID: f"i{number % 5}", C.EVENT_TYPE: "purchase"}
    return row | {C.OCCURRED_AT: occurred, C.QUANTITY: 1 + number % 3, C.PRICE_MINOR: number, C.ORIGIN: LIVE_ORIGIN}


def delays(luck: random.Random, count: int) -> list[timedelta]:
    """A tenth of the events is late, up to the very bound; a twentieth is too late, from the very next microsecond on."""
    late = [LATENESS, *[luck.uniform(1, 72) * HOUR for _ in range(count // 10 - 1)]]
    too_late = [LATENESS + timedelta(microseconds=1), *[luck.uniform(72.1, 300) * HOUR for _ in range(count // 20 - 1)]]
    found = late + too_late + [luck.uniform(0, 0.1) * HOUR for _ in range(count - len(late) - len(too_late))]
    luck.shuffle(found)
    return found


def deliver(engine: Engine, arrivals: list[dict[str, Any]], luck: random.Random, every: timedelta) -> tuple[list[pa.Table], list[str]]:
    """Store what arrives, each event once or thrice, those of one span in any order; ingest after each span. Returns good tables, bad ids."""
    good, bad = [], []
    until = START
    waiting = sorted(arrivals, key=lambda row: row[C.RECEIVED_AT])
    while waiting or events.claim_export(engine, until):
        until += every
        now = [row for row in waiting if row[C.RECEIVED_AT] < until]
        waiting = waiting[len(now) :]
        again = [row for row in now for _ in range(luck.choice((1, 3)))]
        luck.shuffle(again)
        for part in range(0, len(again), 40):
            events.append(engine, pa.Table.from_pylist(again[part : part + 40], EVENTS.schema))
        for batch_id, table in events.claim_export(engine, until):
            days = {moment.date().isoformat() for moment in table.column(C.OCCURRED_AT).to_pylist()}
            assert days == {batch_id[len("live-") :][:10]}
            judged = gate.judge("events", table, subject=batch_id, known_items=[f"i{n}" for n in range(5)], until=until, arrival=BOUNDS)
            assert not judged.held, judged.verdict.checks
            good.append(judged.good)
            bad += [row[C.EVENT_ID] for row in judged.bad.to_pylist() if row[C.REASON] == "too_late"]
            events.mark_exported(engine, batch_id)
    return good, bad


@pytest.mark.trial
def test_late_and_shuffled_events_end_in_the_same_table_and_what_is_too_late_in_quarantine(tmp_path: Path, trial: Trial) -> None:
    rounds, count = trial.count(small=1, stated=4), trial.count(small=200, stated=5_000)
    quarantined = 0
    for seed in range(rounds):
        luck = random.Random(seed)
        rows = [purchase(number, START + luck.uniform(0, 96) * HOUR) for number in range(count)]
        arrivals = [row | {C.RECEIVED_AT: row[C.OCCURRED_AT] + delay} for row, delay in zip(rows, delays(luck, count), strict=True)]
        in_time = [row for row in arrivals if row[C.RECEIVED_AT] - row[C.OCCURRED_AT] <= LATENESS]
        wanted = run(canonical_events(frame(pa.Table.from_pylist(in_time, EVENTS.schema)), 2**62))
        digests = set()
        for order, every in enumerate((60 * HOUR, 170 * HOUR)):
            engine = open_store(f"sqlite:///{tmp_path}/{seed}-{order}.db")
            good, bad = deliver(engine, arrivals, luck, every)
            engine.dispose()
            assert sorted(bad) == sorted({row[C.EVENT_ID] for row in arrivals} - {row[C.EVENT_ID] for row in in_time})
            luck.shuffle(good)
            digests.add(content_digest(run(canonical_events(frame(pa.concat_tables(good)), 2**62))))
            quarantined += len(bad)
        assert digests == {content_digest(wanted)}
    trial.note(rounds=rounds, events=count, late_share=0.1, quarantined=quarantined)
    assert quarantined == 2 * rounds * (count // 20)
