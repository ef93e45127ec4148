"""DVC's cache as a folder of objects: what a digest names, which objects are damaged, and how whole copies take their place.

DVC trusts an object that lies read-only in its cache and checks it out as it is; here each is hashed. An object's name is its md5.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.versions.commands import dvc
from footfall.bundle import open_bundle
from footfall.errors import FootfallError, WorkspaceError
from footfall.manifest import check_manifest
from footfall.paths import Paths
from footfall.tables import replacing

FOLDER = ".dir"
"""Ending of a digest that names a folder's listing."""
RAW = "data/raw"


@dataclass(frozen=True)
class Mended:
    """What `mend` found and did.

    Attributes:
        damaged: objects of the cache that were not what their names say; they are gone.
        restored: files of the workspace that a whole copy has replaced.
        lost: files of the workspace of which no whole copy is left; each with the next thing to type.
    """

    damaged: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


def cache_folder(root: Path) -> Path:
    """Where this workspace's DVC keeps its objects."""
    return Path(dvc(root, "cache", "dir")[-1])


def object_path(cache: Path, digest: str) -> Path:
    """The object that a digest names, there or not."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def listing(cache: Path, digest: str) -> dict[str, str] | None:
    """md5 of every file of a folder by its relative name; None when the cache does not hold the listing, or no whole one."""
    path = object_path(cache, digest)
    if not path.exists() or not is_whole(path):
        return None
    entries: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return {entry["relpath"]: entry["md5"] for entry in entries}


def is_whole(path: Path) -> bool:
    """Whether an object is what its name says."""
    return md5_of(path) == f"{path.parent.name}{path.name.removesuffix(FOLDER)}"


def outputs(document: dict[str, Any], stages: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Path -> (digest, the stage that makes it) of what `data/raw.dvc` and `dvc.lock` name, both as read from YAML."""
    found = {}
    for out in document.get("outs", []):
        found[RAW] = (str(out["md5"]), "")
    for name, stage in stages.get("stages", {}).items():
        found |= {str(out["path"]): (str(out["md5"]), str(name)) for out in stage.get("outs", [])}
    return found


def recorded(root: Path) -> dict[str, tuple[str, str]]:
    """`outputs` of the workspace as it is."""
    raw, lock = root / f"{RAW}.dvc", root / "dvc.lock"
    texts = [yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {} for path in (raw, lock)]
    return outputs(texts[0] or {}, texts[1] or {})


def damaged_objects(root: Path) -> list[Path]:
    """Objects of the cache that are not what their names say, each hashed once."""
    files = cache_folder(root) / "files" / "md5"
    return [path for path in sorted(files.glob("[0-9a-f][0-9a-f]/*")) if len(path.stem) == 30 and not is_whole(path)]


def mend(root: Path) -> Mended:
    """Take damaged objects out of the cache, fetch whole ones from the remote, and replace damaged files of the workspace.

    A file that its own folder's manifest vouches for is left alone, recorded or not: batches that were accepted since the last retrain are such.
    Call it with nothing else at work in the workspace.
    """
    done, cache = Mended(), cache_folder(root)
    for path in damaged_objects(root):
        done.damaged.append(f"{path.parent.name}{path.name}")
        path.unlink()
    with contextlib.suppress(WorkspaceError):  # no remote, or one that lacks some: what is missing is found below
        dvc(root, "fetch", "--quiet")
    for path, digest, stage in _files(root, cache):
        if path.exists() and md5_of(path) == digest:
            continue
        name = str(path.relative_to(root))
        if _vouched(root, path):
            continue
        whole = object_path(cache, digest)
        if whole.exists():
            with replacing(path) as file:
                file.write(whole.read_bytes())
            done.restored.append(name)
        else:
            path.unlink(missing_ok=True)  # DVC would take it for what it recorded
            done.lost[name] = f"dvc repro {stage}" if stage else f"rm -r {path.parent}, then footfall ingest"
    return done


def _files(root: Path, cache: Path) -> Iterator[tuple[Path, str, str]]:
    """Each file that the records name: path, md5, stage."""
    for name, (digest, stage) in recorded(root).items():
        if not digest.endswith(FOLDER):
            if object_path(cache, digest).exists():  # small reports are git's
                yield root / name, digest, stage
            continue
        for relative, md5 in (listing(cache, digest) or {}).items():
            yield root / name / relative, md5, stage


def _vouched(root: Path, path: Path) -> bool:
    """Whether the manifest of the folder that holds `path` says that all of it is whole."""
    paths = Paths(root)
    try:
        if path.is_relative_to(paths.bundle):
            open_bundle(paths.bundle)
        else:
            check_manifest(path.parent, next_step="")
    except FootfallError:
        return False
    return path.exists()


def md5_of(path: Path) -> str:
    """md5 of a file: its name in the cache."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
