"""What can be asked of the service, checked: user ids are pseudonyms already, moments are microseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from footfall.core.slates import Filters


@dataclass(frozen=True)
class Shopper:
    """Who is asked for: a user of the store, the events in the request, both, or nobody in particular.

    Attributes:
        user_id: a pseudonym.
        at_us: the moment of asking.
        events: of this very session.
        segments: that the request puts the shopper into, beside those of the user's attributes.
    """

    user_id: str | None
    at_us: int
    events: list[dict[str, Any]] = field(default_factory=list)
    segments: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shelf:
    """Where a slate stands, and what may stand on it.

    Attributes:
        k: positions.
        place: one of `footfall.rules.PLACES`, for the merchant's rules; in the cart, what lies there is context.
        exclude: item ids that must not be shown.
        filters: what the items must be.
        unbought: leave out what the user bought before.
        diversity: 0 to 1.
        context: ids of the items that stand on the page already.
    """

    k: int = 10
    place: str | None = None
    exclude: list[str] = field(default_factory=list)
    filters: Filters | None = None
    unbought: bool = False
    diversity: float = 0.0
    context: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SlateRequest:
    """A slate for somebody."""

    shopper: Shopper
    shelf: Shelf = field(default_factory=Shelf)
    explain: bool = False


@dataclass(frozen=True)
class ItemsRequest:
    """A slate that belongs to some items and to no user."""

    item_ids: list[str]
    at_us: int
    shelf: Shelf = field(default_factory=Shelf)


@dataclass(frozen=True)
class ScoreRequest:
    """Some items for somebody."""

    shopper: Shopper
    item_ids: list[str]


@dataclass(frozen=True)
class HomeRequest:
    """Rows of slates for somebody."""

    shopper: Shopper
    shelf: Shelf
    rows: int = 6
