"""Flow `admit`: a person lets a held batch in although it breaks rules about the batch.

Its bad rows still go to quarantine, and its receipt says who let it in, when and why. Rules that what comes after the gate relies on (unique
event ids, pseudonyms, known event types) cannot be waived. Run again after a kill it does nothing twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger

from flows.held import let_in
from flows.ingest import INGEST_WAIT_S
from flows.lease import lease
from footfall import store
from footfall.errors import SourceError
from footfall.settings import load_settings
from footfall.sources import held


@flow(name="admit", persist_result=False)
def admit(batch_id: str, by: str, note: str) -> dict[str, Any]:
    """Accept the held batch `batch_id`; returns its verdict.

    Raises:
        BusyError: an ingest holds the lease for too long.
        HoldError: it breaks a rule that nobody can waive.
        SourceError: no such batch is held, or there is no note.
    """
    settings = load_settings()
    paths = settings.paths
    if not note.strip():
        raise SourceError("a released batch needs a reason", where="--note", expected="a sentence", found="nothing")
    with lease(paths.ingest_lease, f"admit {batch_id}", wait_s=INGEST_WAIT_S):
        folder = held.require(paths, batch_id)
        rows = held.read(folder)
        released = held.note_release(paths, folder.parent.name, batch_id, by=by, note=note.strip(), at=datetime.now(UTC))
        engine = store.open_store(settings.store_url)
        try:
            verdict = let_in(paths, engine, folder, rows, released)
        finally:
            engine.dispose()
    get_run_logger().info("batch %s was let in by %s", batch_id, released["by"])
    return verdict.as_dict()
