"""Canaries: an e-mail address, a phone number, a name, an IP address and a raw user id go in by every door, and come out nowhere.

Everything that the whole pipeline leaves behind is read: every file as bytes, Parquet and SQLite by their values, what was logged and printed,
every answer over HTTP, and the metrics page.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from prefect.settings import PREFECT_HOME
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

import monitoring
from bentos.live.live_store import LiveStore
from bentos.live.writer import Writer
from bentos.measures import Measures
from bentos.parts import Parts
from bentos.releases.changeover import Changeover
from bentos.slates.answering import Answering
from bentos.web.app import make_app
from bentos.web.door import Door
from expectations.__main__ import validate
from flows import ingest as ingest_module
from flows.ingest import ingest
from footfall.bundle import release_id
from footfall.contracts import C
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym, read_key
from footfall.recommender import Recommender
from footfall.sources import landing, quarantine
from footfall.sources.mapped import MappedLog
from footfall.sources.mapping import read_mapping
from footfall.stages.bundle import make_bundle
from footfall.stages.evaluate import make_metrics
from footfall.stages.events import make_tables
from footfall.stages.habits import make_habits
from footfall.stages.sequences import make_sequences
from footfall.stages.train import make_weights
from footfall.store import Engine, consent, events, exposures, open_store, releases
from footfall.store.releases import Release
from footfall.tables import read_parquet

EMAIL, PHONE, NAME, ADDRESS, RAW = "kanari.vogel@example.org", "+49 170 5550815", "Kanaria Vogelsang", "203.0.113.77", "canary-user-0815"
CANARIES = {"e-mail": EMAIL, "phone": PHONE, "digits": "1705550815", "name": "Vogelsang", "address": ADDRESS, "raw id": RAW}
SAID = f"my name is {NAME}, {EMAIL}, {PHONE}, at {ADDRESS}"
START, AS_OF = datetime(2021, 2, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC)
SMALL = {
    "data": {"as_of": AS_OF.isoformat()},
    "split": {"vocabulary_min_count": 2},
    "model": {"dim": 8, "blocks": 1, "heads": 1, "max_events": 30},
    "train": {"epochs": 1, "negatives": 0},
    "evaluate": {"bootstrap": 20},
    "fusion": {"model_weights": [0.2], "item_to_item_weights": [0.2], "temperatures": [1.0]},
}
MAPPING = {
    "name": "shop",
    "files": "log.csv",
    "currency": "EUR",
    "event_type": {"column": "kind"},
    "events": {"user_id": "who", "item_id": "what", "occurred_at": "at", "session_id": ["who", "at"], "quantity": "pieces", "price": "paid"}
    | {"query": "query", "text": "text", "place": "place", "device": "device"},
}


class Shop(MappedLog):
    """A log whose users have attributes too."""

    def users(self, until: datetime) -> pa.Table:
        table = super().users(until)
        attributes = json.dumps({"email": EMAIL, "age": "35-44", "note": SAID, "phone": PHONE, "name": NAME})
        return table.set_column(1, table.schema.field(C.ATTRIBUTES), pa.array([attributes] * table.num_rows))


def write_log(folder: Path) -> Path:
    """A spring of purchases of a dozen users, the canary among them; what the canary writes is full of canaries, and one row is bad."""
    rows = ["who,what,at,kind,pieces,paid,query,text,place,device"]
    for day in range((AS_OF - START).days):
        for number in range(12):
            who, at = (RAW if number == 0 else f"shopper-{number}"), START + timedelta(days=day, hours=number)
            rows.append(f"{who},item-{(day + number) % 6},{at:%Y-%m-%dT%H:%M:%SZ},purchase,1,2.50,,,,")
            if number == 0:
                pieces = 0 if day == 3 else 1
                rows.append(f'{who},item-1,{at:%Y-%m-%dT%H:%M:%SZ},review,{pieces},,,"{SAID}",till {ADDRESS},{PHONE}')
                rows.append(f'{who},,{at:%Y-%m-%dT%H:%M:%SZ},search,,,"tea {EMAIL} {PHONE}",,,')
    folder.mkdir()
    (folder / "log.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(MAPPING), encoding="utf-8")
    return path


def canaries_in(text: str) -> set[str]:
    """Which canaries a text holds, in whatever case."""
    return {kind for kind, canary in CANARIES.items() if canary.lower() in text.lower()}


def texts_below(root: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder: its name, its bytes, and for Parquet and SQLite every value."""
    for path in sorted(root.rglob("*")):
        yield f"name of {path}", str(path.relative_to(root))
        if not path.is_file():
            continue
        raw = path.read_bytes()
        yield str(path), raw.decode("utf-8", "replace")
        yield f"{path} as UTF-16", raw.decode("utf-16-le", "replace")
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
            yield f"values of {path}", f"{table.to_pylist()} {table.schema.metadata}"
        elif raw.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(path)) as connection:
                yield f"values of {path}", "\n".join(connection.iterdump())


