from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core import exposure_figures as figures
from footfall.core.exposure_figures import exposure_figures

SLATES = {"model": np.array([[1, 2], [2, 0]]), "popular": np.array([[1, 1], [1, 1]])}
THIRD = 1 / np.log2(3)
ALL = 2 + THIRD
"""What two slates of two positions weigh, of which one holds nothing."""


def groups(said: dict[str, Any]) -> list[dict[str, Any]]:
    brands = said["brands"]
    return [*brands["largest"], *(brands[name] for name in ("others", "without") if name in brands)]


def test_brands_are_named_by_what_they_sell_and_the_rest_is_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_BRANDS", 2)
    said = exposure_figures(SLATES, np.array([3, 5, 1, 1, 0]), ["zeta", "acme", "", "bell", "cobb"], tail_share=0.2, k=2)
    assert said["k"] == 2
    assert [one["brand"] for one in said["brands"]["largest"]] == ["acme", "zeta"]
    acme, zeta, others, without = groups(said)
    assert acme == {"brand": "acme", "events": 0.5, "items": 0.2, "exposure": {"model": pytest.approx((1 + THIRD) / ALL), "popular": 0.0}}
    assert zeta == {"brand": "zeta", "events": 0.3, "items": 0.2, "exposure": {"model": pytest.approx(1 / ALL), "popular": 1.0}}
    assert others == {"brands": 2, "events": 0.1, "items": 0.4, "exposure": {"model": 0.0, "popular": 0.0}}
    assert without == {"events": 0.1, "items": 0.2, "exposure": {"model": 0.0, "popular": 0.0}}
    assert said["tail"] == {"events": 0.2, "items": 0.6, "exposure": {"model": 0.0, "popular": 0.0}}


def test_of_brands_that_sell_alike_the_first_by_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_BRANDS", 3)
    said = exposure_figures(SLATES, np.ones(12, int), list("lkjihgfedcba"), tail_share=0.2, k=2)
    assert ([one["brand"] for one in said["brands"]["largest"]], said["brands"]["others"]["brands"]) == (["a", "b", "c"], 9)


def test_groups_of_nothing_are_left_out() -> None:
    assert set(exposure_figures(SLATES, np.array([1, 1]), ["a", "b"], tail_share=0.2, k=2)["brands"]) == {"largest"}
    for brands in (None, ["", ""]):
        assert set(exposure_figures(SLATES, np.array([1, 1]), brands, tail_share=0.2, k=2)) == {"k", "tail"}


@given(st.lists(st.tuples(st.sampled_from(["", *(f"brand {n:02d}" for n in range(25))]), st.integers(0, 9)), min_size=2, max_size=40), st.data())
def test_shares_of_all_groups_make_one(items: list[tuple[str, int]], data: st.DataObject) -> None:
    brands, counts = [brand for brand, _ in items], np.array([number for _, number in items]) + 1
    slates = np.array([data.draw(st.permutations(range(1, len(items) + 1)))[:2] for _ in range(3)])
    said = exposure_figures({"model": slates}, counts, brands, tail_share=0.2, k=2)
    if not any(brands):
        assert "brands" not in said
        return
    found = groups(said)
    assert len(said["brands"]["largest"]) == min(len(set(brands) - {""}), 10)
    for share in ("events", "items"):
        assert sum(one[share] for one in found) == pytest.approx(1)
    assert sum(one["exposure"]["model"] for one in found) == pytest.approx(1)
