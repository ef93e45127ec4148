"""Erasure certificates: written while an erasure goes on, kept in the store and in git, and read back when the store has forgotten.

A certificate counts and dates; whom it is about it knows by digest alone. What the store keeps of it is `footfall.store.certificates`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import yaml

from flows.versions.commands import git
from flows.versions.objects import Found
from flows.versions.workspace import BRANCH
from footfall.documents import ErasureCertificate
from footfall.paths import Paths
from footfall.store import Engine, erasures
from footfall.store.certificates import note, read
from footfall.store.erasures import Erasure

__all__ = ["RAW", "commit", "note", "path_of", "read", "recall", "remains", "trained_on"]

RAW = "raw batches"
"""The place that training reads."""


def path_of(paths: Paths, erasure_id: str) -> Path:
    """Where a certificate lies, in git as the other reports are."""
    return paths.reports / "erasures" / f"{erasure_id}.json"


def recall(paths: Paths, engine: Engine) -> int:
    """Put erasures on record whose certificates lie here and which the store has forgotten, restored from before them. Returns how many."""
    kept = []
    for path in sorted(path_of(paths, "*").parent.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        said = ErasureCertificate.from_json(text, where=path)
        requested, finished = datetime.fromisoformat(said.requested_at), datetime.fromisoformat(said.finished_at) if said.finished_at else None
        kept.append(Erasure(said.erasure_id, said.subject, requested, finished, text))
    return erasures.remember(engine, kept) if kept else 0


def trained_on(root: Path, found: Sequence[Found]) -> list[dict[str, str]]:
    """Releases, candidates among them, whose raw batches are about to go: what a tag names as data/raw is one of the bad listings."""
    bad = {oid for place in found for oid in place.listings}
    affected = {}
    for name in git(root, "tag", "--list", "release/*", "candidate/*").split() if bad and (root / ".git").exists() else []:
        text = git(root, "show", f"{name}:data/raw.dvc", check=False)
        if text and str(yaml.safe_load(text)["outs"][0].get("md5")) in bad:
            release_id = name.split("/", 1)[1]
            affected[release_id] = {"release_id": release_id, "revision": git(root, "rev-list", "-n1", name)}
    return [affected[name] for name in sorted(affected)]


def remains(paths: Paths, engine: Engine, known: ErasureCertificate) -> list[str]:
    """What an erasure does not reach, said plainly."""
    said = []
    if any(place["place"] == RAW and place["rows"] for place in known.places):
        said.append("weights, bundles and metrics of releases made before: they were trained on this user among all others and hold no history")
        said.append("the release that serves: the next retrain leaves this user out")
    said.append("backups made before: footfall restore carries out this erasure again")
    if engine.dialect.name != "sqlite":
        said.append(f"what {engine.dialect.name} keeps of deleted rows until it cleans its pages and logs, and its own backups")
    if aside := sorted(path.name for path in paths.state.glob(f"{paths.store.name}.damaged-*")):
        said.append(f"damaged store files that were set aside, which nobody can look into: delete {', '.join(aside)}")
    if slates := sorted(path.name for path in paths.slates.glob("*")):
        said.append(f"slates that were written for everybody before: when they have been sent, delete {', '.join(slates)} in {paths.slates}")
    said.append("the shop's own log, which is not Footfall's: an ingest leaves these rows out")
    return said


def commit(root: Path, message: str, names: list[str]) -> None:
    """Commit these files alone, in a workspace; a person's checkout is theirs to commit."""
    if (root / ".git").is_dir() and git(root, "symbolic-ref", "--quiet", "--short", "HEAD", check=False) == BRANCH:
        git(root, "add", "--", *names)
        if git(root, "diff", "--cached", "--name-only", "--", *names):
            git(root, "commit", "--quiet", "--no-verify", "-m", message, "--", *names)
