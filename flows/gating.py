"""A batch before the gate: judged, and every part of it put where it belongs."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations import gate
from expectations.page import render
from flows.past import past_of
from flows.world import RETRY_DELAYS, worth_retrying
from footfall.contracts import CATALOGUE, EVENTS, EXPOSURES, USERS, C
from footfall.documents import Verdict
from footfall.errors import HoldError, SourceError
from footfall.params import load_params
from footfall.paths import Paths
from footfall.sources import consents, landing, live, quarantine
from footfall.sources.held import lift_empty, was_rejected
from footfall.sources.landing import Batch, read_candidate
from footfall.store import events as event_store
from footfall.store import shop_items
from footfall.tables import write_text

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

_ITEMS_AT_ONCE = 5_000
REPLAYED = "-replay-"
"""In the id of a batch of rows that came back from quarantine."""


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


def settle(paths: Paths, engine: Engine, batch: Batch, judgement: gate.Judgement, done: Ingested, until: datetime) -> None:
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
        store_consent(engine, paths, batch, judgement.good, until)
    elif batch.contract == CATALOGUE.name:
        store_items(engine, judgement.good, until)
    landing.accept(paths, batch, judgement.good, verdict)
    lift_empty(paths, batch)
    done.batches.append(f"{batch.contract}/{batch.batch_id}")
    done.rows[batch.contract] = done.rows.get(batch.contract, 0) + judgement.good.num_rows
    done.quarantined = dict(sorted((Counter(done.quarantined) + Counter(verdict.quarantined)).items()))


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
def store_items(engine: Engine, catalogue: pa.Table, until: datetime) -> None:
    """Tell the live store of these items, some thousand at a time so that the service can write in between: filters and rules read them there."""
    for first in range(0, catalogue.num_rows, _ITEMS_AT_ONCE):
        shop_items.put(engine, catalogue.slice(first, _ITEMS_AT_ONCE), until)


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


def _held(batch: Batch, verdict: Verdict) -> dict[str, Any]:
    failed = [str(check["rule"]) for check in verdict.checks if not check["ok"] and check["severity"] == "batch"]
    return {"contract": batch.contract, "batch_id": batch.batch_id, "failed": failed, "look": f"footfall quarantine show {batch.batch_id}"}
