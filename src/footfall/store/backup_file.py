"""The file that a backup is: its parts, its manifest, and what makes it whole. What the parts hold is `backup`'s."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from footfall.documents import Document
from footfall.errors import ContractError, StoreDamageError, StoreError
from footfall.sealing import Keys, is_sealed, open_sealed
from footfall.store.tables import SCHEMA_REVISION, metadata

MANIFEST = "manifest.json"
_LARGEST = 2**30


@dataclass(frozen=True)
class Backup(Document):
    """What a backup says of itself.

    Attributes:
        revision: schema of the store that it was taken from.
        taken_at: ISO 8601, UTC.
        tables: rows by table.
        parts: sha256 by part, in the order of the file.
    """

    SCHEMA: ClassVar[str] = "footfall.backup/1"
    revision: str
    taken_at: str
    tables: dict[str, int]
    parts: dict[str, str]


def check(path: Path, keys: Keys) -> Backup:
    """Read a backup whole and hold every part against the manifest.

    Raises:
        StoreError: there is no such file, or it was taken from a newer Footfall.
        StoreDamageError: it is cut off, or a byte is not as it was written.
        SealError: it is sealed by a key that is not here, or damaged.
    """
    found, manifest = {}, None
    for name, data in members(path, keys):
        if manifest is not None:
            raise damaged_backup(path, "something behind the manifest")
        if name == MANIFEST:
            manifest = _manifest(data, path)
        else:
            found[name] = hashlib.sha256(data).hexdigest()
    if manifest is None:
        raise damaged_backup(path, "no manifest: it is cut off")
    if found != manifest.parts:
        raise damaged_backup(path, "parts that are not what its manifest says")
    if not {name.split("/", 1)[0] for name in found} <= set(manifest.tables):
        raise damaged_backup(path, "a part of no table")
    unknown = set(manifest.tables) - set(metadata.tables)
    if manifest.revision > SCHEMA_REVISION or unknown:
        raise StoreError("backup is of another schema", where=path, expected=SCHEMA_REVISION, found=manifest.revision, next_step="update Footfall")
    return manifest


def add(archive: tarfile.TarFile, name: str, data: bytes) -> str:
    """Put one member into the archive; returns its sha256."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def members(path: Path, keys: Keys) -> Iterator[tuple[str, bytes]]:
    """Name and content of every member; nothing is ever unpacked to the disk."""
    with _opened(path, keys) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() and member.size <= _LARGEST else None
                    if content is None:
                        raise damaged_backup(path, "something else than a backup's parts")
                    yield member.name, content.read()
        except (tarfile.TarError, EOFError, UnicodeError) as error:
            raise damaged_backup(path, f"no whole tar file: {type(error).__name__}") from error


@contextmanager
def _opened(path: Path, keys: Keys) -> Iterator[BinaryIO]:
    try:
        raw = path.open("rb")
    except OSError as error:
        raise StoreError("backup cannot be read", where=path, expected="a file of footfall backup", found=type(error).__name__) from error
    with raw:
        yield open_sealed(raw, keys, where=path) if is_sealed(path) else raw


def _manifest(data: bytes, path: Path) -> Backup:
    try:
        return Backup.from_json(data.decode(), where=path)
    except (ContractError, UnicodeError) as error:
        raise damaged_backup(path, "an unreadable manifest") from error


def damaged_backup(path: Path, found: str) -> StoreDamageError:
    """The error of a damaged backup."""
    return StoreDamageError("backup is damaged", where=path, expected="a whole backup", found=found, next_step="take another backup")
