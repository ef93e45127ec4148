"""The example of docs/slates.md runs, and withholds what the shop does not recommend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from footfall.core.sequences import DAY_US
from footfall.recommender import History, Recommender
from tests.unit.footfall.small_shop import make_bundle_by_hand, use_table_scorer

PAGE = (Path(__file__).parents[3] / "docs" / "slates.md").read_text(encoding="utf-8")
NAMES = {"A1": "a", "A7": "b", "C3": "c"}
"""Items of the page, and who plays them; `d` is a phone like the others, and `e` one that is withdrawn."""
NOW = 1000 * DAY_US


def phone(item_id: str, **changes: Any) -> dict[str, Any]:
    row = {"item_id": item_id, "title": item_id, "category_path": "Electronics > Phones", "price_minor": 40_000, "currency": "EUR"}
    return row | {"available": True, "recommendable": True} | changes


def test_the_example_runs_and_what_is_withdrawn_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_table_scorer(monkeypatch)
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for name, letter in NAMES.items():
        example = example.replace(f'"{name}"', f'"{letter}"')
    recommender = Recommender.open(make_bundle_by_hand(tmp_path / "bundle"))
    rows = [phone("a"), phone("b"), phone("c", price_minor=60_000), phone("d"), phone("e", recommendable=False)]
    history = History(["c", "a"], ["purchase", "view"], np.array([NOW - 2 * DAY_US, NOW - DAY_US]))
    known: dict[str, Any] = {"recommender": recommender, "catalogue_rows": rows, "history": history, "at_us": NOW}
    exec(compile(example, "docs/slates.md", "exec"), known)
    assert known["phones"].tolist() == [True, True, False, True, True]
    assert known["wishes"].allowed.tolist() == [True, True, False, True, False]
    (slate,) = recommender.recommend(recommender.encode([history]), NOW, known["wishes"])
    assert [line.item_id for line in slate.items] == ["d"]  # a is excluded, b stands on the page, c costs too much, e is withdrawn
