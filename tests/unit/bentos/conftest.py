"""The service without BentoML: the real application, store and recommender, with a scorer that is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
from footfall.core.exploration import Exploration
from footfall.pseudonyms import pseudonym
from footfall.recommender import Recommender
from footfall.signing import VerifyKeys
from footfall.store import Engine, open_store, releases
from footfall.store.releases import Release
from tests.unit.footfall.small_shop import make_bundle_by_hand, use_table_scorer

KEY = b"test key"
AS_OF = datetime(2020, 6, 1, tzinfo=UTC)


@dataclass
class Service:
    """A running service, and what stands behind it."""

    app: ASGIApp
    engine: Engine
    store: LiveStore
    writer: Writer
    answering: Answering
    changeover: Changeover
    measures: Measures
    bundles: Path

    def promote(self, name: str) -> str:
        """Make the bundle in folder `name` champion; returns its release id."""
        identity = release_id(self.bundles / name)
        releases.add(self.engine, Release(identity, name, "candidate", AS_OF, AS_OF))
        releases.promote(self.engine, identity)
        return identity

    def written(self) -> None:
        """Wait until all that was queued is in the store."""
        self.writer.close()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Start a service whose champion is bundle `a`; bundle `b` is there too."""
    use_table_scorer(monkeypatch)
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    make_bundle_by_hand(bundles / "a", logits=np.array([0.0, 0.0, 0.0, 0.0, 3.0]))
    make_bundle_by_hand(bundles / "b", logits=np.array([0.0, 0.0, 0.0, 3.0, 0.0]))
    started: list[Service] = []

    def starting(
        *,
        url: str | None = None,
        api_keys: tuple[str, ...] = (),
        replay_clock: bool = True,
        champion: str | None = "a",
        built_with: str | None = None,
        exploration: Exploration = Exploration(),  # noqa: B008 - it cannot be changed
        verify_keys: VerifyKeys = (),
        **door: Any,
    ) -> Service:
        engine = open_store(f"sqlite:///{tmp_path / 'store.db'}")
        if champion is not None:
            identity = release_id(bundles / champion)
            releases.add(engine, Release(identity, champion, "candidate", AS_OF, AS_OF))
            releases.promote(engine, identity)
        measures, store = Measures(CollectorRegistry()), LiveStore(url or f"sqlite:///{tmp_path / 'store.db'}")
        built = None if built_with is None else f"{built_with}:{release_id(bundles / built_with)}"
        opening = partial(Recommender.open, verify_keys=verify_keys)
        changeover = Changeover(store, measures, opening, lambda tag: bundles / tag.partition(":")[0], built)
        writer = Writer(store, measures)
        app = make_app()
        answering = Answering(store, writer, changeover, measures, exploration)
        app.state.parts = Parts(answering, measures, partial(pseudonym, key=KEY), replay_clock, ThreadPoolExecutor(2))
        service = Service(Door(app, api_keys, **door), engine, store, writer, answering, changeover, measures, bundles)
        started.append(service)
        return service

    yield starting
    for service in started:
        service.changeover.close()
        service.writer.close()
        service.store.close()
        service.engine.dispose()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service with a champion, a replay clock and no keys."""
    return start()
