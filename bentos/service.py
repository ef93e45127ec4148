"""The BentoML service: it starts the parts, mounts the application and says when it is ready.

Served from a built bento (`python -m bentos serve`); the environment says where the state lies (FOOTFALL_ROOT, BENTOML_HOME).
"""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from bentos.parts import Parts
from bentos.web.app import make_app
from bentos.web.counting import Counting
from bentos.web.door import Door
from bentos.web.keys import rate_in
from bentos.web.patience import be_patient_no_longer
from footfall.settings import load_settings

if TYPE_CHECKING:
    from bentos.measures import Measures
    from bentos.releases.changeover import Changeover

NAME = "footfall"
THREADS = 16
"""Slates are made in threads: they read the store side by side, and are ranked one at a time (`slates.ranking`)."""

app = make_app()
be_patient_no_longer()


def _measures() -> Measures | None:
    parts: Parts | None = getattr(app.state, "parts", None)
    return None if parts is None else parts.measures


@bentoml.service(
    name=NAME,
    workers=1,
    traffic={"timeout": 30},
    # BentoML would count requests by their path as it came: whoever asks for many paths that do not exist would fill the memory.
    # The application counts by route, on the same /metrics.
    metrics={"enabled": False},
    # BentoML's own spans hold paths and addresses, and took a sixth of a request's time; ours are made in `tracing`, where they are asked for.
    tracing={"excluded_urls": ".*"},
    # an access log holds addresses, and nobody asked for one
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(app, path="/")
class Footfall:
    """One worker process."""

    def __init__(self) -> None:
        """Open the store and the champion; from then on the worker is ready."""
        from bentos.live.live_store import LiveStore
        from bentos.live.writer import Writer
        from bentos.logs import set_up_logs
        from bentos.measures import Measures
        from bentos.parent import end_with_parent
        from bentos.registry import built_with, bundle_path
        from bentos.releases.changeover import Changeover
        from bentos.slates.answering import Answering
        from bentos.tracing import start
        from footfall.core.exploration import Exploration
        from footfall.pseudonyms import pseudonym, read_key
        from footfall.recommender import Recommender
        from footfall.signing import verify_keys_in

        end_with_parent()
        settings = load_settings()
        set_up_logs(settings.log, self._release)
        self._stop_tracing = start()
        key = settings.pseudonym_key or read_key(settings.paths.key)
        measures = Measures()
        self._store = LiveStore(settings.store_url)
        self._changeover = Changeover(
            self._store,
            measures,
            partial(Recommender.open, streaming=True, verify_keys=verify_keys_in()),
            partial(bundle_path, home=settings.paths.bentoml_home),
            built_with(Path(__file__)),
        )
        self._writer = Writer(self._store, measures, settings.paths.state / "exposures")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="footfall-slates")
        self._answering = Answering(self._store, self._writer, self._changeover, measures, Exploration(settings.explore))
        self._answering.start()
        gc.collect()
        gc.freeze()  # what is there by now stays: the collector would go through it again and again, a tenth of a second each time
        app.state.parts = Parts(self._answering, measures, partial(pseudonym, key=key), settings.replay_clock, self._threads)

    def _release(self) -> str | None:
        changeover: Changeover | None = getattr(self, "_changeover", None)  # the log speaks before there is one
        ranker = None if changeover is None else changeover.ranker
        return None if ranker is None else ranker.release_id

    async def __is_ready__(self) -> bool:
        """Whether /readyz says yes: a release is open and warm."""
        return self._answering.ready

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML ships no types
    def close(self) -> None:
        """Write what waits to be written, and let go of the store; all requests have been answered by now."""
        self._answering.close()
        self._changeover.close()
        self._threads.shutdown()
        self._writer.close()
        self._store.close()
        self._stop_tracing()


Footfall.add_asgi_middleware(Counting, measures=_measures)  # type: ignore[attr-defined]  # the decorator made a Service of it
Footfall.add_asgi_middleware(Door, api_keys=load_settings().api_keys, rate=rate_in())  # type: ignore[attr-defined]  # the decorator made a Service of it
