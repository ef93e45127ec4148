from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from footfall.core.sequences import Sequences
from footfall.errors import BundleError, ContractError
from footfall.recommender import POLICIES, History, Recommender, Wishes
from tests.unit.footfall.small_shop import DAY_US, make_bundle_by_hand, use_table_scorer

NOW = 1000 * DAY_US
NOBODY = History([], [], [])
FIVE = Wishes(5)


def bought(*items: str | None, days_ago: float = 1.0) -> History:
    return History(list(items), ["purchase"] * len(items), [NOW - round(days_ago * DAY_US)] * len(items))


@pytest.fixture
def recommender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recommender:
    use_table_scorer(monkeypatch)
    return Recommender.open(make_bundle_by_hand(tmp_path / "bundle", logits=np.array([0.0, 0.0, 0.0, 0.0, 3.0])))


def show(recommender: Recommender, *histories: History, wishes: Wishes | Sequence[Wishes] = FIVE) -> list[list[str]]:
    return [[line.item_id for line in slate.items] for slate in recommender.recommend(recommender.encode(histories), NOW, wishes)]


def test_a_slate_says_position_item_score_and_reason(recommender: Recommender) -> None:
    (slate,) = recommender.recommend(recommender.encode([bought("c")]), NOW, Wishes(5))
    assert [(line.position, line.item_id, line.reason) for line in slate.items[:3]] == [
        (1, "c", "bought_before"),
        (2, "d", "often_bought_together"),
        (3, "e", "taste"),
    ]
    assert [line.score for line in slate.items] == sorted((line.score for line in slate.items), reverse=True)
    assert (slate.policy, slate.degraded) == ("fused", None)


@pytest.mark.parametrize("history", [NOBODY, bought(None), bought("fuel", "nonsense"), bought("a", days_ago=-1)])
def test_without_a_known_history_the_slate_is_popularity_and_says_so(recommender: Recommender, history: History) -> None:
    for policy in POLICIES:
        (slate,) = recommender.recommend(recommender.encode([history]), NOW, Wishes(3), policy)
        assert [line.item_id for line in slate.items] == ["a", "b", "c"]
        assert {line.reason for line in slate.items} == {"popular"}
        assert slate.degraded == "no_history"


def test_unknown_items_in_a_history_are_index_zero(recommender: Recommender) -> None:
    assert recommender.encode([History(["b", "fuel", None], ["view", "cart", "search"], [1, 2, 3])]).item_index.tolist() == [2, 0, 0]


def test_a_history_is_put_in_time_order_and_ties_stay_as_they_came(recommender: Recommender) -> None:
    sequences = recommender.encode([History(["a", "b", "c"], ["purchase"] * 3, [5, 3, 3]), History(["d"], ["view"], np.array([1]))])
    assert sequences.item_index.tolist() == [2, 3, 1, 4]
    assert sequences.offsets.tolist() == [0, 3, 4]


def test_a_history_that_makes_no_sense_is_refused(recommender: Recommender) -> None:
    with pytest.raises(ContractError, match="unknown event type"):
        recommender.encode([History(["a"], ["stolen"], [1])])
    with pytest.raises(ContractError, match="differ in length"):
        recommender.encode([History(["a"], ["view"], [1, 2])])


def test_nothing_from_the_moment_on_is_read(recommender: Recommender) -> None:
    later = History(["c", "b"], ["purchase"] * 2, [NOW - DAY_US, NOW])
    assert show(recommender, later) == show(recommender, bought("c"))


def test_asking_later_changes_no_ranking(recommender: Recommender) -> None:
    history = recommender.encode([History(["a", "b", "b", "c"], ["purchase"] * 4, [NOW - days * DAY_US for days in (400, 300, 20, 10)])])
    first = recommender.scores(history, NOW)
    for days in (1, 30, 4000):
        assert np.array_equal(recommender.scores(history, NOW + days * DAY_US), first)


