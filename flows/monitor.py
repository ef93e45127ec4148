"""Flow `monitor`: a reference window against the current one, a report and a review record; on drift an event, never without.

The event is what the automation `retrain-on-drift` waits for. It is sent once a comparison, and not while a release that was decided
already has read into the current window: such a comparison says nothing yet about what a newer training would bring.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventIDFilter
from prefect.settings import PREFECT_API_URL

import monitoring
from bentos.registry import bundle_path
from flows.events import DRIFT_DETECTED, model_resource
from flows.ingest import moment
from flows.world import RETRY_DELAYS, worth_retrying
from footfall import store
from footfall.bundle import open_bundle
from footfall.contracts import ANALYSE, CATALOGUE, C
from footfall.documents import Review
from footfall.errors import ReleaseError, ServiceError
from footfall.manifest import CACHE, check_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.settings import load_settings
from footfall.signing import verify_keys_in
from footfall.store import consent, exposures, releases, reviews
from footfall.store import events as event_store
from footfall.store.releases import Release
from footfall.tables import read_parquet

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

_ARRIVAL_S = 15.0
"""How long an event may take to be readable at the server."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Spans:
    """The two windows, each [start, end) in UTC."""

    reference: Span
    current: Span


@flow(name="monitor", persist_result=False)
def monitor(until: datetime | None = None) -> dict[str, Any]:
    """Compare the `monitor.window_days` up to `until` with those before, as far as the champion has learnt them.

    Args:
        until: UTC; None means now.

    Raises:
        ReleaseError: there is no champion to watch.
        SignatureError: the champion is not signed as FOOTFALL_VERIFY_KEYS asks.
        ServiceError: drift was found, and the event did not reach the Prefect server.
    """
    settings = load_settings()
    paths, params = settings.paths, load_params(settings.paths.params)
    engine = store.open_store(settings.store_url)
    try:
        champion = releases.champion(engine)
        if champion is None:
            raise ReleaseError(
                "there is no champion to watch",
                where="live store",
                expected="a release that serves",
                next_step="prefect deployment run retrain/on-drift",
            )
        spans = choose_spans(moment(until), champion.as_of, params.monitor.window_days)
        review = watch(engine, paths, champion, spans, params)
        emitted, why = announce(engine, review, champion)
    finally:
        engine.dispose()
    get_run_logger().info("verdict of review %s: %s. %s %s", review.review_id, review.verdict, " ".join(review.reasons), why)
    return {
        "review_id": review.review_id,
        "verdict": review.verdict,
        "reasons": review.reasons,
        "event": None if emitted is None else str(emitted),
        "why": why,
    }


def choose_spans(until: datetime, champion_as_of: datetime, days: int) -> Spans:
    """The current window is the `days` up to `until`; the reference window the `days` before it, or before the champion's `as_of` if earlier.

    So the reference is always what the champion has learnt from, and the two never overlap.
    """
    length = timedelta(days=days)
    start = until - length
    end = min(start, champion_as_of)
    return Spans(reference=(end - length, end), current=(start, until))


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def read_windows(engine: Engine, paths: Paths, spans: Spans) -> tuple[pa.Table, pa.Table, pa.Table, pa.Table]:
    """Reference and current events, the catalogue, and the slates shown in both windows; who refuses to be analysed is in none of them."""
    reference, current = (event_store.window(engine, *span) for span in (spans.reference, spans.current))
    shown = pa.concat_tables([exposures.window(engine, *span) for span in (spans.reference, spans.current)])
    refusing = consent.refusals(engine, ANALYSE)
    reference, current, shown = (without_users(table, refusing) for table in (reference, current, shown))
    check_manifest(paths.tables, [f"{CATALOGUE.name}.parquet"], next_step=f"{CACHE}, or dvc repro --force events")
    catalogue = CATALOGUE.check(read_parquet(paths.tables / f"{CATALOGUE.name}.parquet", next_step="dvc repro"))
    return reference, current, catalogue, shown


def without_users(table: pa.Table, users: Collection[str]) -> pa.Table:
    """Rows of all users but these, and of nobody."""
    theirs = pc.is_in(table.column(C.USER_ID), value_set=pa.array(sorted(users), pa.string()))
    return table.filter(pc.invert(theirs)) if users else table


