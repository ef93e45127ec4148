"""Flow `replay`: the bad rows of one batch come before the gate once more, because what was wrong may have been mended since.

Rows that pass now are accepted as a batch of their own, named after its content; the others stay in quarantine. Run again after a kill, it
does nothing twice: the batch is known by its content, and its events by their ids.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from expectations import gate
from flows.ingest import INGEST_WAIT_S, Ingested, known_items, pass_gate
from flows.lease import lease
from footfall import store
from footfall.contracts import EVENTS, C
from footfall.params import load_params
from footfall.paths import Paths
from footfall.settings import load_settings
from footfall.sources import landing, live, quarantine
from footfall.store import events as event_store


@flow(name="replay", persist_result=False)
def replay(batch_id: str) -> dict[str, Any]:
    """Judge the quarantined rows of `batch_id` again; returns how many passed and what is left, by reason.

    Raises:
        BusyError: an ingest holds the lease for too long.
        SourceError: nothing of that batch is in quarantine.
    """
    settings = load_settings()
    paths = settings.paths
    with lease(paths.ingest_lease, f"replay {batch_id}", wait_s=INGEST_WAIT_S):
        contract = quarantine.find(paths, batch_id).parent.name
        judgement = judge_again(paths, contract, batch_id)
        if judgement.good.num_rows:
            engine = store.open_store(settings.store_url)
            try:
                accepted = _accept(paths, engine, contract, batch_id, judgement.good)
            finally:
                engine.dispose()
            get_run_logger().info("accepted %s with %s rows of %s", accepted, judgement.good.num_rows, batch_id)
        quarantine.keep_only(paths, batch_id, judgement.bad)
    return {"batch_id": batch_id, "accepted": judgement.good.num_rows, "left": judgement.verdict.quarantined}


@task(cache_policy=NO_CACHE, persist_result=False)
def judge_again(paths: Paths, contract: str, batch_id: str) -> gate.Judgement:
    """What the gate says of the rows now. No retry: the same rows would get the same verdict."""
    rows = quarantine.read(paths, batch_id).drop_columns([C.REASON])
    known = known_items(paths) if contract == EVENTS.name else None
    return gate.judge(contract, rows, subject=batch_id, known_items=known, arrival=load_params(paths.params).ingest)


def _accept(paths: Paths, engine: store.Engine, contract: str, batch_id: str, good: pa.Table) -> str:
    """Take the rows through the gate as a batch of their own; live ones come back into histories."""
    origin = good.column(C.ORIGIN)[0].as_py() if contract == EVENTS.name else batch_id.split("-", 1)[0]
    name = f"{batch_id}-replay-{landing.content_digest(good)[:12]}"
    pass_gate(paths, engine, landing.land(paths, contract, name, good, origin=origin), datetime.now(UTC), Ingested())
    if origin == live.ORIGIN:
        event_store.restore(engine, good.column(C.EVENT_ID).to_pylist())
    return name
