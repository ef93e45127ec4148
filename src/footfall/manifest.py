"""manifest.json: the sha256 of every file of a folder, written when the folder is and held against it before use.

DVC trusts what lies read-only in its cache, so that a damaged object is checked out as if it were whole. What is used here is hashed first.
Raw batches and the outputs of the stages have one; a bundle's own MANIFEST says more and is verified by the same hashes (`footfall.bundle`).
This module knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from footfall.errors import SourceError
from footfall.tables import write_text

MANIFEST = "manifest.json"
SCHEMA = "footfall.files/1"
CACHE = "footfall doctor cache --mend"
"""What brings a damaged file back, wherever a whole copy of it is left."""


def digest_of(content: bytes) -> str:
    """sha256 of bytes in memory, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file, read once and never held whole.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Write down what every file of `folder` is now. Do this last: a file that is written later is not what the manifest says."""
    files = {name: file_digest(folder / name) for name in _names(folder)}
    write_text(folder / MANIFEST, json.dumps({"schema": SCHEMA, "files": files}, indent=1, sort_keys=True) + "\n")


def read_manifest(folder: Path, *, next_step: str) -> dict[str, str]:
    """sha256 of each file by its name below `folder`.

    Raises:
        SourceError: there is no manifest, or it cannot be understood.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SourceError("folder has no manifest", where=path, expected="sha256 of every file", found="nothing", next_step=next_step) from error
    except (OSError, ValueError) as error:
        raise SourceError("manifest is damaged", where=path, expected=SCHEMA, found=type(error).__name__, next_step=next_step) from error
    if not _understood(document):
        raise SourceError("manifest is damaged", where=path, expected=SCHEMA, found="another document", next_step=next_step)
    files: dict[str, str] = document["files"]
    return files


def check_manifest(folder: Path, names: Iterable[str] | None = None, *, next_step: str) -> None:
    """Hold files against the manifest, each read and hashed once. Do this before anything of them is used.

    Args:
        folder: what `write_manifest` was called for.
        names: the files that will be read; None means all, and that nothing else lies there.
        next_step: what mends a damaged file, for the error.

    Raises:
        SourceError: a file is missing, is not listed, or differs by as little as a bit; or the manifest itself does.
    """
    files = read_manifest(folder, next_step=next_step)
    if names is None and (extra := sorted(set(_names(folder)) - set(files))):
        raise SourceError("file is not in the manifest", where=folder / extra[0], expected=sorted(files), found=extra, next_step=next_step)
    for name in sorted(files) if names is None else names:
        expected, path = files.get(name), folder / name
        if expected is None:
            raise SourceError("file is not in the manifest", where=path, expected=sorted(files), found=name, next_step=next_step)
        try:
            found = file_digest(path)
        except OSError as error:
            raise SourceError(
                "file cannot be read", where=path, expected=f"sha256 {expected}", found=type(error).__name__, next_step=next_step
            ) from error
        if found != expected:
            raise SourceError("file is damaged", where=path, expected=f"sha256 {expected}", found=f"sha256 {found}", next_step=next_step)


def _names(folder: Path) -> list[str]:
    """Files below `folder` but the manifest; hidden ones are half-written and nobody's."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(name.as_posix() for name in found if name.as_posix() != MANIFEST and not any(part.startswith(".") for part in name.parts))


def _understood(document: Any) -> bool:
    if not isinstance(document, dict) or set(document) != {"schema", "files"} or document["schema"] != SCHEMA:
        return False
    files = document["files"]
    return isinstance(files, dict) and all(isinstance(digest, str) for digest in files.values())
