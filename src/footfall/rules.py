"""Merchant rules as documents: what the people who run the shop want of slates, whatever the scores say. `core.rules` applies them.

A rule matches items that fit all that it names: one of its `items`, one of its `brands`, one of its `categories` (a path or what lies below it).
It holds at its `places`, for users of its `segments`, from `starts` until before `ends`; what it does not name does not narrow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from footfall.documents import Document
from footfall.errors import ContractError

PIN, BOOST, BURY, EXCLUDE = "pin", "boost", "bury", "exclude"
KINDS: Final = (PIN, BOOST, BURY, EXCLUDE)
PLACES: Final = ("home", "product", "cart", "email", "search")
"""Where a slate may stand."""
MAX_POSITION: Final = 100
MAX_FACTOR: Final = 100.0
MAX_PRIORITY: Final = 1_000_000
MAX_WORDS: Final = 1000
"""Items, brands, categories or segments of one rule."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVER = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Rule(Document):
    """One rule; checked when it is made.

    Attributes:
        rule_id: its name.
        kind: PIN (one item to a position), BOOST (factor above 1), BURY (factor below 1, or to the end without one), EXCLUDE.
        items, brands, categories: what it matches; at least one of the three is named.
        position: of a pin; 1 is the top.
        factor: on positive scores; negative ones are divided by it, so that a boost never lowers.
        places: of PLACES; empty: any.
        segments: words of which the user has one; empty: everybody.
        starts, ends: ISO 8601 with an offset, starts <= t < ends; None: open.
        priority: higher goes first; of equal ones the lower rule_id.
        enabled: a rule that is not is kept, and does nothing.
        note: why, for people.

    Raises:
        ContractError: a field does not fit; `where` is `rule.` and its name.
    """

    SCHEMA: ClassVar[str] = "footfall.rule/1"
    rule_id: str
    kind: str
    items: list[str] = field(default_factory=list)
    brands: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    position: int | None = None
    factor: float | None = None
    places: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    starts: str | None = None
    ends: str | None = None
    priority: int = 0
    enabled: bool = True
    note: str | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        _require(isinstance(self.rule_id, str) and 1 <= len(self.rule_id) <= 64, "rule_id", "text of 1 to 64 characters")
        _require(self.kind in KINDS, "kind", f"one of {', '.join(KINDS)}")
        for name in ("items", "brands", "categories", "places", "segments"):
            words = getattr(self, name)
            fits = isinstance(words, list) and len(words) <= MAX_WORDS and all(isinstance(word, str) and word for word in words)
            _require(fits, name, f"a list of at most {MAX_WORDS} words")
        _require(set(self.places) <= set(PLACES), "places", f"some of {', '.join(PLACES)}")
        _require(_is_whole(self.priority, -MAX_PRIORITY, MAX_PRIORITY), "priority", f"an integer from {-MAX_PRIORITY} to {MAX_PRIORITY}")
        _require(isinstance(self.enabled, bool), "enabled", "true or false")
        _require(self.note is None or isinstance(self.note, str), "note", "text")
        self._check_kind()
        starts, ends = self.window_us
        _require(starts < ends, "ends", "a moment after starts")

    def _check_kind(self) -> None:
        if self.kind == PIN:
            _require(len(self.items) == 1, "items", "the one item that is pinned", f"{len(self.items)} items")
            _require(not self.brands, "brands", "none, for a pin")
            _require(not self.categories, "categories", "none, for a pin")
            _require(_is_whole(self.position, 1, MAX_POSITION), "position", f"an integer from 1 to {MAX_POSITION}")
        else:
            _require(bool(self.items or self.brands or self.categories), "items", "items, brands or categories", "none")
            _require(self.position is None, "position", f"nothing, for {self.kind}")
        number = isinstance(self.factor, int | float) and not isinstance(self.factor, bool)
        if self.kind == BOOST:
            _require(number and 1 < float(self.factor or 0) <= MAX_FACTOR, "factor", f"a number above 1, at most {MAX_FACTOR:g}")
        elif self.kind == BURY:
            _require(self.factor is None or (number and 1 / MAX_FACTOR <= self.factor < 1), "factor", f"nothing, or {1 / MAX_FACTOR:g} to below 1")
        else:
            _require(self.factor is None, "factor", f"nothing, for {self.kind}")

    @property
    def window_us(self) -> tuple[int, int]:
        """[starts, ends) in microseconds since the epoch."""
        return (
            _EVER[0] if self.starts is None else _microseconds(self.starts, "starts"),
            _EVER[1] if self.ends is None else _microseconds(self.ends, "ends"),
        )


def segments_of(attributes: Mapping[str, Any]) -> frozenset[str]:
    """The segments that a user's attributes put them into: `name=value` for each text, number or truth, and for each of those in a list.

    The attribute `segments`, a list of texts, names segments outright.

    >>> sorted(segments_of({"tier": "gold", "likes": ["tea", "rice"], "adult": True, "segments": ["vip"]}))
    ['adult=true', 'likes=rice', 'likes=tea', 'tier=gold', 'vip']
    """
    found: set[str] = set()
    for name, value in attributes.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                found.add(f"{name}={str(one).lower()}")
            elif isinstance(one, str | int | float):
                found.add(one if name == "segments" and isinstance(one, str) else f"{name}={one}")
    return frozenset(found)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _require(fits: bool, name: str, expected: str, found: str = "something else") -> None:
    if not fits:
        raise ContractError("rule does not fit", where=f"rule.{name}", expected=expected, found=found)


def _microseconds(text: object, name: str) -> int:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ContractError("rule does not fit", where=f"rule.{name}", expected="a moment in ISO 8601 with its offset", found="something else")
    return (moment - _EPOCH) // timedelta(microseconds=1)
