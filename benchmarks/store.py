"""The live store at size: how long one user's history takes, and how many events a second come in.

10 million events (1 million without --full) of users who have 500 each on average, in the order of time, so that one user's rows lie far apart.
Ids are random, which is the worst that an index can be given. SQLite is filled by `events.append`; PostgreSQL (STORE_POSTGRESQL_URL, or a local
server's `test` database) by COPY and then vacuumed, in a database of its own that is dropped at the end.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.race import Row, write_race
from footfall.contracts import EVENT_TYPES, EVENTS, TIMESTAMP
from footfall.errors import StoreError
from footfall.store import Engine, events, open_store

FULL, SMALL = 10_000_000, 1_000_000
PER_USER, NEWEST = 500, 200
CHUNK, BATCH, BATCHES = 50_000, 1_000, 100
LOOKS, WARM = 5_000, 200
START_US, STEP_US = 1_600_000_000_000_000, 3_000_000
P99_MS, EVENTS_A_SECOND = 2.0, 5_000.0
POSTGRESQL = "postgresql+psycopg://root@127.0.0.1:5432/test"


class Shop:
    """Random events, in the order of time."""

    def __init__(self, size: int) -> None:
        """Draw the users, some of whom do far more than others."""
        self._random = np.random.default_rng(20171103)
        self.users = self._ids(size // PER_USER)
        activity = self._random.gamma(2.0, 1.0, len(self.users))
        self._shares = np.cumsum(activity) / activity.sum()
        self.counts = np.zeros(len(self.users), np.int64)
        self.made = 0

    @property
    def now_us(self) -> int:
        """A moment behind the newest event."""
        return START_US + (self.made + 1) * STEP_US

    def draw(self, rows: int) -> pa.Table:
        """The next events."""
        draw = self._random
        users = np.minimum(np.searchsorted(self._shares, draw.random(rows)), len(self.users) - 1)
        self.counts += np.bincount(users, minlength=len(self.users))
        moments = pa.array(START_US + (self.made + np.arange(rows)) * STEP_US).cast(TIMESTAMP)
        self.made += rows
        columns = {
            "event_id": self._ids(rows),
            "user_id": self.users.take(pa.array(users)),
            "item_id": pa.array(np.char.add("item-", draw.integers(0, 50_000, rows).astype(str))),
            "event_type": pa.array(EVENT_TYPES).take(pa.array(draw.integers(0, len(EVENT_TYPES), rows))),
            "occurred_at": moments,
            "received_at": moments,
            "quantity": pa.array(draw.integers(1, 5, rows)),
            "price_minor": pa.array(draw.integers(50, 9_999, rows)),
            "currency": pa.array(["EUR"]).take(pa.array(np.zeros(rows, np.int64))),
            "origin": pa.array(["shop"]).take(pa.array(np.zeros(rows, np.int64))),
        }
        return EVENTS.check(pa.table(columns))

    def someone(self, number: int) -> list[str]:
        """Users with long histories, at random."""
        long = np.flatnonzero(self.counts >= NEWEST)
        return list(self.users.take(pa.array(self._random.choice(long, number))).to_pylist())

    def _ids(self, rows: int) -> pa.Array:
        return pa.array(np.frombuffer(self._random.bytes(16 * rows).hex().encode(), "S32")).cast(pa.string())


def run(root: Path, full: bool) -> Path:
    """Fill both databases, one after the other, and measure."""
    size, rows = FULL if full else SMALL, []
    with _sqlite() as (engine, path):
        rows += measure("SQLite", engine, size, events.append, lambda: None, lambda: {"file_gib": round(path.stat().st_size / 2**30, 2)})
    with _postgresql() as server:
        if server is not None:
            rows += measure("PostgreSQL", server, size, copy, lambda: vacuum(server), dict)
    return write_race(root, "store", rows, ["sqlalchemy", "psycopg"] if server is not None else ["sqlalchemy"])


def measure(
    name: str, engine: Engine, size: int, fill: Callable[[Engine, pa.Table], object], settle: Callable[[], None], facts: Callable[[], dict[str, Any]]
) -> list[Row]:
    """Fill one store to `size` and take the figures of it."""
    shop = Shop(size)
    begun = time.perf_counter()
    rates = []
    while shop.made < size:
        table = shop.draw(min(CHUNK, size - shop.made))
        at = time.perf_counter()
        fill(engine, table)
        rates.append(table.num_rows / (time.perf_counter() - at))
        if shop.made % (20 * CHUNK) == 0:
            sys.stderr.write(f"{name}: {shop.made:,} events, {np.median(rates[-20:]):,.0f} a second\n")
    built = {
        "build_s": round(time.perf_counter() - begun),
        "first_chunks_a_s": round(np.median(rates[:20])),
        "last_chunks_a_s": round(np.median(rates[-20:])),
    }
    settle()
    _looks(engine, shop, WARM)
    looks, idle = _looks(engine, shop, LOOKS)
    what = f"{name}, {size:,} events stored"
    p50, p99, worst = (float(np.percentile(looks, part)) for part in (50, 99, 100))
    machine = {"p99_ms_of_an_empty_loop_of_the_median_s_length": round(float(np.percentile(idle, 99)), 3)}
    notes = {"p50_ms": round(p50, 3), "max_ms": round(worst, 3), **machine, "users": len(shop.users), "looks": len(looks), **built, **facts()}
    row = [Row(f"{what}: a user's last {NEWEST} events, p99", "ms", p99, target=P99_MS, at_least=False, notes=notes)]
    for rows in (BATCH, CHUNK):
        rate, spread = _appends(engine, shop, rows)
        row.append(Row(f"{what}: append, batches of {rows:,}", "events/s", rate, target=EVENTS_A_SECOND, notes=spread))
    return row


def _looks(engine: Engine, shop: Shop, number: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each look, and of an empty loop beside it that is as long as most looks: what the machine alone adds at the tail."""
    found: list[float] = []
    idle: list[float] = []
    for user in shop.someone(number):
        at = time.perf_counter()
        history = events.history(engine, user, shop.now_us, NEWEST)
        found.append((time.perf_counter() - at) * 1_000)
        if len(history.item_ids) != NEWEST:
            raise StoreError("history is short", where="benchmarks.store", expected=NEWEST, found=len(history.item_ids))
        at, end = time.perf_counter(), time.thread_time() + float(np.median(found[-WARM:])) / 1_000
        while time.thread_time() < end:
            pass
        idle.append((time.perf_counter() - at) * 1_000)
    return found, idle


