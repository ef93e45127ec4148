"""Erasing users everywhere: the store at once, then the files, DVC's cache and its remotes, and a certificate that says what became of it.

The store forgets in one transaction, which also puts the erasure on record: from then on serving is clean and a running retrain stops
(`flows.retrain` asks `waiting`). The rest holds the retrain's lease and the ingest's. All of it can be done again after a kill at any moment:
what is on record is carried out for whoever it names, known by digest alone.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from flows import certificates
from flows.certificates import RAW
from flows.lease import lease
from flows.versions.commands import dvc
from flows.versions.objects import CACHE, Found, Stores
from footfall import store
from footfall.documents import ErasureCertificate
from footfall.errors import BusyError, ErasureError, StoreError, WorkspaceError
from footfall.paths import Paths
from footfall.settings import Settings
from footfall.sources import erasing
from footfall.sources.erased import Erased
from footfall.sources.replacing import finish_replacing
from footfall.store import Engine, erasures
from footfall.store.certificates import erase_from_store
from footfall.store.erasures import Erasure
from footfall.tables import write_text

WAIT_S = 40.0
"""How long an erasure waits for a retrain, which stops when it sees it, and for an ingest, which ends its batch."""
RETRAIN = "PYTHONPATH=src python -m flows run retrain"
AGAIN = "footfall erase --recorded"
PLACES: dict[str, Callable[..., Counter[str]]] = {
    RAW: erasing.from_raw,  # before the quarantine: see there
    "held batches": erasing.from_held,
    "quarantine": erasing.from_quarantine,
    "landing": erasing.from_landing,
    "tables": erasing.from_tables,
    "sequences": erasing.from_sequences,
}
"""Places of files, in the order in which they are cleaned."""


def erase(settings: Settings, user_ids: Iterable[str], *, wait_s: float = WAIT_S) -> list[ErasureCertificate]:
    """Erase users (pseudonyms) from everywhere; returns a certificate each.

    Raises:
        BusyError: a retrain or an ingest holds its lease on; the store is clean, and the rest is on record for the next retrain.
        WorkspaceError: DVC, git or a remote failed; likewise.
        StoreError: the store cannot be reached. Nothing is erased then.
    """
    with _store_of(settings) as engine:
        begun = [erase_from_store(engine, user_id, datetime.now(UTC)).erasure_id for user_id in user_ids]
        return carry_out(settings, engine, begun, wait_s=wait_s)


def erase_recorded(settings: Settings, *, wait_s: float = WAIT_S) -> list[ErasureCertificate]:
    """Carry out every erasure on record once more, in the store too: after a kill, or after a restore. Returns the certificates that were open."""
    with _store_of(settings) as engine:
        certificates.recall(settings.paths, engine)
        erasures.apply_erasures(engine)
        return carry_out(settings, engine, [one.erasure_id for one in erasures.unfinished(engine)], wait_s=wait_s)


def waiting(engine: Engine) -> list[str]:
    """Erasures whose raw batches still hold the user: nothing that is trained from them may be released."""
    return [one.erasure_id for one in erasures.unfinished(engine) if not any(p["place"] == RAW and p["at"] for p in certificates.read(one).places)]


def is_overtaken(engine: Engine) -> bool:
    """`waiting` for those who ask again and again: a store that does not answer says no."""
    try:
        return bool(waiting(engine))
    except StoreError:
        return False


def require_none_waiting(engine: Engine) -> None:
    """Raise `ErasureError` when a user was erased whose rows are still in the raw batches."""
    if found := waiting(engine):
        raise ErasureError("an erasure came in between", expected="no user erased since this began", found=", ".join(found), next_step=RETRAIN)


def require_made_since(root: Path, engine: Engine) -> None:
    """Raise `ErasureError` unless what DVC has made here was made of the raw batches as they are now, every erasure on record carried out."""
    require_none_waiting(engine)
    lock, listing = root / "dvc.lock", Paths(root).raw.with_suffix(".dvc")
    if not lock.exists() or not listing.exists() or not erasures.subjects(engine):
        return
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages") or {}
    used = {dep.get("md5") for stage in stages.values() for dep in stage.get("deps", []) if dep["path"] == "data/raw"}
    now = yaml.safe_load(listing.read_text(encoding="utf-8"))["outs"][0]["md5"]
    if used - {now}:
        raise ErasureError("this bundle was trained before an erasure", where=lock, expected=now, found=", ".join(map(str, used)), next_step=RETRAIN)


def finish_waiting(settings: Settings) -> None:
    """Carry out the erasures that wait, holding or taking both leases."""
    with _store_of(settings) as engine:
        if waiting(engine):
            carry_out(settings, engine, [], wait_s=WAIT_S)


def let_through(settings: Settings) -> None:
    """Wait for the erasures that wait, as long as one would wait for us; a killed one is then carried out by whoever asked."""
    deadline = time.monotonic() + WAIT_S
    with _store_of(settings) as engine:
        while waiting(engine) and time.monotonic() < deadline:
            time.sleep(0.5)


def look(settings: Settings, subject: str, until: datetime) -> dict[str, int]:
    """How many rows of a subject from at or before `until` are left, by place. Takes the ingest's lease, so that nothing moves meanwhile."""
    paths, erased = settings.paths, Erased([Erasure("look", subject, until)])
    with _store_of(settings) as engine:
        left = {f"store {table}": count for table, count in erasures.left(engine, subject, until).items()}
    with lease(paths.ingest_lease, "look for an erased user", wait_s=WAIT_S):
        left |= {place: clean(paths, erased, remove=False).total() for place, clean in PLACES.items()}
    if (paths.root / ".dvc").is_dir():
        with closing(Stores(paths.root)) as stores:
            for place in stores.places:
                found = stores.look(place, erased)
                left[place] = max(found.rows.total(), len(found.objects))
    return left


