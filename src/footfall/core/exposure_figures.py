"""Who gets how much of what is shown, policy by policy: the long tail, and each brand, beside what they have of the events and of the items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from footfall.core.exposure import GroupShares, exposure_by_group, tail_exposure
from footfall.core.sequences import Int32, Int64

MOST_BRANDS = 10
"""Brands that are named, those with the most events; the others are one group."""


def exposure_figures(
    slates: Mapping[str, Int32 | Int64], counts: Int64, brands: Sequence[str] | None, *, tail_share: float, k: int
) -> dict[str, Any]:
    """Shares of exposure, as JSON.

    Args:
        slates: policy -> (S, K), of the same users.
        counts: (V,) events of item_index 1, 2, ... in the data that was learnt from.
        brands: (V,) the brand of each item, "" for none; None, or nothing but "": nothing is said of brands.
        tail_share: of the events, held by the tail.
        k: cut-off.

    Returns:
        `k`, `tail` and, where there are brands, `brands`: the `largest`, each with its `brand`; the `others` and how many; items `without` one.
        A group is {"events", "items", "exposure": policy -> share}; a group without items is left out.

    Raises:
        ValueError: a policy shows nothing, or nothing was counted.
    """
    said: dict[str, Any] = {"k": k, "tail": _group({policy: tail_exposure(found, counts, tail_share, k) for policy, found in slates.items()})}
    return said if brands is None or not any(brands) else said | {"brands": _by_brand(slates, counts, brands, k)}


def _by_brand(slates: Mapping[str, Int32 | Int64], counts: Int64, brands: Sequence[str], k: int) -> dict[str, Any]:
    events: Counter[str] = Counter()
    for brand, number in zip(brands, counts.tolist(), strict=True):
        events[brand] += number
    named = sorted(set(brands) - {""}, key=lambda brand: (-events[brand], brand))
    largest = {brand: place for place, brand in enumerate(named[:MOST_BRANDS])}
    others, without = len(largest), len(largest) + 1
    groups = np.array([largest.get(brand, others) if brand else without for brand in brands], np.int64)
    names = [str(place) for place in range(without + 1)]
    shares = {policy: exposure_by_group(found, groups, names, counts, k) for policy, found in slates.items()}
    found = [_group({policy: of[name] for policy, of in shares.items()}) for name in names]
    said: dict[str, Any] = {"largest": [{"brand": brand, **found[place]} for brand, place in largest.items()]}
    if len(named) > len(largest):
        said["others"] = {"brands": len(named) - len(largest), **found[others]}
    if "" in brands:
        said["without"] = found[without]
    return said


def _group(shares: Mapping[str, GroupShares]) -> dict[str, Any]:
    one = next(iter(shares.values()))
    return {"events": one.events, "items": one.items, "exposure": {policy: share.exposure for policy, share in shares.items()}}