@task(cache_policy=NO_CACHE, persist_result=False)
def compare(paths: Paths, champion: Release, spans: Spans, tables: tuple[pa.Table, pa.Table, pa.Table, pa.Table], params: Params) -> Review:
    """Ask `monitoring` for the verdict and write its reports. No retry: the same windows would give the same verdict."""
    reference, current, catalogue, shown = tables
    comparison = monitoring.compare_windows(
        reference,
        current,
        catalogue,
        vocabulary_of(champion),
        shown,
        params.monitor.limits,
        reference=spans.reference,
        current=spans.current,
        offline=offline_hit_rate(champion, params.split.test_days),
    )
    created_at = datetime.now(UTC).isoformat()
    review = monitoring.review_of(comparison, release=champion.release_id, created_at=created_at)
    written = monitoring.write_reports(comparison, paths.monitoring_reports, review.review_id)
    html, json = (str(path.relative_to(paths.root)) for path in (written.html, written.json))
    return monitoring.review_of(comparison, release=champion.release_id, created_at=created_at, report_html=html, report_json=json)


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def keep_review(engine: Engine, review: Review) -> Review:
    """Keep the review; one of the same two windows and release stays as it is."""
    return reviews.add(engine, review)


def watch(engine: Engine, paths: Paths, champion: Release, spans: Spans, params: Params) -> Review:
    """Read, compare, keep."""
    return keep_review(engine, compare(paths, champion, spans, read_windows(engine, paths, spans), params))


def announce(engine: Engine, review: Review, champion: Release) -> tuple[UUID | None, str]:
    """Send the drift event if this review calls for one; return its id and a sentence that says why or why not."""
    quiet = silence(review, [known.as_of for known in releases.list_all(engine) if known.state != releases.CANDIDATE])
    if quiet is not None:
        return None, quiet
    if PREFECT_API_URL.value() is None:
        return None, "No event: this run has a server of its own, where no automation would answer. Start production (make up) and run it again."
    event = send_event(review, champion)
    reviews.decide(engine, review.review_id, "retrain", decided_by="flow monitor", note=f"event {event}")
    return event, "A drift event was sent."


def silence(review: Review, decided_as_of: Collection[datetime]) -> str | None:
    """Why no event is due, as a sentence; None when one is.

    Args:
        review: the comparison that was made.
        decided_as_of: `as_of` of every release that was promoted or refused so far.
    """
    if review.verdict != monitoring.DRIFT:
        return "No event: no drift."
    if review.state != "open":
        return f"No event: this review was decided before ({review.state})."
    start = datetime.fromisoformat(review.current[0])
    newest = max(decided_as_of, default=None)
    if newest is not None and newest > start:
        return f"No event: a release trained up to {newest.isoformat()} has read into this window; it must be past first."
    return None


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE, persist_result=False)
def send_event(review: Review, champion: Release) -> UUID:
    """Send the drift event and see it at the server; its id belongs to the review, so a second sending is the same event.

    Raises:
        ServiceError: it did not arrive.
    """
    identity = uuid5(NAMESPACE_URL, f"footfall:{DRIFT_DETECTED}:{review.review_id}")
    payload = {"as_of": review.current[1], "reason": f"drift: {review.reasons[0]}", "review_id": review.review_id, "release": champion.release_id}
    emit_event(event=DRIFT_DETECTED, resource=model_resource(champion.release_id), payload=payload, id=identity)
    deadline = time.monotonic() + _ARRIVAL_S
    while time.monotonic() < deadline:
        if _has_arrived(identity):
            return identity
        time.sleep(0.5)
    raise ServiceError(
        "the drift event did not reach the Prefect server",
        where=PREFECT_API_URL.value(),
        found=f"review {review.review_id}",
        next_step="footfall status, then run the monitor flow again",
    )


def vocabulary_of(champion: Release) -> tuple[str, ...]:
    """Items that the champion can recommend.

    Raises:
        SignatureError: it is not signed as FOOTFALL_VERIFY_KEYS asks.
    """
    return open_bundle(bundle_path(champion.model_tag), verify_keys_in()).vocabulary.item_ids


def offline_hit_rate(champion: Release, test_days: int) -> monitoring.OfflineHitRate | None:
    """Share of users with a hit at the top 10 in the champion's own evaluation, when its metrics say it."""
    value = champion.metrics.get("policies", {}).get("fused", {}).get("hit_rate@10")
    return None if value is None else monitoring.OfflineHitRate(float(value), test_days)


def _has_arrived(identity: UUID) -> bool:
    with get_client(sync_client=True) as client:
        return bool(client.read_events(EventFilter(id=EventIDFilter(id=[identity])), limit=1).events)
