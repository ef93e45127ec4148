"""What git and DVC recorded of a release at its commit: the code, every raw batch, the parameters. Reads; changes nothing.

Needs git and DVC's cache, and neither the workspace's files nor a network: a release is traced whatever came after it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.versions.cache import RAW, cache_folder, listing, object_path, outputs
from flows.versions.commands import git
from footfall.documents import Verdict
from footfall.errors import ContractError, WorkspaceError
from footfall.manifest import MANIFEST
from footfall.sources.landing import RECEIPT, ROWS
from footfall.store.releases import Release


@dataclass(frozen=True)
class TracedBatch:
    """One raw batch that a release has learnt from.

    Attributes:
        rows: accepted ones, from the receipt; None when the receipt is no longer in the cache.
        md5: of its rows' file, as DVC recorded it.
        sha256: of the same file, from the batch's own manifest; None when that is not in the cache.
    """

    contract: str
    batch_id: str
    rows: int | None
    md5: str
    sha256: str | None


@dataclass(frozen=True)
class Trace:
    """Where a release comes from.

    Attributes:
        code: revision, its tags, subject and moment of the commit.
        data: digest of data/raw, its batches (None: the listing is no longer in the cache), and the digest of every output by path.
        params: params.yaml at that revision.
        lock_agrees: whether dvc.lock at that revision is the one that the record was made from.
    """

    release_id: str
    state: str
    as_of: str
    parent: str | None
    code: dict[str, Any]
    data: dict[str, Any]
    params: dict[str, Any]
    lock_agrees: bool
    decision: dict[str, Any] | None
    metrics: dict[str, Any]


def trace(root: Path, release: Release) -> Trace:
    """Everything that the release was made of.

    Raises:
        WorkspaceError: the record names no commit, or git does not have it.
    """
    revision = _commit(root, release)
    lock = git(root, "show", f"{revision}:dvc.lock", check=False)
    raw = git(root, "show", f"{revision}:{RAW}.dvc", check=False)
    named = outputs(yaml.safe_load(raw) or {}, yaml.safe_load(lock) or {})
    cache = cache_folder(root)
    digest = named.get(RAW, ("", ""))[0]
    batches = _batches(cache, digest)
    return Trace(
        release_id=release.release_id,
        state=release.state,
        as_of=release.as_of.isoformat(),
        parent=release.parent,
        code=_code(root, revision, release.release_id),
        data={"raw": digest or None, "batches": batches, "outputs": {path: md5 for path, (md5, _) in named.items() if path != RAW}},
        params=yaml.safe_load(git(root, "show", f"{revision}:params.yaml")),
        lock_agrees=hashlib.sha256(f"{lock}\n".encode()).hexdigest() == release.dvc_lock_digest,
        decision=release.decision,
        metrics=release.metrics,
    )


def _commit(root: Path, release: Release) -> str:
    if release.git_revision is None:
        raise WorkspaceError("the release record names no commit", where=release.release_id, next_step=f"footfall release show {release.release_id}")
    found = git(root, "rev-parse", "--verify", "--quiet", f"{release.git_revision}^{{commit}}", check=False)
    if not found:
        raise WorkspaceError(
            "git does not have the commit of this release",
            where=root,
            expected=release.git_revision,
            next_step="run in the workspace that made it, or git fetch from where it was pushed",
        )
    return found


def _code(root: Path, revision: str, release_id: str) -> dict[str, Any]:
    subject, moment = git(root, "show", "--no-patch", "--format=%s%n%cI", revision).splitlines()
    return {"revision": revision, "tags": git(root, "tag", "--list", f"*/{release_id}").split(), "subject": subject, "committed_at": moment}


def _batches(cache: Path, digest: str) -> list[TracedBatch] | None:
    """The raw batches that a listing names, in the order of contract and id; None when the cache no longer holds it."""
    files = listing(cache, digest) if digest else {}
    if files is None:
        return None
    found = []
    for name, md5 in sorted(files.items()):
        folder, _, file = name.rpartition("/")
        if file == ROWS and folder.count("/") == 1:
            contract, batch_id = folder.split("/")
            sha256 = _sha256(cache, files.get(f"{folder}/{MANIFEST}"))
            found.append(TracedBatch(contract, batch_id, _rows(cache, files.get(f"{folder}/{RECEIPT}")), md5, sha256))
    return found


def _rows(cache: Path, digest: str | None) -> int | None:
    try:
        verdict = Verdict.from_json(object_path(cache, digest or "-").read_text(encoding="utf-8"))
    except (OSError, ContractError):
        return None
    return verdict.rows - sum(verdict.quarantined.values())


def _sha256(cache: Path, digest: str | None) -> str | None:
    try:
        found: str = json.loads(object_path(cache, digest or "-").read_text(encoding="utf-8"))["files"][ROWS]
    except (OSError, ValueError, KeyError):
        return None
    return found
