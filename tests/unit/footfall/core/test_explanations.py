from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES
from footfall.core.baselines import ItemToItem
from footfall.core.explanations import CITED, TRIED, carriers, explained, without
from footfall.core.fusion import ITEM_TO_ITEM, MODEL, PERSONAL
from footfall.core.parts import PartReader
from footfall.core.sequences import DAY_US, Sequences
from footfall.core.vocabulary import Vocabulary

PURCHASE, VIEW = EVENT_TYPES.index("purchase"), EVENT_TYPES.index("view")
NOW = 1000 * DAY_US
ITEMS = 6


class CountingScorer:
    """Logit of an item: how many events are of the item before it (column j is moved by item_index j)."""

    def scores(self, sequences: Sequences) -> np.ndarray:
        found = np.zeros((len(sequences), ITEMS), np.float32)
        known = (sequences.item_index > 0) & (sequences.item_index < ITEMS)
        np.add.at(found, (sequences.owners[known], sequences.item_index[known]), 1)
        return found


def history(items: list[int], kinds: list[int] | None = None, days_ago: list[float] | None = None) -> Sequences:
    ages = days_ago or [float(len(items) - place) for place in range(len(items))]
    moments = [NOW - round(age * DAY_US) for age in ages]
    types = np.array(kinds or [PURCHASE] * len(items), np.int8)
    return Sequences(np.array(items, np.int32), types, np.array(moments, np.int64), np.array([0, len(items)]))


def reader(neighbours: list[list[int]] | None = None, similarities: list[list[float]] | None = None) -> PartReader:
    near = np.array(neighbours or [[0]] * ITEMS, np.int32)
    alike = np.array(similarities or [[0.0]] * ITEMS, np.float32)
    return PartReader(CountingScorer(), ItemToItem(near, alike), 90.0, 1000, 1.0)


def places(found: list[list[object]]) -> list[list[int]]:
    return [[one.place for one in cited] for cited in found]  # type: ignore[attr-defined]


def test_each_history_lacks_its_own_events() -> None:
    found = without(history([1, 2, 3]), [[], [1], [0, 2]])
    assert found.item_index.tolist() == [1, 2, 3, 1, 3, 2]
    assert found.offsets.tolist() == [0, 3, 5, 6]


def test_an_item_bought_before_is_carried_by_its_own_purchases_the_newer_the_more() -> None:
    seen = history([3, 1, 3, 2], days_ago=[91.0, 50.0, 1.0, 1.0])
    (cited,) = carriers(reader(), {PERSONAL: 1.0}, seen, NOW, np.array([2]))
    assert [one.place for one in cited] == [2, 0]
    assert [one.share for one in cited] == pytest.approx([2 / 3, 1 / 3])


def test_an_item_that_goes_with_others_is_carried_by_the_most_similar() -> None:
    """Items 1 (.9) and 2 (.3) go with item 5, and item 3 (1.5) with item 6: item 5 has 1.2 of 1.5, or .3 or .9 of it without one of the two."""
    beside = reader([[4], [4], [5], [0], [0], [0]], [[0.9], [0.3], [1.5], [0.0], [0.0], [0.0]])
    seen = history([1, 2, 3], days_ago=[1.0, 1.0, 1.0])
    (cited,) = carriers(beside, {ITEM_TO_ITEM: 1.0}, seen, NOW, np.array([4]))
    assert [one.place for one in cited] == [0, 1]
    assert [one.share for one in cited] == pytest.approx([0.9 / 1.2, 0.3 / 1.2])


def test_what_the_model_read_is_found_by_leaving_it_out() -> None:
    """Item 3's logit is the number of events of item 2: three of them, and item 5 is before it with four events of item 4."""
    seen = history([2, 4, 2, 4, 2, 4, 4, 6], kinds=[VIEW] * 8)
    (cited,) = carriers(reader(), {MODEL: 1.0}, seen, NOW, np.array([2]))
    assert sorted(one.place for one in cited) == [0, 2, 4]
    assert [one.share for one in cited] == pytest.approx([1 - np.exp(-1)] * 3)


def test_the_best_item_of_a_part_is_carried_by_what_gives_it_its_lead() -> None:
    """Item 5 has four events and stays the best with three: its share of the best is 1 either way, its lead falls from 1 to 0."""
    seen = history([2, 4, 2, 4, 2, 4, 4, 6], kinds=[VIEW] * 8)
    (cited,) = carriers(reader(), {MODEL: 1.0}, seen, NOW, np.array([4]))
    assert len(cited) == CITED
    assert {one.place for one in cited} <= {1, 3, 5, 6}
    assert cited[0].share == pytest.approx(0.5)  # from 1 + lead 1 to 1


