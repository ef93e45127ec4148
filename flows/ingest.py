"""Flow `ingest`: land what the world has, let the gate judge it, and bring what passed to data/raw and the live store.

The order is catalogue, users, events, because events are judged against the catalogue. A batch that is held stops no other one.
Run twice, or again after a kill, it does nothing twice: batches are known by id and content, events by id.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows import certificates, watermarks
from flows.gating import Ingested, pass_gate
from flows.lease import lease
from flows.past import nothing_came
from flows.world import RETRY_DELAYS, worth_retrying
from footfall import store
from footfall.contracts import CATALOGUE, EVENTS, EXPOSURES, USERS, Contract
from footfall.paths import Paths
from footfall.pseudonyms import read_key
from footfall.settings import Settings, load_settings
from footfall.sources import Source, consents, landing, live, open_source
from footfall.sources.erased import Erased, WithoutErased
from footfall.sources.landing import Batch
from footfall.sources.mapped import MappedLog
from footfall.sources.months import claimed_span, snapshot_id
from footfall.store import erasures
from footfall.tables import read_parquet

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

INGEST_WAIT_S = 900.0
"""How long an ingest waits for another one, or for a retrain that is digesting data/raw."""


@flow(name="ingest", persist_result=False)
def ingest(source: str | None = None, until: datetime | None = None) -> dict[str, Any]:
    """Bring everything that happened before `until` to data/raw and the live store.

    Args:
        source: an outside source (`footfall.sources.SOURCE_NAMES`) or the path of a mapping; None takes only what came in by HTTP.
        until: UTC; None means now.

    Raises:
        SourceError: the source cannot be read, or there is no accepted catalogue to judge events by.
    """
    settings = load_settings()
    until = moment(until)
    with lease(settings.paths.ingest_lease, f"ingest until {until.isoformat()}", wait_s=INGEST_WAIT_S):
        return run_ingest(settings, source, until).as_dict()


def run_ingest(settings: Settings, source: str | None, until: datetime) -> Ingested:
    """The steps of the flow, in order."""
    done = Ingested()
    engine = store.open_store(settings.store_url)
    try:
        landing.complete(settings.paths)
        if source is not None:
            certificates.recall(settings.paths, engine)
            opened = open_source(source, pseudonym_key(settings))
            shop = without_erased(engine, opened)
            for batch in land_snapshots(settings.paths, shop, until) + land_exposures(settings.paths, opened, until):
                pass_gate(settings.paths, engine, batch, until, done)
            for batch in land_events(settings.paths, shop, until):
                pass_gate(settings.paths, engine, batch, until, done)
                note_progress(settings.paths, shop.name, batch, done)
            if not any(held["contract"] == EVENTS.name for held in done.held):
                watermarks.write(settings.paths.watermarks, shop.name, until)  # a held month is landed again, once somebody has mended it
            done.erased = shop.left_out
        for batch in land_live(settings.paths, engine, until):
            pass_gate(settings.paths, engine, batch, until, done)
            live.finish(engine, batch)
        for batch in land_consents(settings.paths, engine, until):
            pass_gate(settings.paths, engine, batch, until, done)
    finally:
        engine.dispose()
    report(done)
    return done


def without_erased(engine: Engine, shop: Source) -> WithoutErased:
    """The source without what users who were erased did before that: a shop's own log may keep it."""
    return WithoutErased(shop, Erased(erasures.list_all(engine)), lambda users: erasures.first_events(engine, users))


def note_progress(paths: Paths, source: str, batch: Batch, done: Ingested) -> None:
    """Remember the months that are through, so that an ingest that is killed goes on after them; a held month is landed again."""
    span = claimed_span(batch.batch_id)
    if span is not None and not any(held["contract"] == EVENTS.name for held in done.held):
        watermarks.write(paths.watermarks, source, span[1])


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def land_snapshots(paths: Paths, shop: Source, until: datetime) -> list[Batch]:
    """Land the source's catalogue and users, each unless it is what was accepted last."""
    batch_id, batches = snapshot_id(shop.name, until), []
    for contract, table in ((CATALOGUE, shop.catalogue()), (USERS, shop.users(until))):
        if not _accepted_last(paths, contract, shop.name, table):
            batches.append(landing.land(paths, contract.name, batch_id, table, origin=shop.name))
    return batches


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def land_events(paths: Paths, shop: Source, until: datetime) -> list[Batch]:
    """Land the source's events since the last ingest, by month; a silence longer than any before as a batch without rows, which the gate holds."""
    since = watermarks.read(paths.watermarks, shop.name)
    batches = [landing.land(paths, EVENTS.name, batch_id, table, origin=shop.name) for batch_id, table in shop.events(since, until)]
    if not batches and (batch_id := nothing_came(paths, shop.name, since, until)):
        batches.append(landing.land(paths, EVENTS.name, batch_id, EVENTS.schema.empty_table(), origin=shop.name))
    return batches


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def land_live(paths: Paths, engine: Engine, until: datetime) -> list[Batch]:
    """Land what came in by HTTP and no raw batch holds yet, by day."""
    return live.land_live(paths, engine, until)


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def land_consents(paths: Paths, engine: Engine, until: datetime) -> list[Batch]:
    """Land what users have said since to the service or to support, so that the next training obeys it."""
    batch = consents.land_words(paths, engine, until)
    return [] if batch is None else [batch]


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def land_exposures(paths: Paths, shop: Source, until: datetime) -> list[Batch]:
    """Land what a mapped log says was shown, by month like its events and before them: those move the watermark."""
    if not isinstance(shop, MappedLog):
        return []
    since = watermarks.read(paths.watermarks, shop.name)
    return [landing.land(paths, EXPOSURES.name, batch_id, table, origin=shop.name) for batch_id, table in shop.exposures(since, until)]


def moment(given: datetime | None) -> datetime:
    """`given` in UTC (a naive moment counts as UTC); None means now, to the second."""
    if given is None:
        return datetime.now(UTC).replace(microsecond=0)
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def pseudonym_key(settings: Settings) -> bytes:
    """The key from the environment, else from its file."""
    return settings.pseudonym_key or read_key(settings.paths.key)


def report(done: Ingested) -> None:
    """Say in the run's log what happened."""
    logger = get_run_logger()
    logger.info(
        "accepted %s batches with %s; %s had been accepted before; %s events are new in the live store",
        len(done.batches),
        done.rows,
        done.known,
        done.stored,
    )
    if done.erased:
        logger.info("left out %s rows of users who were erased", done.erased)
    if done.masked:
        logger.info("masked direct identifiers, by kind: %s", done.masked)
    if done.quarantined:
        logger.warning("rows in quarantine, by reason: %s; look at them: footfall quarantine list", done.quarantined)
    for held in done.held:
        logger.warning("held batch %s of %s: %s; look at it: %s", held["batch_id"], held["contract"], ", ".join(held["failed"]), held["look"])


def _accepted_last(paths: Paths, contract: Contract, source: str, table: pa.Table) -> bool:
    """Whether the newest accepted snapshot of this source has these very rows."""
    folders = [
        folder
        for folder in landing.list_batches(paths, contract.name)
        if folder.name.startswith(f"{source}-") and not consents.is_repeated(folder.name)
    ]
    if not folders:
        return False
    landing.check_batch(folders[-1])
    before = read_parquet(folders[-1] / landing.ROWS).replace_schema_metadata(None)
    return bool(contract.sort(contract.check(table)).equals(before))
