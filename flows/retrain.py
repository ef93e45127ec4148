"""Flow `retrain`: the DVC graph at a later `as_of`, then the release gate. One at a time, and undone as a whole when it fails.

A retrain that a user's erasure overtakes stops, is undone, lets the erasure through, and begins again.

The order of the tasks is the story: ingest, date, reproduce, commit, release, push.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from flows import erasing
from flows.ingest import INGEST_WAIT_S, ingest, moment
from flows.lease import lease, lease_is_held, read_lease
from flows.release import release
from flows.versions import repository
from flows.world import RETRY_DELAYS, worth_retrying
from footfall import store
from footfall.bundle import release_id
from footfall.core.promotion import PROMOTE
from footfall.errors import ErasureError, FootfallError
from footfall.paths import Paths
from footfall.settings import Settings, load_settings
from footfall.store import releases

ATTEMPTS = 3
"""How often a retrain begins anew because a user was erased meanwhile."""
RETRAIN_WAIT_S = 3600.0
"""How long a retrain waits for another one; what it then finds decided already it does not do again."""


@flow(name="retrain", persist_result=False)
def retrain(as_of: datetime | None = None, reason: str = "by hand", source: str | None = None, force: bool = False) -> dict[str, Any]:
    """Train on everything before `as_of` and put the result before the release gate.

    Args:
        as_of: UTC; None means now.
        reason: why, in words; kept in the commit.
        source: an outside source to ingest first; None takes what came in by HTTP.
        force: run even when a release with this or a later `as_of` was decided already.

    Raises:
        BusyError: another retrain holds the lease for more than an hour.
        HoldError: the canonical tables were held.
        WorkspaceError: this is no workspace, or a stage failed; the workspace is back at its last commit.
        ErasureError: erasures overtook it again and again.
    """
    settings, as_of = load_settings(), moment(as_of)
    repository.require_workspace(settings.paths.root)
    for left in reversed(range(ATTEMPTS)):
        try:
            return once(settings, as_of, reason, source, force)
        except ErasureError as error:
            if not left:
                raise
            get_run_logger().warning("%s; the retrain begins again once the erasure is through", error.what)
            erasing.let_through(settings)
    raise AssertionError("unreachable")


def once(settings: Settings, as_of: datetime, reason: str, source: str | None, force: bool) -> dict[str, Any]:
    """One attempt, holding the lease."""
    paths = settings.paths
    if lease_is_held(paths.lease):
        get_run_logger().info("waiting for whoever holds the lease: %s", read_lease(paths.lease))
    with lease(paths.lease, f"retrain to {as_of.isoformat()}: {reason}", wait_s=RETRAIN_WAIT_S) as handle:
        newest = None if force else newest_decided(settings)
        if newest is not None and newest >= as_of:
            get_run_logger().info("nothing to do: a release with as_of %s was decided already", newest.isoformat())
            return {"status": "coalesced", "as_of": as_of.isoformat(), "newest": newest.isoformat(), "reason": reason}
        seconds: dict[str, float] = {}
        with undone_on_failure(paths):
            with _timed(seconds, "ingest"):
                ingested = ingest(source=source, until=as_of)
            finish_erasures(settings)
            with _timed(seconds, "reproduce"):
                date(paths, as_of)
                reproduce(settings, handle)
            candidate = commit(paths, as_of, reason)
        with _timed(seconds, "release"):
            decision = release()
        pushed = push_if_possible(paths)
    status = "promoted" if decision["outcome"] == PROMOTE else "refused"
    return {
        "status": status,
        "as_of": as_of.isoformat(),
        "reason": reason,
        "release_id": candidate,
        "ingested": ingested,
        "decision": decision,
        "pushed": pushed,
        "seconds": seconds,
    }


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def newest_decided(settings: Settings) -> datetime | None:
    """The latest `as_of` that the release gate has spoken on."""
    engine = store.open_store(settings.store_url)
    try:
        return max((known.as_of for known in releases.list_all(engine) if known.state != releases.CANDIDATE), default=None)
    finally:
        engine.dispose()


@task(cache_policy=NO_CACHE, persist_result=False)
def date(paths: Paths, as_of: datetime) -> None:
    """Put the accepted batches under DVC and write `as_of` into params.yaml; no ingest changes data/raw meanwhile."""
    with lease(paths.ingest_lease, "dvc add data/raw", wait_s=INGEST_WAIT_S):
        repository.dvc_add_raw(paths.root)
    repository.set_as_of(paths.root, as_of)


@task(cache_policy=NO_CACHE, persist_result=False)
def reproduce(settings: Settings, lease_handle: int) -> None:
    """One `dvc repro`, its lines in the run's log. No retry: what DVC runs is maths.

    Raises:
        ErasureError: a user was erased meanwhile; DVC was stopped.
    """
    engine = store.open_store(settings.store_url)
    try:
        repository.repro(settings.paths.root, on_line=get_run_logger().info, keep_open=[lease_handle], stop=lambda: erasing.is_overtaken(engine))
    except FootfallError:
        erasing.require_none_waiting(engine)  # then that is why it failed
        raise
    else:
        erasing.require_none_waiting(engine)
    finally:
        engine.dispose()


@task(cache_policy=NO_CACHE, persist_result=False)
def finish_erasures(settings: Settings) -> None:
    """Carry out what erasures on record have left to do, such as those that were killed: this run must not train on their rows."""
    erasing.finish_waiting(settings)


@task(cache_policy=NO_CACHE, persist_result=False)
def commit(paths: Paths, as_of: datetime, reason: str) -> str:
    """Commit and tag the candidate; returns its release id."""
    candidate = release_id(paths.bundle)
    repository.commit_candidate(
        paths.root, f"Train {candidate} to {as_of:%Y-%m-%d}\n\nReason: {reason}\nas_of: {as_of.isoformat()}\nFlow run: {_run_name()}"
    )
    repository.tag(paths.root, f"candidate/{candidate}")
    return candidate


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE, persist_result=False)
def push(paths: Paths) -> list[str]:
    """Push data and git where remotes are set."""
    return repository.push(paths.root)


def push_if_possible(paths: Paths) -> list[str] | None:
    """Push, and say so when it does not work: the run stands, and the next one pushes for both. None then."""
    try:
        return push(paths)
    except FootfallError as error:
        get_run_logger().error("nothing is lost, but this run was not pushed; the next retrain pushes it too: %s", error)
        return None


@contextlib.contextmanager
def undone_on_failure(paths: Paths) -> Iterator[None]:
    """Put the workspace back to its last commit when the block fails; first of all undo what a killed run left."""
    if repository.tidy(paths.root):
        get_run_logger().warning("an earlier retrain was interrupted; what it left was undone first")
    try:
        yield
    except BaseException as error:  # a cancelled run is undone too; the error goes on
        get_run_logger().error("the retrain failed; the workspace goes back to its last commit")
        try:
            repository.undo(paths.root)
        except FootfallError as second:  # the next retrain undoes it first; the first error is the one to read
            error.add_note(f"and the workspace could not be put back: {second}")
        raise


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - start, 1)


def _run_name() -> str:
    context = FlowRunContext.get()
    return context.flow_run.name if context and context.flow_run else "none"