def carry_out(settings: Settings, engine: Engine, ids: Sequence[str], *, wait_s: float) -> list[ErasureCertificate]:
    """Everything but the store, for all erasures on record; then the certificates of `ids`."""
    paths = settings.paths
    try:
        with lease(paths.lease, "erase", wait_s=wait_s), lease(paths.ingest_lease, "erase", wait_s=wait_s):
            clean_files(paths, engine)
            return certify(settings, engine, ids)
    except BusyError as error:
        done = [one for one in erasures.list_all(engine) if one.erasure_id in ids and one.finished_at is not None]
        if len(done) == len(ids):  # the retrain that held the lease did it
            return [certificates.read(one) for one in done]
        raise BusyError(
            "the store is clean, and the files wait",
            where=error.where,
            expected="a free lease",
            found=error.found,
            next_step=f"{AGAIN}, or leave it to the next retrain",
        ) from error


def clean_files(paths: Paths, engine: Engine) -> None:
    """Files, cache and remotes, for all erasures on record. The caller holds both leases.

    First everything is looked for and noted, then everything is removed, so that a kill in between loses no count.
    """
    finish_replacing(paths)
    records = erasures.list_all(engine)
    erased, opened = Erased(records), [one for one in records if one.finished_at is None]
    if not erased:
        return
    with ExitStack() as stack:
        stores = stack.enter_context(closing(Stores(paths.root))) if (paths.root / ".dvc").is_dir() else None
        in_files = {place: clean(paths, erased, remove=False) for place, clean in PLACES.items()}
        in_stores = [] if stores is None else [stores.look(place, erased) for place in stores.places]
        for one in opened:
            counts = {place: rows[one.subject] for place, rows in in_files.items()} | {found.place: found.rows[one.subject] for found in in_stores}
            certificates.note(engine, one, counts, releases=certificates.trained_on(paths.root, in_stores))
        for clean in PLACES.values():
            clean(paths, erased)
        for left in (paths.spill, paths.training):  # what a killed stage left there
            shutil.rmtree(left, ignore_errors=True)
        if stores is not None:
            _drop_objects(paths.root, stores, in_stores, renew=bool(in_files[RAW]) or any(found.objects for found in in_stores))
    for one in opened:
        certificates.note(engine, one, dict.fromkeys([*PLACES, *(found.place for found in in_stores)], 0), done=True)


def certify(settings: Settings, engine: Engine, ids: Sequence[str]) -> list[ErasureCertificate]:
    """Look once more, then finish all open certificates; those of `ids` are returned.

    Raises:
        WorkspaceError: something is left.
    """
    made = []
    for one in erasures.unfinished(engine):
        erasures.sweep_subject(engine, one.subject, one.requested_at)
        known, left, finished_at = certificates.read(one), look(settings, one.subject, one.requested_at), datetime.now(UTC)
        if any(left.values()):
            erasures.finish(engine, one.erasure_id, replace(known, left=left).to_json(), None)
            found = ", ".join(f"{rows} in {place}" for place, rows in left.items() if rows)
            raise WorkspaceError("an erased user is not gone from everywhere", where=settings.root, expected="no row", found=found, next_step=AGAIN)
        remains = certificates.remains(settings.paths, engine, known)
        seconds = round((finished_at - one.requested_at).total_seconds(), 1)
        said = replace(known, finished_at=finished_at.isoformat(), seconds=seconds, left=left, remains=remains)
        write_text(certificates.path_of(settings.paths, one.erasure_id), said.to_json())
        made.append(said)
    if made:
        certificates.commit(settings.root, f"Keep {len(made)} erasure certificates", ["reports/erasures"])
    for said in made:
        erasures.finish(engine, said.erasure_id, said.to_json(), datetime.fromisoformat(str(said.finished_at)))
    return [said for said in made if said.erasure_id in ids]


def _drop_objects(root: Path, stores: Stores, found: Sequence[Found], *, renew: bool) -> None:
    """Put the rewritten batches under DVC in the old ones' place, drop the old objects here, push the new ones, drop the old ones there."""
    listing = Paths(root).raw.with_suffix(".dvc")
    renew = renew and listing.exists()
    if renew:
        dvc(root, "add", "--quiet", "data/raw")
        certificates.commit(root, "Erase users from the raw batches", ["data/raw.dvc"])
    for place in found:
        if place.place == CACHE:
            stores.drop(place)
    if renew and stores.has_default_remote:
        dvc(root, "push", "--quiet", "data/raw.dvc")
    for place in found:
        if place.place != CACHE:
            stores.drop(place)


@contextmanager
def _store_of(settings: Settings) -> Iterator[Engine]:
    engine = store.open_store(settings.store_url)
    try:
        yield engine
    finally:
        engine.dispose()
