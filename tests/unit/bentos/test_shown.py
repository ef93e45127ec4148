from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from bentos.measures import Measures
from bentos.slates.shown import Showing, long_tail
from footfall.recommender import Line, Recommender, Slate
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import AT, bought, post_events, recommend


class Counted:
    """What a registry of its own has counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.showing = Showing(Measures(self.registry))

    def of(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"footfall_{name}_total", labels)


@pytest.fixture
def ranker(service: Service) -> Iterator[Recommender]:
    found = service.changeover.ranker
    assert found is not None
    return found


def line(position: int, item: str, reason: str, propensity: float = 1.0, rules: tuple[str, ...] = ()) -> Line:
    return Line(position, item, 1.0, reason, propensity, rules)


def test_the_long_tail_is_what_holds_a_fifth_of_the_purchases(ranker: Recommender) -> None:
    # 5, 4, 3, 2, 1 purchases of a to e, 15 in all: a, b and c hold 12, four fifths
    assert ranker.bundle.popularity.tolist() == [5, 4, 3, 2, 1]
    assert long_tail(ranker) == {"d", "e"}


def test_positions_are_counted_by_reason_by_chance_and_by_tail(ranker: Recommender) -> None:
    counted, release = Counted(), ranker.release_id
    slate = Slate([line(1, "a", "popular"), line(2, "d", "taste", 0.25), line(3, "e", "taste", 0.9), line(4, "b", "taste")], "fused", None)
    counted.showing.count(ranker, slate)

    assert [counted.of("positions", release=release, reason=reason) for reason in ("popular", "taste", "similar")] == [1, 3, None]
    assert (counted.of("positions_drawn", release=release), counted.of("positions_tail", release=release)) == (2, 2)
    assert counted.of("slates", release=release, degraded="no", arm="champion") == 1
    assert counted.of("slates_empty", release=release) == counted.of("slates_ruled", release=release) == 0


def test_a_slate_counts_once_as_ruled_however_many_rules_touch_it_and_when_a_rule_only_keeps_items_off(ranker: Recommender) -> None:
    counted, release = Counted(), ranker.release_id
    counted.showing.count(ranker, Slate([line(1, "a", "popular", rules=("x", "y")), line(2, "b", "popular", rules=("x",))], "fused", None))
    counted.showing.count(ranker, Slate([line(1, "a", "popular")], "fused", None, ("hide",)))
    counted.showing.count(ranker, Slate([line(1, "a", "popular")], "fused", None))
    assert counted.of("slates_ruled", release=release) == 2


def test_an_empty_slate_is_counted_as_empty_whatever_else_is_said_of_it(ranker: Recommender) -> None:
    counted, release = Counted(), ranker.release_id
    counted.showing.count(ranker, Slate([], "fused", "nothing_passes"), "history_unavailable")
    assert counted.of("slates", release=release, degraded="history_unavailable", arm="champion") == 1
    assert counted.of("slates_empty", release=release) == 1
    assert counted.of("positions_tail", release=release) == 0


def test_the_tail_is_that_of_the_release_that_serves(service: Service) -> None:
    showing = Showing(service.measures)
    first = service.changeover.ranker
    assert first is not None
    assert showing.tail_of(first) == {"d", "e"}
    service.promote("b")
    service.changeover.look()
    second = service.changeover.ranker
    assert second is not None
    assert second is not first
    object.__setattr__(second.bundle, "popularity", np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert showing.tail_of(second) == {"a", "b"}


def test_every_way_to_a_slate_is_counted(service: Service) -> None:
    post_events(service, bought("c"))
    recommend(service, user_id="ann", k=2)
    for path, body in (("similar", {"item_id": "a"}), ("complementary", {"item_ids": ["a"]}), ("home", {"user_id": "ann", "rows": 2})):
        assert ask(service.app, "POST", f"/v1/{path}", {"k": 2, "at": AT, **body}).status == 200
    page = service.measures.page()[0].decode()
    rows = [text for text in page.splitlines() if text.startswith("footfall_slates_total")]
    assert sum(float(text.rpartition(" ")[2]) for text in rows) == 5
    assert next(text for text in page.splitlines() if text.startswith("footfall_slate_seconds_count")).endswith(" 1.0")


def test_the_tail_of_each_release_is_found_once_and_goes_with_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    showing, found = Showing(service.measures), list[str]()
    monkeypatch.setattr("bentos.slates.shown.long_tail", lambda ranker: found.append(ranker.release_id) or frozenset())
    rankers = [Recommender.open(service.bundles / name) for name in ("a", "b")]
    for _ in range(3):
        for ranker in rankers:
            showing.count(ranker, Slate([line(1, "a", "popular")], "fused", None))
    assert found == [ranker.release_id for ranker in rankers]
    del ranker
    rankers.clear()
    gc.collect()
    assert len(showing._tails) == 0
