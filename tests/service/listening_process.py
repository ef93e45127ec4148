"""The service's application on a port, without BentoML and without a release: events come in, slates are refused.

python listening_process.py STORE_URL PORT
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn
from prometheus_client import CollectorRegistry

from bentos.live.live_store import LiveStore
from bentos.live.writer import Writer
from bentos.measures import Measures
from bentos.parts import Parts
from bentos.releases.changeover import Changeover
from bentos.slates.answering import Answering
from bentos.web.app import make_app
from bentos.web.door import Door
from footfall.pseudonyms import DEMO_KEY, pseudonym
from footfall.recommender import Recommender


def main(url: str, port: str) -> None:
    """Serve until a signal comes; then write what waits."""
    measures, store = Measures(CollectorRegistry()), LiveStore(url)
    changeover = Changeover(store, measures, Recommender.open, lambda tag: tag, None)
    writer, threads, app = Writer(store, measures), ThreadPoolExecutor(4), make_app()
    app.state.parts = Parts(Answering(store, writer, changeover, measures), measures, partial(pseudonym, key=DEMO_KEY), True, threads)
    uvicorn.run(Door(app), host="127.0.0.1", port=int(port), log_level="warning", lifespan="off")
    changeover.close()
    threads.shutdown()
    writer.close()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
