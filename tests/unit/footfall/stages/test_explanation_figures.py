"""Explanations on a small shop: what they say of a slate, and that their test can be failed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from footfall.arrays.histories import read_sequences
from footfall.arrays.windows import read_split
from footfall.core.metrics import top_k
from footfall.core.sequences import DAY_US, Sequences
from footfall.errors import ContractError
from footfall.params import Params
from footfall.paths import Paths
from footfall.recommender import EXPLAINED, History, Recommender
from footfall.stages import explanation_figures as stage
from footfall.stages.bundle import make_bundle
from footfall.stages.evaluate import make_metrics
from footfall.stages.explanation_figures import explanation_figures
from tests.unit.footfall.small_shop import make_bundle_by_hand, make_shop, small_params, use_table_scorer

NOW = 1000 * DAY_US


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    return small_params(checkout)


@pytest.fixture(autouse=True)
def _table_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)


@pytest.fixture
def shop(tmp_path: Path, params: Params) -> Paths:
    paths = make_shop(tmp_path, params)
    make_bundle(paths, params)
    return paths


@pytest.fixture
def by_hand(tmp_path: Path) -> Recommender:
    return Recommender.open(make_bundle_by_hand(tmp_path / "bundle", logits=np.array([0.0, 0.0, 0.0, 0.0, 3.0])))


def figures(shop: Paths, params: Params, sequences: Sequences | None = None) -> dict[str, object]:
    told = read_sequences(shop.sequences) if sequences is None else sequences
    return explanation_figures(Recommender.open(shop.bundle), told, read_split(shop.sequences).test_start, params.evaluate, 0.9)


def test_a_release_says_which_share_of_its_explanations_passes(shop: Paths, params: Params) -> None:
    found = make_metrics(shop, dataclasses.replace(params, release=dataclasses.replace(params.release, min_explained_share=0.85))).explanations
    assert found["asked"] == 0.85  # what the gate will ask
    assert found["share"] >= 0.9
    assert found["interval"][0] <= found["share"] <= found["interval"][1] <= 1
    assert found["lines"] == 10 * found["users"]
    assert 0 < found["cited"] <= 1
    assert 1 <= found["events_a_line"] <= 3


def test_citations_of_anything_but_the_carriers_fail(shop: Paths, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest event of the history, a search, is cited for everything: without it no item falls more than without any other event."""
    honest = Recommender.explain

    def lying(self: Recommender, sequences: Sequences, at: int, columns: np.ndarray) -> list[object]:
        return [one._replace(events=[event._replace(place=0) for event in one.events[:1]]) for one in honest(self, sequences, at, columns)]

    monkeypatch.setattr(Recommender, "explain", lying)
    found = figures(shop, params)
    assert found["share"] < 0.3


def test_the_same_figures_come_twice(shop: Paths, params: Params) -> None:
    assert figures(shop, params) == figures(shop, params)


def test_who_has_a_single_event_is_not_asked_about(shop: Paths, params: Params) -> None:
    found = figures(shop, params, read_sequences(shop.sequences).last(1))
    assert found["users"] == found["lines"] == 0
    assert "no line" in str(found["reason"])


def test_users_are_drawn_where_there_are_many(shop: Paths, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MOST_USERS", 7)
    assert (figures(shop, params)["users"], figures(shop, params)["lines"]) == (7, 70)


def test_an_item_bought_before_names_the_purchase_that_carried_it(by_hand: Recommender) -> None:
    history = History(["fuel", "c", None, "c"], ["view", "purchase", "search", "purchase"], [NOW - days * DAY_US for days in (9, 5, 3, 2)])
    own, together = by_hand.explain(by_hand.encode([history]), NOW, np.array([2, 3]))
    assert (own.item_id, own.reason) == ("c", "bought_before")
    assert [(one.place, one.item_id, one.event_type, one.occurred_at_us) for one in own.events] == [
        (3, "c", "purchase", NOW - 2 * DAY_US),
        (1, "c", "purchase", NOW - 5 * DAY_US),
    ]
    assert 0 < own.events[1].share <= own.events[0].share <= 1
    assert (together.item_id, together.reason) == ("d", "often_bought_together")
    assert [one.place for one in together.events] == [3, 1]  # it needs one of the two, so both together carry it


def test_events_with_and_without_a_known_item_can_be_told_apart(by_hand: Recommender) -> None:
    history = History(["fuel", "a"], ["view", "purchase"], [NOW - 2 * DAY_US, NOW - DAY_US])
    (explained,) = by_hand.explain(by_hand.encode([history]), NOW, np.array([0]))
    assert [one.item_id for one in explained.events] == ["a"]


def test_what_nobodys_history_carried_is_popular_and_cites_nothing(by_hand: Recommender) -> None:
    """Without any of the purchases the model still says the same of it: taste of everybody, and so of nobody."""
    (explained,) = by_hand.explain(by_hand.encode([History(["c", "b"], ["purchase"] * 2, [NOW - 9, NOW - 8])]), NOW, np.array([4]))
    assert (explained.item_id, explained.reason, explained.events) == ("e", "popular", [])


@pytest.mark.parametrize("history", [History([], [], []), History(["fuel", None], ["view", "search"], [1, 2]), History(["a"], ["view"], [NOW])])
def test_a_slate_that_fell_back_on_popularity_says_so_of_every_line(by_hand: Recommender, history: History) -> None:
    found = by_hand.explain(by_hand.encode([history]), NOW, np.array([1, 0]))
    assert [(one.item_id, one.reason, one.events) for one in found] == [("b", "popular", []), ("a", "popular", [])]


def test_places_count_in_the_history_that_was_given(shop: Paths) -> None:
    recommender, split = Recommender.open(shop.bundle), read_split(shop.sequences)
    sequences = read_sequences(shop.sequences).take(np.array([0]))
    recommender._reader = dataclasses.replace(recommender._reader, history_events=12)
    columns = top_k(recommender.scores(sequences, split.test_start), 10)[0]
    before = sequences.before(split.test_start)
    cited = [event for line in recommender.explain(sequences, split.test_start, columns) for event in line.events]
    assert cited
    for event in cited:
        assert len(before.item_index) - 12 <= event.place < len(before.item_index)
        assert event.occurred_at_us == before.occurred_at[event.place]
        index = int(before.item_index[event.place])
        assert event.item_id == (recommender.vocabulary.item_ids[index - 1] if index else None)


def test_more_than_can_be_explained_is_refused(by_hand: Recommender) -> None:
    history = by_hand.encode([History(["a"], ["view"], [1])] * 2)
    with pytest.raises(ContractError, match="too much to explain"):
        by_hand.explain(history, NOW, np.array([0]))
    with pytest.raises(ContractError, match="too much to explain"):
        by_hand.explain(history.take(np.array([0])), NOW, np.zeros(EXPLAINED + 1, np.int64))