def hits(texts: Iterator[tuple[str, str]]) -> dict[str, set[str]]:
    """Where canaries were found."""
    return {where: found for where, text in texts if (found := canaries_in(text))}


@contextmanager
def service(paths: Paths, engine: Engine, params: Params) -> Iterator[tuple[ASGIApp, Measures, Writer]]:
    """The HTTP application over the real store, serving the bundle that was just made."""
    identity = release_id(paths.bundle)
    releases.add(engine, Release(identity, "made-here", "candidate", params.data.as_of, params.data.as_of))
    releases.promote(engine, identity)
    measures, store = Measures(CollectorRegistry()), LiveStore(str(engine.url))
    changeover, writer = Changeover(store, measures, Recommender.open, lambda _: paths.bundle, None), Writer(store, measures)
    answering, threads = Answering(store, writer, changeover, measures), ThreadPoolExecutor(2)
    app = make_app()
    app.state.parts = Parts(answering, measures, partial(pseudonym, key=read_key(paths.key)), replay_clock=True, threads=threads)
    try:
        yield Door(app, ()), measures, writer
    finally:
        changeover.close()
        threads.shutdown()
        writer.close()
        store.close()


def ask(app: ASGIApp, path: str, body: object = None) -> tuple[int, str]:
    """Status, and headers and body as text."""
    from tests.unit.bentos.asgi import ask_in_loop

    parts = [] if body is None else [json.dumps(body).encode()]
    headers = {"content-type": "application/json", "x-forwarded-for": ADDRESS, "user-agent": SAID}
    answer = asyncio.run(ask_in_loop(app, "GET" if body is None else "POST", path, parts, headers, ("127.0.0.1", 3000)))
    return answer.status, f"{answer.headers} {answer.body.decode()}"


def talk(app: ASGIApp) -> list[str]:
    """The canary comes by HTTP: good events, bad ones, slates. Returns all that was answered."""
    at = "2021-05-31T12:00:00Z"
    good = {"user_id": RAW, "event_type": "review", "item_id": "item-1", "occurred_at": at, "text": SAID, "place": ADDRESS, "device": PHONE}
    bad = [{**good, "event_type": EMAIL}, {**good, SAID: 1}, {**good, "quantity": PHONE}, {**good, "occurred_at": NAME}, {**good, "query": [EMAIL]}]
    search = {"user_id": RAW, "event_type": "search", "occurred_at": at, "query": f"call {PHONE} or {EMAIL}"}
    status, said = ask(app, "/v1/events", {"events": [good, search, {**good, "item_id": "gone"}, *bad], "at": at})
    assert status == 200
    assert '"accepted":3' in said.replace(" ", "")
    wanted = ({"user_id": RAW, "at": at}, {"user_id": RAW, "k": EMAIL}, {"user_id": {NAME: ADDRESS}}, {PHONE: SAID}, {"user_id": SAID, "at": at})
    answers = [said, *(ask(app, "/v1/recommend", body)[1] for body in wanted)]
    return [*answers, ask(app, f"/v1/{RAW}")[1], ask(app, "/v1/release")[1]]


