"""DVC's objects, in the cache and in every remote: which of them hold erased users, and dropping those.

Objects are looked into, not guessed from git: an object of a run that was undone, or of another workspace that shares the cache, holds the
user just as well. Of a folder that DVC knows as one, everything beside a bad file goes too (a batch's receipt, the arrays beside a list of
users), unless another folder shares it, and so does the folder's own listing: what is left of it must not pass for whole.
What is content-addressed is looked into once, wherever else it lies.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from footfall.contracts import C
from footfall.errors import FootfallError, WorkspaceError
from footfall.paths import Paths
from footfall.sealing import MAGIC
from footfall.sources import erasing
from footfall.sources.erased import Erased
from footfall.tables import read_parquet, read_schema

CACHE = "dvc cache"
_DIR = ".dir"
_PARQUET = b"PAR1"


@dataclass
class Found:
    """What one place holds of erased users.

    Attributes:
        place: the cache, or a remote by its name.
        rows: by subject.
        objects: to be dropped, in this order: what says that a folder is bad goes last, so that a kill in between is noticed.
        listings: of the folders that are bad.
    """

    place: str
    rows: Counter[str] = field(default_factory=Counter)
    objects: list[str] = field(default_factory=list)
    listings: set[str] = field(default_factory=set)


class Stores:
    """The cache and the remotes of one root."""

    def __init__(self, root: Path) -> None:
        """Open them.

        Raises:
            WorkspaceError: DVC cannot use what is configured.
        """
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            self._repo = Repo(str(root), config={"core": {"site_cache_dir": str(Paths(root).dvc_site_cache)}})
            self._stores: dict[str, Any] = {CACHE: self._repo.cache.local}
            for name in self._repo.config["remote"]:
                self._stores[f"dvc remote {name}"] = self._repo.cloud.get_remote_odb(name)
        except (DvcException, OSError) as error:
            raise _unusable(root, error) from error
        self._root = root
        self._kinds: dict[str, Counter[str] | bool] = {}

    @property
    def places(self) -> list[str]:
        """Cache first, then the remotes."""
        return list(self._stores)

    @property
    def has_default_remote(self) -> bool:
        """Whether `dvc push` knows where to."""
        return bool(self._repo.config["core"].get("remote"))

    def look(self, place: str, erased: Erased) -> Found:
        """What `place` holds of erased users.

        Raises:
            WorkspaceError: the place cannot be read.
        """
        from dvc.exceptions import DvcException

        store = self._stores[place]
        try:
            with tempfile.TemporaryDirectory(prefix="footfall-erase-") as folder:
                return self._look(place, store, erased, Path(folder))
        except (DvcException, OSError) as error:
            raise _unusable(place, error) from error

    def drop(self, found: Found) -> None:
        """Drop what `look` found.

        Raises:
            WorkspaceError: the place refuses.
        """
        from dvc.exceptions import DvcException
        from dvc_data.hashfile.db import get_index

        store = self._stores[found.place]
        try:
            for oid in found.objects:
                store.fs.remove(store.oid_to_path(oid))
            if found.objects:
                get_index(store).clear()  # what DVC remembers of this place
        except (DvcException, OSError) as error:
            raise _unusable(found.place, error) from error

    def close(self) -> None:
        """Let go of DVC."""
        self._repo.close()

    def _look(self, place: str, store: Any, erased: Erased, scratch: Path) -> Found:
        found, oids = Found(place), sorted(_all(store))
        bad: dict[str, Counter[str]] = {}
        lists_of_users: set[str] = set()
        for oid in oids:
            if not oid.endswith(_DIR):
                kind = self._kind(store, oid, erased, scratch)
                if isinstance(kind, Counter) and kind:
                    bad[oid] = kind
                elif kind is True:
                    lists_of_users.add(oid)
        folders = {oid: listing for oid in oids if oid.endswith(_DIR) and (listing := _listing(store, oid)) is not None}
        for oid, listing in folders.items():
            members = set(listing.values())
            if members & lists_of_users:
                rows = _in_sequences(store, listing, erased, scratch / oid)
                found.rows += rows
                found.listings |= {oid} if rows else set()
            if members & set(bad):
                found.listings.add(oid)
        shared = {member for oid, listing in folders.items() if oid not in found.listings for member in listing.values()}
        marks = set(bad) | (lists_of_users - shared)
        beside = {member for oid in found.listings for member in _beside(folders[oid], set(bad) | lists_of_users)} - shared - marks
        for rows in bad.values():
            found.rows += rows
        present = set(oids)
        found.objects = [*sorted(beside & present), *sorted(found.listings), *sorted(marks & present)]
        return found

    def _kind(self, store: Any, oid: str, erased: Erased, scratch: Path) -> Counter[str] | bool:
        """Erased rows of one object by subject; True for a bare list of users with an erased one; False for all else."""
        if oid not in self._kinds:
            with store.fs.open(store.oid_to_path(oid), "rb") as file:
                head = file.read(len(MAGIC))
            self._kinds[oid] = head.startswith(_PARQUET) or head == MAGIC
            if self._kinds[oid]:
                path = _at_hand(store, oid, scratch / oid)
                try:
                    self._kinds[oid] = _rows_in(path, erased)
                except FootfallError:
                    if head == MAGIC:
                        raise  # it may hold anybody: without its key nobody can say that it does not
                    self._kinds[oid] = False  # no table, whatever it begins with
        return self._kinds[oid]


def _rows_in(path: Path, erased: Erased) -> Counter[str] | bool:
    names = read_schema(path).names
    if names == [C.USER_ID]:
        return bool(erased.among(read_parquet(path).column(C.USER_ID)))
    return erasing.count(path, erased)


def _in_sequences(store: Any, listing: dict[str, str], erased: Erased, folder: Path) -> Counter[str]:
    """Erased moments in a folder of arrays; one that cannot be read any more counts as bad."""
    for name, oid in listing.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if store.exists(oid):
            path.symlink_to(_at_hand(store, oid, folder / f".{oid}"))
    try:
        return erasing.in_sequences(folder, erased)
    except FootfallError:
        return Counter(dict.fromkeys(erased.among(read_parquet(folder / "users.parquet").column(C.USER_ID)).values(), 1))


def _beside(listing: dict[str, str], bad: set[str]) -> set[str]:
    """Members of the sub-folders in which a bad one lies."""
    parents = {PurePosixPath(name).parent for name, oid in listing.items() if oid in bad}
    return {oid for name, oid in listing.items() if PurePosixPath(name).parent in parents}


def _all(store: Any) -> Iterator[str]:
    if store.fs.exists(store.path):
        yield from store.all()


def _listing(store: Any, oid: str) -> dict[str, str] | None:
    """Paths and objects of one listing; None where it is not there."""
    if not store.exists(oid):
        return None
    with store.fs.open(store.oid_to_path(oid), "rb") as file:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(file.read())}


def _at_hand(store: Any, oid: str, copy: Path) -> Path:
    """A local file with the object's bytes: itself, or a copy of it."""
    path = store.oid_to_path(oid)
    if store.fs.protocol == "local":
        return Path(path)
    store.fs.get_file(path, str(copy))
    return copy


def _unusable(where: object, error: Exception) -> WorkspaceError:
    return WorkspaceError(
        "DVC cannot use its cache or a remote", where=where, found=type(error).__name__, next_step="dvc remote list, then footfall erase --recorded"
    )
