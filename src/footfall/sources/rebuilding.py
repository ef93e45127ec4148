"""What data/raw holds, put back into the live store: events, and what users agreed to. All else in the store only a backup has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Engine

from footfall.contracts import EVENTS, USERS
from footfall.paths import Paths
from footfall.sources.landing import RESTORE, ROWS, check_batch, list_batches, list_held
from footfall.store.rebuild import claim_again, put_back, put_back_consent, users_with_consent
from footfall.tables import read_parquet

Report = Callable[[str, int], None]
"""Told the batch and how many events it brought back."""


@dataclass(frozen=True)
class Rebuilt:
    """How many batches were read, and how many of their events the store lacked."""

    batches: int
    events: int


def rebuild(paths: Paths, engine: Engine, *, report: Report | None = None) -> Rebuilt:
    """Put the events of all accepted batches back into the store, oldest id first; done again, it changes nothing.

    What users agreed to is taken from the accepted users batches, where the store knows nothing of them.

    Raises:
        SourceError: a batch is damaged; those before it are in the store.
        StoreError: the store cannot be reached.
    """
    known, users = users_with_consent(engine), list_batches(paths, USERS.name)
    for folder in users:
        check_batch(folder)
        table = read_parquet(folder / ROWS, next_step=RESTORE).replace_schema_metadata(None)
        put_back_consent(engine, USERS.check(table, where=folder), but=known)
    folders, total = list_batches(paths, EVENTS.name), 0
    held = [verdict.subject for verdict in list_held(paths) if verdict.contract == EVENTS.name]
    claim_again(engine, [*(folder.name for folder in folders), *held])
    for folder in folders:
        check_batch(folder)
        table = read_parquet(folder / ROWS, next_step=RESTORE).replace_schema_metadata(None)
        missing = put_back(engine, folder.name, EVENTS.check(table, where=folder))
        total += missing
        if report:
            report(folder.name, missing)
    return Rebuilt(len(folders), total)
