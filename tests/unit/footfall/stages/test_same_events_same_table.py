"""The same events, however they arrive, are the same table: shuffled, late, in several batches at once, and replayed."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.contracts import C
from footfall.documents import Verdict
from footfall.manifest import MANIFEST, read_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.sources import landing
from footfall.stages.events import make_tables
from footfall.store import events as event_store
from footfall.store import open_store
from tests.unit.rows import catalogue, day, events, user, users

ROWS = 60
LATE_HOURS = 72
TABLE = events(
    *(
        {
            "user_id": user(f"u{number % 7}"),
            "occurred_at": day(number % 11),
            "received_at": day(number % 11) + timedelta(hours=LATE_HOURS * (number % 10 == 0)),
        }
        for number in range(ROWS)
    )
)
"""Sixty events of seven users, several a moment; one in ten came three days late."""


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    """The committed numbers, as of the hundredth day."""
    params = load_params(checkout / "params.yaml")
    return replace(params, data=replace(params.data, as_of=day(100)))


def accept(paths: Paths, contract: str, batch_id: str, table: pa.Table) -> None:
    """Land and accept a batch whole; one that is known is not accepted again."""
    batch = landing.land(paths, contract, batch_id, table)
    if not batch.landed:
        landing.accept(paths, batch, table, Verdict(batch_id, contract, "pass", table.num_rows, {}, []))


def table_digest(batches: list[list[int]], params: Params) -> str:
    """sha256 of events.parquet after these rows of `TABLE` were landed, batch after batch."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder))
        for number, rows in enumerate(batches):
            accept(paths, "events", f"shop-{number:03d}", TABLE.take(rows))
        accept(paths, "catalogue", "shop-000", catalogue("apple"))
        accept(paths, "users", "shop-000", users(user("u0")))
        make_tables(paths, params)
        assert (paths.tables / MANIFEST).exists()
        return read_manifest(paths.tables, next_step="")["events.parquet"]


@pytest.fixture(scope="module")
def digest(params: Params) -> str:
    """The table of all events landed once, in order."""
    return table_digest([list(range(ROWS))], params)


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), parts=st.integers(1, 4), copies=st.integers(0, 3 * ROWS))
def test_shuffled_duplicated_and_replayed_three_times_they_give_the_same_bytes(
    params: Params, digest: str, seed: int, parts: int, copies: int
) -> None:
    draw = random.Random(seed)
    replays = []
    for _ in range(3):
        order = draw.sample(range(ROWS), ROWS)
        batches = [order[part::parts] for part in range(parts)]
        for row in draw.choices(range(ROWS), k=copies // 3):
            batches[draw.randrange(parts)].append(row)  # also twice in one batch
        replays += [batch for batch in batches if batch]

    assert table_digest(replays, params) == digest


def test_one_event_less_or_changed_is_another_table(params: Params, digest: str) -> None:
    assert table_digest([list(range(1, ROWS))], params) != digest


def test_what_reached_the_store_out_of_order_three_times_is_the_same_history(tmp_path: Path) -> None:
    draw, histories = random.Random(5), []
    for times in (1, 3):
        engine = open_store(f"sqlite:///{tmp_path / f'{times}.db'}")
        for _ in range(times):
            event_store.append(engine, TABLE.take(list(range(ROWS)) if times == 1 else draw.sample(range(ROWS), ROWS)))
        window = event_store.window(engine, day(0), day(100))
        histories.append(window.sort_by([(C.EVENT_ID, "ascending")]))
        engine.dispose()

    assert histories[0].num_rows == ROWS
    assert histories[0].equals(histories[1])
