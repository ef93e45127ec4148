"""Flow `replay`: what the gate did not want of one batch comes before it once more, because what was wrong may have been mended since.

Bad rows that pass now are accepted as a batch of their own, named after its content; the others stay in quarantine as they were. A held batch that
passes now is accepted under its own id. A mend (`footfall.sources.mending`) puts rows right first. Run again after a kill it does nothing twice:
what an earlier replay accepted is known by its ids, whatever it was mended with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from expectations import gate
from flows.gating import REPLAYED, Ingested, known_items, pass_gate
from flows.held import let_in, origin_of
from flows.ingest import INGEST_WAIT_S
from flows.lease import lease
from footfall import store
from footfall.contracts import CONTRACTS, EVENTS, C
from footfall.params import load_params
from footfall.paths import Paths
from footfall.settings import Settings, load_settings
from footfall.sources import held, landing, live, quarantine
from footfall.sources.mending import Mend, mend_rows, read_mend
from footfall.store import amendments
from footfall.store import events as event_store
from footfall.tables import read_parquet


@flow(name="replay", persist_result=False)
def replay(batch_id: str, mend: str | None = None) -> dict[str, Any]:
    """Judge what the gate did not want of `batch_id` again; returns how many rows passed and what is left, by reason.

    Args:
        mend: path of a YAML file that says how the rows are put right first.

    Raises:
        BusyError: an ingest holds the lease for too long.
        HoldError: the batch is held, and still is.
        SourceError: nothing of that batch is in quarantine, or the mend cannot be used.
    """
    settings = load_settings()
    with lease(settings.paths.ingest_lease, f"replay {batch_id}", wait_s=INGEST_WAIT_S):
        folder = held.find(settings.paths, batch_id)
        contract = (folder or quarantine.find(settings.paths, batch_id)).parent.name
        how = None if mend is None else read_mend(Path(mend), contract)
        return _rows(settings, contract, batch_id, how) if folder is None else _whole(settings, folder, how)


def _whole(settings: Settings, folder: Path, mend: Mend | None) -> dict[str, Any]:
    """A held batch, judged as the batch that it is."""
    rows = held.read(folder)
    mended = rows if mend is None else mend_rows(mend, rows)
    engine = store.open_store(settings.store_url)
    try:
        verdict = let_in(settings.paths, engine, folder, mended, mended=mend is not None)
    finally:
        engine.dispose()
    return {"batch_id": folder.name, "accepted": verdict.rows - sum(verdict.quarantined.values()), "left": verdict.quarantined}


def _rows(settings: Settings, contract: str, batch_id: str, mend: Mend | None) -> dict[str, Any]:
    """Bad rows of an accepted batch, judged as a batch of their own."""
    paths, (key,) = settings.paths, CONTRACTS[contract].key
    rows = quarantine.read(paths, batch_id)
    again = pc.is_in(rows.column(key), value_set=pa.array(sorted(_accepted(paths, contract, batch_id, key)), pa.string()))
    done, rows = rows.filter(again), rows.filter(pc.invert(again))
    judgement = judge_again(paths, contract, batch_id, rows if mend is None else mend_rows(mend, rows))
    engine = store.open_store(settings.store_url)
    try:
        if judgement.good.num_rows:
            if mend is not None and origin_of(contract, batch_id, rows) == live.ORIGIN:
                amendments.amend(engine, judgement.good)
            name = _accept(paths, engine, contract, batch_id, judgement.good)
            get_run_logger().info("accepted %s with %s rows of %s", name, judgement.good.num_rows, batch_id)
        if contract == EVENTS.name and origin_of(contract, batch_id, rows if rows.num_rows else done) == live.ORIGIN:
            event_store.restore(engine, [*done.column(key).to_pylist(), *judgement.good.column(key).to_pylist()])  # back into histories
    finally:
        engine.dispose()
    quarantine.keep_only(paths, batch_id, _as_they_were(rows, judgement.bad, key))
    return {"batch_id": batch_id, "accepted": done.num_rows + judgement.good.num_rows, "left": judgement.verdict.quarantined}


@task(cache_policy=NO_CACHE, persist_result=False)
def judge_again(paths: Paths, contract: str, batch_id: str, rows: pa.Table) -> gate.Judgement:
    """What the gate says of the rows now. No retry: the same rows would get the same verdict."""
    known = known_items(paths) if contract == EVENTS.name else None
    rows = rows.drop_columns([C.REASON])
    return gate.judge(contract, rows, subject=batch_id, known_items=known, arrival=load_params(paths.params).ingest)


def _accept(paths: Paths, engine: store.Engine, contract: str, batch_id: str, good: pa.Table) -> str:
    """Take the rows through the gate as a batch of their own. Returns its id."""
    name = f"{batch_id}{REPLAYED}{landing.content_digest(good)[:12]}"
    batch = landing.land(paths, contract, name, good, origin=origin_of(contract, batch_id, good))
    pass_gate(paths, engine, batch, datetime.now(UTC), Ingested())
    return name


def _accepted(paths: Paths, contract: str, batch_id: str, key: str) -> set[str]:
    """Keys of the rows of this batch that came back from quarantine before."""
    found: set[str] = set()
    for folder in landing.list_batches(paths, contract):
        if folder.name.startswith(f"{batch_id}{REPLAYED}"):
            landing.check_batch(folder)
            found.update(read_parquet(folder / landing.ROWS, (key,), next_step=landing.RESTORE).column(key).to_pylist())
    return found


def _as_they_were(rows: pa.Table, bad: pa.Table, key: str) -> pa.Table:
    """The rows that are still bad, unmended, each with the reason of now: a mend that is run twice must not scale twice."""
    left = rows.filter(pc.is_in(rows.column(key), value_set=bad.column(key).combine_chunks()))
    return left.set_column(left.schema.get_field_index(C.REASON), C.REASON, bad.column(C.REASON))
