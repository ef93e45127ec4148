"""Rows of a home page that leave something to chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from footfall.core.exploration import Exploration
from footfall.core.item_facts import catalogue_facts
from footfall.core.slates import Drawing
from footfall.home import BECAUSE, FOR_YOU, POPULAR, home_page
from footfall.recommender import History, Recommender, Wishes
from tests.unit.footfall.small_shop import DAY_US, make_bundle_by_hand, use_table_scorer

PAGES = 1000
NOW = 1000 * DAY_US


def test_propensities_are_how_often_it_happens_given_the_rows_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    recommender = Recommender.open(make_bundle_by_hand(tmp_path / "bundle", items=12, logits=np.arange(12.0)))
    bought = list("dcba")
    history = recommender.encode([History(bought, ["purchase"] * 4, [NOW - day * DAY_US for day in (4, 3, 2, 1)])])
    numbers, facts = count(), catalogue_facts(recommender.vocabulary, [])
    wishes = Wishes(3, drawing=Drawing(Exploration(rate=0.5, first=3, pool=1), ""))
    shown: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    told: dict[tuple[tuple[str, ...], str], set[float]] = defaultdict(set)
    kinds = set()
    for _ in range(PAGES):
        above: tuple[str, ...] = ()
        for row in home_page(recommender, history, NOW, wishes, facts, 3, lambda: f"{next(numbers):032x}"):
            kinds.add(row.kind)
            last = row.slate.items[-1]
            assert {line.propensity for line in row.slate.items[:2]} == {1.0}
            shown[above][last.item_id] += 1
            told[above, last.item_id].add(last.propensity)
            above += tuple(line.item_id for line in row.slate.items)
    assert kinds == {FOR_YOU, BECAUSE, POPULAR}
    assert len(shown) > 3
    for rows, found in shown.items():
        pages = sum(found.values())
        for item, times in found.items():
            (propensity,) = told[rows, item]
            assert times / pages == pytest.approx(propensity, abs=4 * np.sqrt(propensity * (1 - propensity) / pages) + 1e-12), (rows, item)
