"""Consent on its way between the shop's users feed, the store and the next training.

A feed repeats itself and says nothing of when: what it said before is no news, what changed was said now, and its first word about a user is as
old as the user. So a refusal at support outlives tonight's feed. The other way, whatever the store knows better than data/raw is landed as a
users batch, named after the last one so that it is read after it: stages stay functions of data/raw and obey the newest word all the same.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import USERS, C
from footfall.paths import Paths
from footfall.sources.landing import RESTORE, ROWS, Batch, check_batch, land, list_batches
from footfall.store import Engine, consent
from footfall.store.erasures import first_events
from footfall.store.moments import from_us
from footfall.tables import read_parquet

ORIGIN = "consent"
"""Origin of users batches that repeat what the store knows; it need not be told again."""
_MARK = ".consent-"
_Row = dict[str, Any]


def is_repeated(batch_id: str) -> bool:
    """Whether a users batch holds the store's words, and not a source's snapshot."""
    return _MARK in batch_id or batch_id.startswith(f"{ORIGIN}-")


def record_news(engine: Engine, paths: Paths, batch: Batch, users: pa.Table, until: datetime) -> int:
    """Tell the store what a users batch says anew; the service obeys it from the next request on. Returns how many words are new.

    Args:
        users: the good rows of the batch, which is not accepted yet.
        until: the moment of the ingest.
    """
    before = [folder for folder in list_batches(paths, USERS.name) if folder.name.startswith(f"{batch.origin}-") and not is_repeated(folder.name)]
    known: dict[str, str] = {}
    if before:
        check_batch(before[-1])
        last = read_parquet(before[-1] / ROWS, (C.USER_ID, C.CONSENT), next_step=RESTORE)
        known = dict(zip(last.column(C.USER_ID).to_pylist(), last.column(C.CONSENT).to_pylist(), strict=True))
    said = users.column(C.CONSENT).to_pylist()
    seen = [known.get(user) for user in users.column(C.USER_ID).to_pylist()]
    new = consent.record(engine, users.filter(pa.array([text is None for text in seen])), source=batch.origin)
    changed = pa.array([text is not None and text != now for text, now in zip(seen, said, strict=True)])
    return new + consent.record(engine, users.filter(changed), recorded_at=until, source=batch.origin)


def land_words(paths: Paths, engine: Engine, until: datetime) -> Batch | None:
    """Land the users of whom the store knows another consent than data/raw says; None when there are none."""
    words = consent.everyone(engine)
    if not words:
        return None
    folders = list_batches(paths, USERS.name)
    known = _known(folders, set(words))
    rows = [_amended(row, words[user]) for user, row in known.items() if _said(row) | words[user] != _said(row)]
    strangers = [user for user in sorted(words) if user not in known and not all(words[user].values())]
    first = first_events(engine, strangers)
    latest = until - timedelta(microseconds=1)
    for user in strangers:
        seen = min(from_us(first[user]), latest) if user in first else latest
        rows.append(_amended({C.USER_ID: user, C.ATTRIBUTES: "{}", C.CONSENT: "{}", C.FIRST_SEEN_AT: seen}, words[user]))
    if not rows:
        return None
    last = folders[-1].name.split(_MARK)[0] if folders else f"{ORIGIN}-{until:%Y-%m-%d}"
    number = 1 + sum(folder.name.startswith(last + _MARK) for folder in folders)
    return land(paths, USERS.name, f"{last}{_MARK}{number:04d}", pa.Table.from_pylist(rows, USERS.schema), origin=ORIGIN)


def _known(folders: list[Any], users: set[str]) -> dict[str, _Row]:
    """The row of each of these users as the stages will read it: of several the last."""
    wanted, known = pa.array(sorted(users), pa.string()), {}
    for folder in folders:
        check_batch(folder)
        table = USERS.check(read_parquet(folder / ROWS, next_step=RESTORE).replace_schema_metadata(None), where=folder)
        for row in table.filter(pc.is_in(table.column(C.USER_ID), value_set=wanted)).to_pylist():
            known[row[C.USER_ID]] = row
    return known


def _said(row: _Row) -> dict[str, bool]:
    said: dict[str, bool] = json.loads(row[C.CONSENT])
    return said


def _amended(row: _Row, words: dict[str, bool]) -> _Row:
    return row | {C.CONSENT: json.dumps(_said(row) | words, sort_keys=True)}
