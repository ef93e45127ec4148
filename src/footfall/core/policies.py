"""Policies: how the parts of a user's scores become one score an item, and why an item then stands where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from footfall.core.baselines import TIE_BREAK
from footfall.core.fusion import HABITS, ITEM_TO_ITEM, MODEL, PERSONAL, fuse, share_of_best
from footfall.core.metrics import Float64
from footfall.core.parts import Parts
from footfall.core.sequences import Int64
from footfall.errors import ContractError

FUSED = "fused"
FUSED_WITHOUT_MODEL = "fused_without_model"
POPULARITY = "popularity_28d"
BASELINES = (POPULARITY, "personal_frequency_90d", "item_to_item")
"""What a model must not be worse than."""
POLICIES = ("model", "habits", FUSED, FUSED_WITHOUT_MODEL, *BASELINES)
"""Every policy that can be asked for; the names say the usual parameters, the bundle holds the real ones."""
POPULARITY_IN_SEGMENT = "popularity_in_segment_28d"
"""What orders the slate of a user who cannot be scored, but whose segments are known. It is not asked for: wishes bring its scores."""
POPULAR = "popular"
"""Reason of an item that stands there only because many buy it."""
POPULAR_IN_SEGMENT = "popular_in_segment"
"""Reason of an item that stands there because many buy it, users of the same segments above all."""

TOGETHER = "often_bought_together"
"""Reason of an item that is bought with what the user has, or looks at."""

_NEEDS = {
    "model": {MODEL},
    "habits": {HABITS},
    POPULARITY: set[str](),
    "personal_frequency_90d": {PERSONAL},
    "item_to_item": {PERSONAL, ITEM_TO_ITEM},
}
_PARTS = {"habits": HABITS, "personal_frequency_90d": PERSONAL, "item_to_item": ITEM_TO_ITEM}
_OWN = {PERSONAL, HABITS}
_REASONS = {PERSONAL: "bought_before", HABITS: "bought_before", ITEM_TO_ITEM: TOGETHER, MODEL: "taste"}


@dataclass(frozen=True)
class Policies:
    """The policies of one bundle.

    Attributes:
        weights: fused policy -> part -> weight.
        popular: (1, V) popularity as a share of the most popular item's.
    """

    weights: Mapping[str, Mapping[str, float]]
    popular: Float64

    @classmethod
    def of(cls, weights: Mapping[str, Mapping[str, float]], popularity: Float64) -> Policies:
        """The policies of these weights; `popularity` (V,) is counted in purchases."""
        return cls(weights, share_of_best(popularity[None, :]))

    @cached_property
    def _ties(self) -> Float64:
        """(1, V) what orders items that would otherwise be equal."""
        return TIE_BREAK * self.popular

    def needed(self, policy: str) -> set[str]:
        """Names of the parts that a policy reads."""
        weights = self.weights.get(policy)
        return _NEEDS.get(policy, set()) if weights is None else {name for name, weight in weights.items() if weight}

    def combine(self, parts: Parts, policy: str) -> Float64:
        """(U, V) scores of one policy; a user who cannot be scored has the popularity row.

        Raises:
            ContractError: there is no such policy.
        """
        rows = self._combine_known(parts.scores, policy, len(parts.degraded))
        for user, degraded in enumerate(parts.degraded):
            if degraded:
                rows[user] = self.popular[0]
        return rows

    def _combine_known(self, scores: dict[str, Float64], policy: str, users: int) -> Float64:
        if policy == POPULARITY:
            return self.popular.repeat(users, axis=0)
        if policy == "model":
            return scores[MODEL].copy()
        if policy in self.weights:
            rows = fuse(scores, self.weights[policy])
            rows += self._ties
            return rows
        if policy in _PARTS:
            return scores[_PARTS[policy]] + self._ties
        raise ContractError("unknown policy", where="policy", expected=", ".join(POLICIES), found=policy)

    def reasons(self, user: int, columns: Int64, parts: Parts, policy: str) -> list[str]:
        """Why each item stands there: it was bought before, or else by the part that gives it most, or else because it is popular."""
        if policy == POPULARITY_IN_SEGMENT:
            return [POPULAR_IN_SEGMENT] * len(columns)
        if parts.degraded[user] or policy == POPULARITY:
            return [POPULAR] * len(columns)
        weights = self.weights.get(policy, {})
        names = list(parts.scores)
        reasons = []
        for shares in zip(*((weights.get(name, 1.0) * rows[user, columns]).tolist() for name, rows in parts.scores.items()), strict=True):
            if any(share for name, share in zip(names, shares, strict=True) if name in _OWN):
                reasons.append(_REASONS[PERSONAL])
            else:
                largest = max(shares)
                reasons.append(_REASONS[names[shares.index(largest)]] if largest > 0 else POPULAR)
        return reasons