def test_an_item_that_no_event_carried_has_no_citation() -> None:
    assert carriers(reader(), {PERSONAL: 1.0}, history([1, 2]), NOW, np.array([4])) == [[]]


def test_an_event_that_hardly_matters_is_not_cited_beside_one_that_does() -> None:
    seen = history([3, 3, 1], days_ago=[90.0 * 7 + 1, 1.0, 1.0])  # seven half-lives before: 1/128 of the newer
    assert places(carriers(reader(), {PERSONAL: 1.0}, seen, NOW, np.array([2]))) == [[1]]


def test_purchases_that_stand_in_for_each_other_are_cited_together() -> None:
    """Item 5 goes with item 1 and with nothing else: as long as one of its purchases is left, item 5 has all of the part."""
    beside = reader([[4], [0], [0], [0], [0], [0]], [[0.9], [0.0], [0.0], [0.0], [0.0], [0.0]])
    (cited,) = carriers(beside, {ITEM_TO_ITEM: 1.0}, history([1, 2, 1, 3]), NOW, np.array([4]))
    assert [one.place for one in cited] == [2, 0]
    assert [one.share for one in cited] == pytest.approx([0.5, 0.5])


def test_a_history_of_one_event_is_all_that_can_have_carried_anything() -> None:
    """The model gives every item of an empty history the same logit, and so the best share: that is no score without the event."""
    (cited,) = carriers(reader(), {MODEL: 1.0}, history([2], kinds=[VIEW]), NOW, np.array([0]))
    assert [(one.place, one.share) for one in cited] == [(0, 1.0)]


def test_an_old_purchase_is_tried_however_many_events_came_after_it() -> None:
    seen = history([3, *[1] * (3 * TRIED)])
    assert places(carriers(reader(), {PERSONAL: 1.0}, seen, NOW, np.array([2]))) == [[0]]


def test_every_item_is_answered_for_and_none_for_no_items() -> None:
    seen = history([1, 2, 3])
    assert places(carriers(reader(), {PERSONAL: 1.0}, seen, NOW, np.array([0, 5, 2]))) == [[0], [], [2]]
    assert carriers(reader(), {PERSONAL: 1.0}, seen, NOW, np.zeros(0, np.int64)) == []


@given(st.lists(st.integers(0, ITEMS), min_size=1, max_size=50), st.integers(0, ITEMS - 1))
def test_without_the_first_citation_the_score_falls_by_its_share(items: list[int], column: int) -> None:
    """Personal frequency is additive: what is said of an event is exactly what is lost without it, and no event would be worse to lose."""
    seen, weights = history(items), {PERSONAL: 1.0}
    (cited,) = carriers(reader(), weights, seen, NOW, np.array([column]))
    whole, *left = reader().read(without(seen, [[], *([place] for place in range(len(items)))]), NOW, {PERSONAL}).scores[PERSONAL][:, column]
    assert bool(cited) == (column + 1 in items)
    for one in cited:
        assert one.share == pytest.approx((whole - left[one.place]) / whole)
    if cited:
        assert left[cited[0].place] == pytest.approx(min(left))


def test_a_scorer_that_reads_variants_is_told_of_which_history_they_are() -> None:
    """It answers the same, and no shortened history reaches `scores`."""

    class Variants(CountingScorer):
        wholes: list[list[int]] = []  # noqa: RUF012 - of one test

        def scores_of_variants(self, history: Sequences, variants: Sequences) -> np.ndarray:
            self.wholes.append(history.item_index.tolist())
            return CountingScorer().scores(variants)

        def scores(self, sequences: Sequences) -> np.ndarray:
            raise AssertionError(sequences)

    seen, columns = history([2, 4, 2, 4, 2, 4, 4, 6], kinds=[VIEW] * 8), np.arange(ITEMS)
    found = carriers(replace(reader(), scorer=Variants()), {MODEL: 1.0}, seen, NOW, columns)
    assert found == carriers(reader(), {MODEL: 1.0}, seen, NOW, columns)
    assert Variants.wholes
    assert all(whole == seen.item_index.tolist() for whole in Variants.wholes)


def test_citations_speak_of_the_shops_items_and_of_places_in_the_whole_history() -> None:
    seen = history([1, 0, 3], kinds=[PURCHASE, VIEW, PURCHASE])
    cited = carriers(reader(), {PERSONAL: 1.0}, seen, NOW, np.array([2, 4]))
    one, other = explained(Vocabulary(tuple("abcdef")), seen, np.array([2, 4]), ["bought_before", "popular"], cited, earlier=10)
    assert (one.item_id, one.reason) == ("c", "bought_before")
    assert [(event.place, event.item_id, event.event_type, event.occurred_at_us) for event in one.events] == [
        (12, "c", "purchase", int(seen.occurred_at[2]))
    ]
    assert (other.item_id, other.reason, other.events) == ("e", "popular", [])