@pytest.mark.parametrize("policy", POLICIES)
def test_one_request_equals_its_row_in_a_batch(recommender: Recommender, policy: str) -> None:
    random = np.random.default_rng(4)
    histories = [
        History([str(item) for item in random.choice(list("abcdef"), size)], ["purchase"] * size, np.sort(random.integers(0, NOW, size)))
        for size in (0, 1, 3, 40, 7)
    ]
    together = recommender.recommend(recommender.encode(histories), NOW, Wishes(5), policy)
    assert together == [recommender.recommend(recommender.encode([history]), NOW, Wishes(5), policy)[0] for history in histories]
    ranked = recommender.rank(recommender.encode(histories), NOW, 5, [policy]).slates[policy]
    assert [[line.item_id for line in slate.items] for slate in together] == [recommender.vocabulary.decode(row.tolist()) for row in ranked]


def test_moments_may_differ_from_user_to_user(recommender: Recommender) -> None:
    histories = recommender.encode([bought("c"), bought("c")])
    slates = recommender.recommend(histories, np.array([NOW, NOW - 2 * DAY_US]), Wishes(1))
    assert [slate.degraded for slate in slates] == [None, "no_history"]


def test_excluded_items_are_not_shown_and_unknown_ones_are_ignored(recommender: Recommender) -> None:
    assert show(recommender, bought("c"), NOBODY, wishes=[Wishes(2, ["c", "fuel"]), Wishes(2, {"a"})]) == [["d", "e"], ["b", "c"]]
    with pytest.raises(ContractError, match="exclude is no collection"):
        Wishes(2, "c")
    with pytest.raises(ContractError, match="wishes do not fit the users"):
        show(recommender, bought("c"), wishes=[])


def test_a_slate_is_no_longer_than_the_vocabulary(recommender: Recommender) -> None:
    assert len(show(recommender, bought("c"), wishes=Wishes(100))[0]) == 5


@pytest.mark.parametrize("k", [0, -1, 101])
def test_k_has_bounds(k: int) -> None:
    with pytest.raises(ContractError, match="k is out of bounds"):
        Wishes(k)


def test_an_unknown_policy_is_named(recommender: Recommender) -> None:
    with pytest.raises(ContractError, match="unknown policy"):
        recommender.recommend(recommender.encode([bought("c")]), NOW, Wishes(), "magic")


def test_scores_that_are_no_numbers_degrade_to_popularity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    from footfall.bundle import open_bundle

    class Broken:
        def scores(self, sequences: Sequences) -> np.ndarray:
            return np.where(sequences.lengths[:, None] > 1, np.nan, 1.0).astype(np.float32) * np.ones((1, 5), np.float32)

    recommender = Recommender(open_bundle(make_bundle_by_hand(tmp_path / "bundle")), Broken())
    slates = recommender.recommend(recommender.encode([bought("c", "d"), bought("c")]), NOW, Wishes(2))
    assert [slate.degraded for slate in slates] == ["scores_not_finite", None]
    assert [line.item_id for line in slates[0].items] == ["a", "b"]


def test_weights_that_do_not_fit_their_configuration_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    with pytest.raises(BundleError, match="other items than the vocabulary"):
        Recommender.open(make_bundle_by_hand(tmp_path / "bundle", logits=np.zeros(4)))
    folder = make_bundle_by_hand(tmp_path / "other", config={"items": 5}, logits=np.zeros(4))
    with pytest.raises(BundleError, match="do not fit the model"):
        Recommender.open(folder)


def test_a_request_of_a_long_history_in_a_large_shop_takes_milliseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    random, items = np.random.default_rng(0), 11_000
    from footfall.bundle import Content
    from footfall.core.baselines import ItemToItem
    from tests.unit.footfall.small_shop import FUSION

    neighbours = ItemToItem(random.integers(0, items, (items, 100)).astype(np.int32), random.random((items, 100)).astype(np.float32))
    content = Content(random.integers(0, 99, items).astype(np.float64), neighbours, FUSION)
    recommender = Recommender.open(make_bundle_by_hand(tmp_path / "bundle", items=items, logits=random.normal(size=items), content=content))
    history = History(recommender.vocabulary.decode(random.integers(1, items, 200).tolist()), ["purchase"] * 200, np.arange(200) * DAY_US)
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        recommender.recommend(recommender.encode([history]), NOW)
        seconds.append(time.perf_counter() - began)
    assert np.median(seconds) < 0.02  # about 1 ms on a quiet core; other tests share this one
