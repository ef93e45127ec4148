"""The service as it runs in production, without BentoML: the numpy scorer on a bundle of the real network, and a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from bentos.live.live_store import LiveStore
from bentos.live.writer import Writer
from bentos.measures import Measures
from bentos.parts import Parts
from bentos.releases.changeover import Changeover
from bentos.slates.answering import Answering
from bentos.web.app import make_app
from bentos.web.door import Door
from footfall.bundle import release_id
from footfall.pseudonyms import DEMO_KEY, pseudonym
from footfall.recommender import Recommender

THREADS = 16


@contextmanager
def streaming_service(url: str, bundle: Path) -> Iterator[ASGIApp]:
    """Serve the bundle until the store names a champion, whose bundle lies beside it; with a replay clock, and as many threads as in production."""
    measures, store, identity = Measures(CollectorRegistry()), LiveStore(url), release_id(bundle)

    def find(tag: str) -> Path:
        name = tag.partition(":")[2]
        return bundle if name == identity else bundle.with_name(name)

    changeover = Changeover(store, measures, partial(Recommender.open, streaming=True), find, f"footfall:{identity}")
    writer, threads, app = Writer(store, measures, bundle.with_name("owed")), ThreadPoolExecutor(THREADS), make_app()
    answering = Answering(store, writer, changeover, measures)
    answering.start()
    app.state.parts = Parts(answering, measures, partial(pseudonym, key=DEMO_KEY), True, threads)
    try:
        yield Door(app)
    finally:
        answering.close()
        changeover.close()
        threads.shutdown()
        writer.close()
        store.close()
