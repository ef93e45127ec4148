"""Generated clicks: as many as one likes, the same for everybody, in the order of time, with memory for one day of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contestants.task import DAY_US, DAYS, START_US

ITEMS = 100_000
_EVENTS_A_USER, _EVENTS_A_SESSION = 20, 4
_LAST_START_US = 20 * 3_600_000_000  # so that no session reaches into the next day
_SCHEMA = pa.schema([(name, pa.int64()) for name in ("user_id", "item_id", "occurred_at", "event_id")])


def write_clicks(path: Path, events: int, seed: int = 7) -> None:
    """Write `events` clicks over 90 days: a user in twenty events, sessions of four on average, a few items in most of them.

    Ids are scattered integers, so that nobody gains from dense or sorted ones.
    """
    random = np.random.default_rng(seed)
    users = random.permutation(max(events // _EVENTS_A_USER, 1)) * 7 + 1_000
    items = random.permutation(ITEMS) * 3 + 50
    path.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        for day in range(DAYS):
            count = events * (day + 1) // DAYS - done
            user, moment = _day(random, count, users)
            item = items[(random.random(count) ** 3 * ITEMS).astype(np.int64)]
            order = np.argsort(moment, kind="stable")
            columns = [user[order], item[order], START_US + day * DAY_US + moment[order], np.arange(done, done + count)]
            writer.write_table(pa.table(columns, schema=_SCHEMA))
            done += count


def _day(random: np.random.Generator, events: int, users: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(user, microsecond of the day) of one day's events, session after session."""
    sessions = max(events // _EVENTS_A_SESSION, 1)
    lengths = random.geometric(1 / _EVENTS_A_SESSION, sessions)
    lengths[-1] += max(events - lengths.sum(), 0)
    owner = np.repeat(np.arange(sessions), lengths)[:events]
    starts = random.integers(0, _LAST_START_US, sessions)
    who = users[(random.random(sessions) ** 1.5 * len(users)).astype(np.int64)]
    pause = np.minimum(random.exponential(90, events) * 1_000_000, 1_700_000_000).astype(np.int64)
    first = np.ones(events, bool)
    first[1:] = owner[1:] != owner[:-1]
    elapsed = np.cumsum(np.where(first, 0, pause))
    moment = starts[owner] + elapsed - np.repeat(elapsed[first], np.diff(np.append(np.flatnonzero(first), events)))
    return who[owner], np.minimum(moment, DAY_US - 1)
