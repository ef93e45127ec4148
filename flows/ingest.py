"""Flow `ingest`: land what the world has, let the gate judge it, and bring what passed to data/raw and the live store.

The order is catalogue, users, events, because events are judged against the catalogue. A batch that is held stops no other one.
Run twice, or again after a kill, it does nothing twice: batches are known by id and content, events by id.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from expectations import gate
from expectations.page import render
from flows import certificates, watermarks
from flows.lease import lease
from flows.past import nothing_came, past_of
from flows.world import RETRY_DELAYS, worth_retrying
from footfall import store
from footfall.contracts import CATALOGUE, EVENTS, EXPOSURES, USERS, C, Contract
from footfall.documents import Verdict
from footfall.errors import HoldError, SourceError
from footfall.params import load_params
from footfall.paths import Paths
from footfall.pseudonyms import read_key
from footfall.settings import Settings, load_settings
from footfall.sources import Source, consents, landing, live, open_source, quarantine
from footfall.sources.erased import Erased, WithoutErased
from footfall.sources.held import lift_empty, was_rejected
from footfall.sources.landing import Batch, read_candidate
from footfall.sources.mapped import MappedLog
from footfall.sources.months import claimed_span, snapshot_id
from footfall.store import erasures
from footfall.store import events as event_store
from footfall.tables import read_parquet, write_text

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

REPLAYED = "-replay-"
"""In the id of a batch of rows that came back from quarantine."""
INGEST_WAIT_S = 900.0
"""How long an ingest waits for another one, or for a retrain that is digesting data/raw."""


@dataclass
class Ingested:
    """What one ingest did.

    Attributes:
        batches: batches accepted now, contract and id; `known` counts those that had been accepted before.
        rows: accepted rows by contract.
        quarantined: rows put into quarantine now, by reason.
        held: batches held back, each with its failed rules and the command that shows it.
        stored: events newly in the live store.
        erased: rows of erased users that the source still has; they were left out.
        masked: direct identifiers in free text and attributes that were masked, by kind.
    """

    batches: list[str] = field(default_factory=list)
    known: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    held: list[dict[str, Any]] = field(default_factory=list)
    stored: int = 0
    erased: int = 0
    masked: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


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


def pass_gate(paths: Paths, engine: Engine, batch: Batch, until: datetime, done: Ingested) -> None:
    """Let the gate judge one batch, and put every part of it where it belongs. Rows that a person rejected as a batch are not judged again."""
    done.masked = dict(sorted((Counter(done.masked) + Counter(batch.masked)).items()))
    if batch.landed:
        done.known += 1
        return
    if was_rejected(paths, batch.contract, batch.batch_id, landing.landed_digest(batch.path / landing.ROWS)):
        shutil.rmtree(batch.path)
        done.known += 1
        return
    settle(paths, engine, batch, judge(paths, batch, until), done, until)


def settle(paths: Paths, engine: Engine, batch: Batch, judgement: gate.Judgement, done: Ingested, until: datetime | None = None) -> None:
    """Put every part of a judged batch where it belongs, and a page beside it that people can read.

    The store comes before data/raw: a kill in between is mended by the next run, because the batch is not accepted yet.
    """
    verdict = judgement.verdict
    write_text(paths.data_reports / batch.contract / f"{batch.batch_id}.html", render(verdict))
    if verdict.outcome != "pass":
        landing.hold(paths, batch, verdict)
        done.held.append(_held(batch, verdict))
        return
    quarantine.set_aside(paths, batch, judgement.bad, verdict)
    if batch.contract == EVENTS.name:
        done.stored += store_events(engine, batch, judgement)
    elif batch.contract == USERS.name and batch.origin != consents.ORIGIN:
        store_consent(engine, paths, batch, judgement.good, moment(until))
    landing.accept(paths, batch, judgement.good, verdict)
    lift_empty(paths, batch)
    done.batches.append(f"{batch.contract}/{batch.batch_id}")
    done.rows[batch.contract] = done.rows.get(batch.contract, 0) + judgement.good.num_rows
    done.quarantined = dict(sorted((Counter(done.quarantined) + Counter(verdict.quarantined)).items()))


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


@task(cache_policy=NO_CACHE, persist_result=False)
def judge(paths: Paths, batch: Batch, until: datetime) -> gate.Judgement:
    """Ask the gate about one batch. No retry: the same rows would get the same verdict."""
    known = known_items(paths) if batch.contract == EVENTS.name else None
    arrival = load_params(paths.params).ingest
    alone = REPLAYED in batch.batch_id or batch.contract == EXPOSURES.name or batch.origin == consents.ORIGIN
    past = None if alone else past_of(paths, batch, until)  # a few bad rows are no batch to compare
    return gate.judge(batch.contract, read_candidate(batch), subject=batch.batch_id, known_items=known, until=until, arrival=arrival, past=past)


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def store_events(engine: Engine, batch: Batch, judgement: gate.Judgement) -> int:
    """Upsert a batch's good events into the live store; what came in by HTTP is there, and its bad rows leave histories. Returns how many are new."""
    if batch.origin != live.ORIGIN:
        return event_store.append(engine, judgement.good).accepted
    for reason in sorted(judgement.verdict.quarantined):
        rows = [row[C.EVENT_ID] for row in judgement.bad.select([C.EVENT_ID, C.REASON]).to_pylist() if row[C.REASON] == reason]
        event_store.withdraw(engine, rows, reason)
    return 0


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def store_consent(engine: Engine, paths: Paths, batch: Batch, users: pa.Table, until: datetime) -> None:
    """Tell the live store what these users have agreed to: the service obeys it from the next request on."""
    consents.record_news(engine, paths, batch, users, until)


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


def known_items(paths: Paths) -> frozenset[str]:
    """Items of all accepted catalogue batches.

    Raises:
        HoldError: there is one, and it is held.
        SourceError: none has been accepted.
    """
    items = frozenset(landing.known_items(paths))
    if not items:
        if held := [verdict.subject for verdict in landing.list_held(paths) if verdict.contract == CATALOGUE.name]:
            where, next_step = paths.quarantine / "held", f"footfall quarantine show {held[-1]}"
            raise HoldError("the catalogue is held, so events cannot be judged", where=where, found=held[-1], next_step=next_step)
        next_step = "footfall quarantine list, or footfall ingest --source complete_journey"
        raise SourceError("no catalogue has been accepted, so events cannot be judged", where=paths.raw / CATALOGUE.name, next_step=next_step)
    return items


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


def _held(batch: Batch, verdict: Verdict) -> dict[str, Any]:
    failed = [str(check["rule"]) for check in verdict.checks if not check["ok"] and check["severity"] == "batch"]
    return {"contract": batch.contract, "batch_id": batch.batch_id, "failed": failed, "look": f"footfall quarantine show {batch.batch_id}"}


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
