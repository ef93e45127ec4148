"""Slates for all users at once, as for e-mail: each made by the very code that answers POST /v1/recommend, and logged by nobody."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from bentos.live.live_store import LiveStore
from bentos.live.writer import Writer
from bentos.measures import Measures
from bentos.registry import bundle_path
from bentos.releases.changeover import Changeover
from bentos.slates.answering import Answering
from bentos.slates.asking import Shelf, Shopper, SlateRequest
from bentos.slates.shoppers import HISTORY_UNAVAILABLE, NO_CONSENT
from footfall.contracts import ADVERTISE, EXPOSURES, PERSONALISE, TIMESTAMP, C
from footfall.core.exploration import Exploration
from footfall.errors import FootfallError, ReleaseError, StoreError
from footfall.recommender import Recommender
from footfall.settings import Settings
from footfall.signing import verify_keys_in
from footfall.store import Engine, consent, everybody

PAGE = 1000
"""Users whose ids are read at a time; histories are read one by one."""

EMAIL = "email"

Row = tuple[Any, ...]


@dataclass
class Tally:
    """What was done so far.

    Attributes:
        users: looked at.
        refused: of these, who said no to a purpose that this needs.
        slates: made; `rows` of them all.
        degraded: slates by the reason that they name.
    """

    users: int = 0
    refused: int = 0
    slates: int = 0
    rows: int = 0
    degraded: Counter[str] = field(default_factory=Counter)


def purposes(place: str) -> tuple[str, ...]:
    """What a user must not have refused to get a slate there: who is written to is advertised to."""
    return (PERSONALISE, ADVERTISE) if place == EMAIL else (PERSONALISE,)


@contextmanager
def opened(settings: Settings) -> Iterator[Answering]:
    """The champion with the shop's items and rules as they are now. What changes meanwhile is not looked at: all slates are of one release.

    Histories are scored by torch, on one thread whatever the environment says: nobody is here a second time, so nothing read is of use again.

    Raises:
        StoreError: the live store, or what it holds of the shop, cannot be read.
        ReleaseError: there is no champion.
        FootfallError: what keeps the champion from being opened.
    """
    store, measures = LiveStore(settings.store_url), _measures()
    writer = Writer(store, measures)
    try:
        answering = Answering(store, writer, _champion(settings, store, measures), measures, Exploration(settings.explore))
        if store.away or not answering.shop_window.known:
            raise StoreError("items and rules of the shop cannot be read", where="live store", next_step="footfall doctor")
        answering.segments.look()
        yield answering
    finally:
        writer.close()
        store.close()


def slates(answering: Answering, engine: Engine, shelf: Shelf, at_us: int, tally: Tally, limit: int | None = None) -> Iterator[list[Row]]:
    """The slate of each user who may have one, in the order of their ids, as rows of EXPOSURES; an empty slate has none.

    The same release, shelf and moment give the same request ids, so that logging them again adds nothing.

    Args:
        answering: from `opened`.
        engine: the store, for ids and consent.
        shelf: of all slates; its place is stated.
        at_us: the moment of asking.
        tally: is kept up to date.
        limit: so many slates at most.

    Raises:
        StoreError: the store cannot be read.
    """
    place = str(shelf.place)
    named = [answering.describe()["release"], place, shelf.k, at_us]
    for page in everybody.pages(engine, PAGE):
        refusing = consent.refusing(engine, page, purposes(place))
        for user_id in page:
            if tally.slates == limit:
                return
            tally.users += 1
            if user_id in refusing:
                tally.refused += 1
                continue
            request_id = hashlib.sha256(json.dumps([*named, user_id]).encode()).hexdigest()[:32]
            answer = answering.recommend(SlateRequest(Shopper(user_id, at_us), shelf), request_id=request_id, shown=False)
            if answer["degraded"] == HISTORY_UNAVAILABLE:  # good enough for a page that waits, not for a letter
                raise StoreError("histories cannot be read", where="live store", next_step="footfall doctor, then the same again")
            if answer["degraded"] == NO_CONSENT:  # said so since the page was read
                tally.refused += 1
                continue
            rows = _rows(answer, user_id, at_us)
            tally.slates, tally.rows = tally.slates + 1, tally.rows + len(rows)
            if answer["degraded"]:
                tally.degraded[answer["degraded"]] += 1
            yield rows


def table_of(rows: list[Row], schema: pa.Schema = EXPOSURES.schema) -> pa.Table:
    """Rows of EXPOSURES as a table, in their order."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, pa.int64() if one.type == TIMESTAMP else one.type) for one, values in zip(schema, columns, strict=True)]
    return pa.table([array.cast(one.type) for array, one in zip(arrays, schema, strict=True)], schema=schema)


def _rows(answer: dict[str, Any], user_id: str, at_us: int) -> list[Row]:
    whole = {**{name: answer[name] for name in (C.REQUEST_ID, C.POLICY, C.RELEASE, C.ARM)}, C.USER_ID: user_id, C.SHOWN_AT: at_us}
    return [tuple({**whole, **line}[name] for name in EXPOSURES.schema.names) for line in answer["items"]]


def _measures() -> Measures:
    from prometheus_client import CollectorRegistry

    return Measures(CollectorRegistry())


def _champion(settings: Settings, store: LiveStore, measures: Measures) -> Changeover:
    """The champion as the service finds, verifies and warms it; polling ends at once."""
    failures: list[FootfallError] = []
    verify_keys = verify_keys_in()

    def open_ranker(folder: Path) -> Recommender:
        try:
            return Recommender.open(folder, verify_keys=verify_keys)
        except FootfallError as error:
            failures.append(error)
            raise

    with _unsaid():
        changeover = Changeover(store, measures, open_ranker, partial(bundle_path, home=settings.paths.bentoml_home))
    changeover.close()
    if store.away:
        raise StoreError("the live store cannot be read", where="live store", next_step="footfall doctor")
    if failures:
        raise failures[0]
    if changeover.ranker is None:
        found = changeover.failure or "none"
        raise ReleaseError("no champion can be opened", where=settings.root, expected="a champion", found=found, next_step="footfall release list")
    return changeover


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep the service's log still: what it would say of a champion that cannot be opened is raised here."""
    logger = logging.getLogger("footfall.service")

    def no(_record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(no)
    try:
        yield
    finally:
        logger.removeFilter(no)