def _appends(engine: Engine, shop: Shop, rows: int) -> tuple[float, dict[str, Any]]:
    """Events a second over many batches of one size, each durable before the next."""
    tables = [shop.draw(rows) for _ in range(max(4, BATCHES * BATCH // rows))]
    took = []
    for table in tables:
        at = time.perf_counter()
        events.append(engine, table)
        took.append(time.perf_counter() - at)
    return rows * len(tables) / sum(took), {
        "batches": len(took),
        "slowest_ms": round(max(took) * 1_000, 1),
        "median_ms": round(float(np.median(took)) * 1_000, 1),
    }


def copy(engine: Engine, table: pa.Table) -> None:
    """Rows into PostgreSQL by COPY: for filling it, not for measuring."""
    names = [name for name in table.column_names if table.column(name).null_count < table.num_rows]
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in map(table.column, names)]
    lines = zip(*(column.to_pylist() for column in columns), strict=True)
    text = "".join("\t".join(map(str, line)) + "\t1\n" for line in lines)
    connection: Any = engine.raw_connection()
    try:
        with connection.driver_connection.cursor().copy(f"COPY footfall_events ({', '.join(names)}, append_id) FROM STDIN") as sink:
            sink.write(text)
        connection.commit()
    finally:
        connection.close()


def vacuum(engine: Engine) -> None:
    """What autovacuum and the checkpointer do after so many new rows, where they are on."""
    connection: Any = engine.raw_connection()
    try:
        connection.rollback()
        connection.driver_connection.autocommit = True
        connection.driver_connection.execute("VACUUM (ANALYZE) footfall_events")
        connection.driver_connection.execute("CHECKPOINT")  # else the first looks write out what the filling left dirty
        connection.driver_connection.autocommit = False
    finally:
        connection.close()


@contextmanager
def _sqlite() -> Iterator[tuple[Engine, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="footfall-bench-"))
    engine = open_store(f"sqlite:///{folder / 'store.db'}")
    try:
        yield engine, folder / "store.db"
    finally:
        engine.dispose()
        shutil.rmtree(folder)


@contextmanager
def _postgresql() -> Iterator[Engine | None]:
    """A database of this run's own; None where no server answers."""
    import psycopg

    url = os.environ.get("STORE_POSTGRESQL_URL", POSTGRESQL)
    name = f"footfall_bench_{os.getpid()}"
    try:
        admin = psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        sys.stderr.write("no PostgreSQL answers: its rows are left out\n")
        yield None
        return
    with admin:
        admin.execute(f"CREATE DATABASE {name}")
        engine = open_store(f"{url.rsplit('/', 1)[0]}/{name}")
        try:
            yield engine
        finally:
            engine.dispose()
            admin.execute(f"DROP DATABASE {name}")
