"""Flow `reject`: a person gives a held batch up for good.

A note of it stays, by which the same rows are known should they come again; those that came in by HTTP leave histories. Run again after a kill
it does nothing twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow

from flows.held import event_ids
from flows.ingest import INGEST_WAIT_S
from flows.lease import lease
from footfall import store
from footfall.settings import load_settings
from footfall.sources import held
from footfall.store import events as event_store

REASON = "batch_rejected"


@flow(name="reject", persist_result=False)
def reject(batch_id: str, by: str, note: str | None = None) -> dict[str, Any]:
    """Reject the held batch `batch_id`; returns the note that stays.

    Raises:
        BusyError: an ingest holds the lease for too long.
        SourceError: no such batch is held.
    """
    settings = load_settings()
    with lease(settings.paths.ingest_lease, f"reject {batch_id}", wait_s=INGEST_WAIT_S):
        folder = held.require(settings.paths, batch_id)
        if ids := event_ids(folder):
            engine = store.open_store(settings.store_url)
            try:
                event_store.withdraw(engine, ids, REASON)
            finally:
                engine.dispose()
        return held.reject(settings.paths, folder, by=by, note=note, at=datetime.now(UTC))
