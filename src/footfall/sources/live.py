"""Events that came by HTTP on their way to raw batches: each exactly once, whatever is killed when.

Claimed in the store, landed by day, and marked once the gate has had its word. A claim that was not marked is handed out again
with the same rows under the same batch id, and landing the same rows twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Engine

from footfall.contracts import EVENTS
from footfall.paths import Paths
from footfall.sources.landing import Batch, land
from footfall.store.events import LIVE_ORIGIN, claim_export, mark_exported

ORIGIN = LIVE_ORIGIN
"""Origin of these batches: their events are in the live store already and must not be written to it again."""


def land_live(paths: Paths, engine: Engine, until: datetime) -> list[Batch]:
    """Land all live events that occurred before `until` and that no raw batch holds yet, a batch a day, oldest first.

    Call `finish` for each once it is accepted or held.

    Raises:
        StoreError: the live store cannot be reached.
    """
    batches = []
    for batch_id, table in claim_export(engine, until):
        if table.num_rows:
            batches.append(land(paths, EVENTS.name, batch_id, table, origin=ORIGIN))
        else:  # all its users were erased after it was claimed
            mark_exported(engine, batch_id)
    return batches


def finish(engine: Engine, batch: Batch) -> None:
    """Mark one batch as exported; doing so twice is harmless."""
    mark_exported(engine, batch.batch_id)