def test_what_identifies_a_person_comes_in_by_every_door_and_out_nowhere(
    root: Path,
    checkout: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "shop"
    mapping, paths = write_log(outside), Paths(root)
    assert hits(texts_below(outside))[str(outside / "log.csv")] == set(CANARIES) - {"digits"}  # the search can find
    numbers = yaml.safe_load((checkout / "params.yaml").read_text(encoding="utf-8"))
    paths.params.write_text(yaml.safe_dump({key: {**value, **SMALL.get(key, {})} for key, value in numbers.items()}), encoding="utf-8")
    params = load_params(paths.params)
    monkeypatch.setattr(ingest_module, "open_source", lambda name, key: Shop(read_mapping(Path(name)), key))
    monkeypatch.chdir(root)

    done = ingest(source=str(mapping), until=AS_OF)
    assert done["held"] == []
    assert done["masked"].keys() == {"attribute", "e-mail", "ip", "name", "phone"}
    assert done["quarantined"] == {"quantity_not_positive": 1}
    engine = open_store(f"sqlite:///{paths.store}")
    run_stages(paths, params)
    with service(paths, engine, params) as (app, measures, writer):
        answers = talk(app)
        writer.close()
        page = measures.page()[0].decode()
    assert ingest(until=AS_OF)["quarantined"] == {"unknown_item": 1}
    watch(engine, paths, params)
    consent.say(engine, pseudonym(RAW, read_key(paths.key)), {"personalise": False}, recorded_at=AS_OF, source="support")
    assert ingest(until=AS_OF)["batches"] == ["users/shop-2021-06-01.consent-0001"]
    run_stages(paths, params)
    engine.dispose()

    # what came in is there, but for who it was
    (batch,) = [folder for folder in landing.list_batches(paths, "events") if folder.name.startswith("live-")]
    (review,) = [row for row in read_parquet(batch / landing.ROWS).to_pylist() if row[C.EVENT_TYPE] == "review"]
    assert review[C.TEXT] == "my name is [name], [e-mail], [phone], at [ip]"
    assert quarantine.summary(paths) == {"quantity_not_positive": 1, "unknown_item": 1}

    said = capfd.readouterr()
    spoken = [("answers", "\n".join(answers)), ("metrics", page), ("log", caplog.text), ("output", said.out), ("errors", said.err)]
    assert hits(iter(spoken)) == {}
    assert "footfall" in page
    assert len(list(paths.root.rglob("*.parquet"))) >= 15
    assert hits(texts_below(root)) == {}
    assert hits(texts_below(Path(PREFECT_HOME.value()))) == {}


def run_stages(paths: Paths, params: Params) -> None:
    """The pure pipeline."""
    make_tables(paths, params)
    validate(paths, params)
    make_sequences(paths, params)
    make_weights(paths, params)
    make_habits(paths, params)
    make_bundle(paths, params)
    make_metrics(paths, params)


def watch(engine: Engine, paths: Paths, params: Params) -> None:
    """A drift report over the last weeks, with the slates that were shown."""
    middle = AS_OF - timedelta(days=14)
    spans = {"reference": (middle - timedelta(days=14), middle), "current": (middle, AS_OF)}
    tables = [events.window(engine, *span) for span in spans.values()]
    catalogue = read_parquet(paths.tables / "catalogue.parquet").replace_schema_metadata(None)
    vocabulary = Recommender.open(paths.bundle).vocabulary.item_ids
    shown = exposures.window(engine, middle, AS_OF)
    assert shown.num_rows
    comparison = monitoring.compare_windows(*tables, catalogue, vocabulary, shown, params.monitor.limits, **spans, offline=None)
    monitoring.write_reports(comparison, paths.monitoring_reports, "canary")
