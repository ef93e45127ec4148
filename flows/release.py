"""Flow `release`: the bundle of this workspace becomes a release record, is judged against the champion, and is promoted or refused.

Every step can be repeated: records, models and bentos are keyed by the bundle's digest, and a release that was decided stays decided.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from bentos import build as bento_build
from bentos import registry
from flows import erasing
from flows.lease import lease
from flows.versions import repository
from flows.world import RETRY_DELAYS, worth_retrying
from footfall import judging, store
from footfall.bundle import bundle_digest, open_bundle, release_id
from footfall.core.promotion import PROMOTE, decide
from footfall.documents import Decision, Manifest
from footfall.errors import BundleError
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.settings import load_settings
from footfall.signing import signing_key_in, verify_keys_in
from footfall.store import releases
from footfall.store.releases import Release
from footfall.tables import write_text

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


@flow(name="release", persist_result=False)
def release() -> dict[str, Any]:
    """Judge `data/bundle` and promote or refuse it; returns the decision.

    Raises:
        BundleError: there is no bundle, or not even its manifest can be read.
        SignatureError: the champion is not signed as FOOTFALL_VERIFY_KEYS asks; the bundle stays a candidate.
        BusyError: a retrain is at work.
        WorkspaceError: this is no workspace.
    """
    settings = load_settings()
    paths = settings.paths
    repository.require_workspace(paths.root)
    with lease(paths.lease, "release"):
        engine = store.open_store(settings.store_url)
        try:
            decision = settle(engine, paths, load_params(paths.params))
        finally:
            engine.dispose()
        keep(paths, decision)
        return decision.as_dict()


def settle(engine: Engine, paths: Paths, params: Params) -> Decision:
    """Bring the bundle's release record to its end state."""
    record = enter_record(engine, paths)
    if record.state != releases.CANDIDATE and record.decision is not None:
        get_run_logger().info("release %s was decided before: %s", record.release_id, record.state)
        return Decision.from_json(json.dumps(record.decision), where=record.release_id)
    decision = judge(paths, params, record, releases.champion(engine))
    get_run_logger().info("%s release %s: %s", decision.outcome, record.release_id, " ".join(decision.reasons))
    if decision.outcome == PROMOTE:
        promote(engine, paths, decision)
    else:
        refuse(engine, decision)
    return decision


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def enter_record(engine: Engine, paths: Paths) -> Release:
    """Register the bundle in the BentoML model store and its record in the live store.

    A damaged bundle gets a record alone, so that it can be refused.
    """
    release_name = release_id(paths.bundle)
    record = describe(paths, release_name)
    try:
        open_bundle(paths.bundle)
    except BundleError as error:
        get_run_logger().error("the bundle is unusable: %s", error)
        return releases.add(engine, record)
    metadata = {
        "release_id": release_name,
        "as_of": record.as_of.isoformat(),
        "git_revision": record.git_revision or "",
        "dvc_lock_digest": record.dvc_lock_digest or "",
    }
    return releases.add(engine, replace(record, model_tag=registry.register(paths.bundle, release_name, metadata)))


@task(cache_policy=NO_CACHE, persist_result=False)
def judge(paths: Paths, params: Params, record: Release, champion: Release | None) -> Decision:
    """Gather the evidence and decide. No retry: the same bundles would get the same decision.

    Raises:
        SignatureError: the champion is not signed as FOOTFALL_VERIFY_KEYS asks; nothing is decided.
    """
    folder = None if champion is None else registry.bundle_path(champion.model_tag)
    evidence = judging.judge(folder, paths.bundle, paths.tables, params, verify_keys_in(), record.metrics)
    outcome, reasons = decide(evidence, params.release)
    return Decision(record.release_id, None if champion is None else champion.release_id, outcome, reasons, evidence)


@task(retries=1, retry_delay_seconds=RETRY_DELAYS[0], retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def promote(engine: Engine, paths: Paths, decision: Decision) -> Release:
    """Build the bento, sign the bundle where there is a key, then move the pointer: whoever starts from here on finds the champion's bento.

    Raises:
        ErasureError: a user was erased since the bundle's data was read.
        BundleError: the registered bundle is not the one that was judged, or is not signed as FOOTFALL_VERIFY_KEYS asks.
    """
    record = releases.get(engine, decision.challenger)
    if record.bento_tag is None:
        releases.set_bento_tag(engine, record.release_id, bento_build.build(paths.root, record.model_tag))
    erasing.require_made_since(paths.root, engine)
    registry.vouch(record, signing_key_in(), verify_keys_in())
    return releases.promote(engine, record.release_id, decision.as_dict())


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying, cache_policy=NO_CACHE, persist_result=False)
def refuse(engine: Engine, decision: Decision) -> Release:
    """Keep the challenger from serving."""
    return releases.refuse(engine, decision.challenger, decision.as_dict())


def describe(paths: Paths, release_name: str) -> Release:
    """The record of a candidate: what is known only outside the bundle.

    Raises:
        BundleError: the manifest cannot be read.
    """
    lock, metrics = paths.root / "dvc.lock", {}
    if paths.metrics_report.exists():
        metrics = json.loads(paths.metrics_report.read_text(encoding="utf-8"))
    return Release(
        release_id=release_name,
        model_tag="",
        state=releases.CANDIDATE,
        created_at=datetime.now(UTC),
        as_of=_manifest_as_of(paths.bundle),
        git_revision=repository.revision(paths.root),
        dvc_lock_digest=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        metrics=metrics | {"bundle_digest": bundle_digest(paths.bundle)},
    )


def keep(paths: Paths, decision: Decision) -> None:
    """Keep the decision in git, and tag what was promoted."""
    path = paths.decisions / f"{decision.challenger}.json"
    if not path.exists() or path.read_text(encoding="utf-8") != decision.to_json():
        write_text(path, decision.to_json())
    repository.commit_candidate(paths.root, f"Decide on {decision.challenger}: {decision.outcome}")
    if decision.outcome == PROMOTE:
        repository.tag(paths.root, f"release/{decision.challenger}")


def _manifest_as_of(bundle: Path) -> datetime:
    from footfall.manifest import MANIFEST

    try:
        manifest = Manifest.from_json((bundle / MANIFEST).read_text(encoding="utf-8"), where=bundle / MANIFEST)
        return datetime.fromisoformat(manifest.as_of)
    except (OSError, ValueError) as error:
        raise BundleError("manifest cannot be read", where=bundle / MANIFEST, found=str(error), next_step="dvc repro bundle") from error
