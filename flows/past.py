"""What was accepted before a batch, read from receipts: the gate holds the batch against it."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa

from expectations.gate import Past
from expectations.history import compare
from expectations.profile import profile
from expectations.rules import HISTORY, read_suite
from footfall.contracts import EVENTS, TIMESTAMP, C
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sources import landing
from footfall.sources.landing import Batch
from footfall.sources.months import claimed_span, month_batches
from footfall.tables import read_parquet


def past_of(paths: Paths, batch: Batch, until: datetime) -> Past:
    """The profiles of the accepted batches of this contract and source; receipts from before profiles say nothing and are left out.

    Args:
        until: the ingest's moment: a day that is not over by then is not judged as a whole.
    """
    source = f"{batch.batch_id.split('-', 1)[0]}-"
    accepted = [folder for folder in landing.list_batches(paths, batch.contract) if folder.name.startswith(source) and folder.name != batch.batch_id]
    receipts = [(folder.name, landing.read_receipt(folder)) for folder in accepted]
    known = {name: receipt.profile for name, receipt in receipts if receipt.profile is not None}
    covers = covered_days(batch.batch_id, until) if batch.contract == EVENTS.name else None
    return Past(tuple(known.values()), covers, _accepted_ids(paths, batch, receipts))


def nothing_came(paths: Paths, source: str, since: datetime | None, until: datetime) -> str | None:
    """The id of a batch that should have come: set when a source that was never silent for so long has brought nothing since its last ingest."""
    if since is None:
        return None
    batch_id = next((batch.batch_id for batch in month_batches(source, since, until)), None)
    if batch_id is None:
        return None
    past = past_of(paths, Batch(EVENTS.name, batch_id, source, paths.landing / EVENTS.name / batch_id), until)
    empty = profile(EVENTS.name, EVENTS.schema.empty_table())
    limits = read_suite(EVENTS.name, HISTORY).limits
    silent = [
        one for one in compare(EVENTS.name, empty, past, limits) if one.kind == "days_without_rows" and one.high is not None and one.value > one.high
    ]
    return batch_id if silent else None


def covered_days(batch_id: str, until: datetime) -> tuple[date, date] | None:
    """First day that an event batch stands for by its id, and the first that it does not, or not wholly; None where the id says nothing."""
    span = claimed_span(batch_id)
    if span is None:
        return None
    start, end = span[0].date(), min(span[1], until).date()
    return start, max(start, end)


def _accepted_ids(paths: Paths, batch: Batch, receipts: list[tuple[str, Verdict]]) -> frozenset[str]:
    """Event ids of the accepted batches that share a day with this one: seldom any, so that little is read."""
    if batch.contract != EVENTS.name:
        return frozenset()
    rows = batch.path / landing.ROWS
    days = {str(day) for day in _days(read_parquet(rows, (C.OCCURRED_AT,)))} if rows.exists() else set()
    found: set[str] = set()
    for name, receipt in receipts:
        if receipt.profile is not None and days & set(receipt.profile["days"]):
            folder = paths.raw / batch.contract / name
            landing.check_batch(folder)
            found.update(read_parquet(folder / landing.ROWS, (C.EVENT_ID,), next_step=landing.RESTORE).column(C.EVENT_ID).to_pylist())
    return frozenset(found)


def _days(table: pa.Table) -> list[date]:
    unique: list[date] = table.column(C.OCCURRED_AT).cast(TIMESTAMP).cast(pa.date32()).unique().to_pylist()
    return unique
