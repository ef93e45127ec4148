"""Erasure certificates as far as the store keeps them: opened with the erasure, written on while it goes on.

A certificate counts and dates; whom it is about it knows by digest alone. Files, DVC and git are `flows.certificates`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.engine import Engine

from footfall.documents import ErasureCertificate
from footfall.store import erasures
from footfall.store.erasures import Erasure


def erase_from_store(engine: Engine, user_id: str, requested_at: datetime) -> Erasure:
    """Take a user (a pseudonym) out of the store, with the erasure and what went on record; durable on return.

    Files wait on record: the next retrain, or `footfall erase --recorded`, carries the erasure out there.

    Raises:
        StoreError: the store cannot be reached.
    """
    record, rows = erasures.begin(engine, user_id, requested_at)
    note(engine, record, {f"store {table}": count for table, count in rows.items()}, done=True)
    return record


def read(record: Erasure) -> ErasureCertificate:
    """The certificate of an erasure as far as it goes."""
    if record.certificate:
        return ErasureCertificate.from_json(record.certificate, where=record.erasure_id)
    return ErasureCertificate(record.erasure_id, record.subject, record.requested_at.isoformat())


def note(engine: Engine, record: Erasure, counts: dict[str, int], *, done: bool = False, releases: Sequence[dict[str, str]] = ()) -> None:
    """Write what was found or done into an open certificate. Counts of an earlier look that was cut off stand when they were higher."""
    known = read(next(one for one in erasures.unfinished(engine) if one.erasure_id == record.erasure_id))
    places = {place["place"]: place for place in known.places}
    now = datetime.now(UTC).isoformat()
    for place, rows in counts.items():
        before = places.get(place, {"place": place, "rows": 0, "at": None})
        places[place] = {"place": place, "rows": max(rows, before["rows"]), "at": now if done else None}
    affected = {one["release_id"]: one for one in [*known.releases, *releases]}
    said = replace(known, requested_at=record.requested_at.isoformat(), places=list(places.values()), releases=list(affected.values()))
    erasures.finish(engine, record.erasure_id, said.to_json(), None)
