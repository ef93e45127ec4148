"""Merchant rules on one user's scores: exclude, boost, bury, and pins on the finished slate. Which rule touched which item is kept.

    book = RuleBook(rules, facts)                 once, whenever rules or items have changed
    ruled = book.apply(scores, place=..., segments=..., at_us=...)
    ... rank `ruled.scores`, diversify, explore: a slate of columns ...
    slate, touched = ruled.finish(slate, k)

Excluded beats pinned, whatever the priorities: what must not be shown is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from footfall.core.metrics import Bools, Float64, top_k
from footfall.core.sequences import Int32, Int64
from footfall.rules import BOOST, BURY, EXCLUDE, PIN, Rule, category_of


@dataclass(frozen=True)
class ItemFacts:
    """What rules match items by; V items in the order of the columns of scores.

    Attributes:
        columns: item_id -> column.
        brands, categories: the words that codes stand for; categories are whole paths.
        brand, category: (V,) codes, -1 where an item has none that is known.
    """

    columns: Mapping[str, int]
    brands: tuple[str, ...]
    categories: tuple[str, ...]
    brand: Int32
    category: Int32

    @classmethod
    def of(cls, item_ids: Sequence[str], brands: Sequence[str | None], category_paths: Sequence[str | None]) -> ItemFacts:
        """From a row an item; None where nothing is known.

        Raises:
            ValueError: lists of different lengths.
        """
        if not len(item_ids) == len(brands) == len(category_paths):
            raise ValueError(f"{len(item_ids)} items, {len(brands)} brands and {len(category_paths)} categories")
        brand_words, brand = _coded(brands)
        category_words, category = _coded([None if path is None else category_of(path) for path in category_paths])
        return cls({item_id: column for column, item_id in enumerate(item_ids)}, brand_words, category_words, brand, category)

    def matching(self, rule: Rule) -> Int64:
        """Ascending columns of the items that the rule matches; items that are not among these V are passed over."""
        fits = np.ones(len(self.brand), dtype=bool)
        if rule.items:
            named = np.zeros(len(self.brand), dtype=bool)
            named[[self.columns[item_id] for item_id in rule.items if item_id in self.columns]] = True
            fits &= named
        if rule.brands:
            fits &= _has(self.brand, self.brands, set(rule.brands).__contains__)
        if rule.categories:
            paths = [category_of(path) for path in rule.categories]
            below = tuple(f"{path} > " for path in paths)
            fits &= _has(self.category, self.categories, lambda path: path in paths or path.startswith(below))
        return np.flatnonzero(fits).astype(np.int64)


@dataclass(frozen=True)
class Ruled:
    """One user's scores after the rules.

    Attributes:
        scores: (V,), -inf for what must not be shown.
        pins: position -> column, each column once, none of them excluded.
        applied: (rule_id, ascending columns that it touched) in the order of the rules; pins apart.
        pinned_by: column -> rule_id of its pin.
        excluding: rule ids of those in `applied` that exclude.
        before: (V,) the scores as they came.
    """

    scores: Float64
    pins: dict[int, int]
    applied: tuple[tuple[str, Int64], ...]
    pinned_by: dict[int, str]
    excluding: frozenset[str]
    before: Float64

    def finish(self, slate: Sequence[int] | Int64, k: int) -> tuple[Int64, list[tuple[str, ...]]]:
        """Put pinned items to their positions and say which rules touched each item.

        Args:
            slate: columns, best first, each once, from what `scores` allows.
            k: positions; a pin behind the last one does nothing.

        Returns:
            ((n,) columns, n <= k; for each the ids of the rules that touched it, the pin's first).
        """
        pins = {position: column for position, column in self.pins.items() if position <= k}
        placed = place_pins(slate, pins, k)
        touched: list[list[str]] = [[] for _ in placed]
        pinned = set(pins.values())
        for row, column in enumerate(placed.tolist()):
            if column in pinned:
                touched[row].append(self.pinned_by[column])
        for rule_id, columns in self.applied:
            for row in np.flatnonzero(_among(placed, columns)).tolist():
                touched[row].append(rule_id)
        return placed, [tuple(ids) for ids in touched]

    def kept_out(self, k: int) -> tuple[str, ...]:
        """Ids of the rules that excluded an item which would have been among the k best: they touched the slate by what is not on it."""
        if not self.excluding:
            return ()
        best = top_k(self.before[None, :], k)[0]
        return tuple(rule_id for rule_id, columns in self.applied if rule_id in self.excluding and _among(best, columns).any())


class RuleBook:
    """Rules made ready for a set of items. Safe to share between threads."""

    def __init__(self, rules: Iterable[Rule], facts: ItemFacts) -> None:
        """Look up once what each enabled rule matches. Higher priorities go first, of equal ones the lower rule_id."""
        ordered = sorted((rule for rule in rules if rule.enabled), key=lambda rule: (-rule.priority, rule.rule_id))
        self._rules = [(rule, facts.matching(rule), rule.window_us) for rule in ordered]

    def __len__(self) -> int:
        """How many rules are enabled."""
        return len(self._rules)

    def apply(self, scores: Float64, *, place: str | None = None, segments: Collection[str] = (), at_us: int) -> Ruled:
        """What the rules make of one user's scores.

        A factor multiplies a positive score and divides a negative one; several factors on an item are all applied. What is buried without a
        factor comes behind everything else, in its own order. Of two pins for one position, or of one item, the first in order stands.

        Args:
            scores: (V,), -inf for what must not be shown whatever the rules say; left as it is.
            place: where the slate stands; None: rules for some places alone do not hold.
            segments: those of the user.
            at_us: the moment of asking, in microseconds since the epoch.
        """
        held = [(rule, columns) for rule, columns, window in self._rules if _holds(rule, window, place, segments, at_us)]
        changed = scores.astype(np.float64)
        applied: list[tuple[str, Int64]] = []
        for rule, columns in held:
            if rule.kind == EXCLUDE:
                applied.append((rule.rule_id, columns[np.isfinite(scores[columns])]))
                changed[columns] = -np.inf
        last = np.zeros(len(scores), dtype=bool)
        for rule, columns in held:
            if rule.kind in (BOOST, BURY):
                applied.append((rule.rule_id, _weigh(changed, columns[np.isfinite(changed[columns])], rule.factor, last)))
        _bury(changed, last)
        pins, pinned_by = _pins(held, changed)
        return Ruled(
            changed,
            pins,
            tuple((rule_id, columns) for rule_id, columns in applied if len(columns)),
            pinned_by,
            frozenset(rule.rule_id for rule, _ in held if rule.kind == EXCLUDE),
            scores,
        )


def place_pins(slate: Sequence[int] | Int64, pins: Mapping[int, int], k: int) -> Int64:
    """(n,) columns: each pinned one at its position, the others in their order around them, no column twice.

    Where fewer than k items are left, pins that would stand behind a gap close up.

    Args:
        slate: columns, best first, each once.
        pins: position (1 is the top, at most k) -> column, each column once.
        k: the most that are returned.
    """
    pinned = set(pins.values())
    others = iter([int(column) for column in slate if int(column) not in pinned])
    placed = []
    for position in range(1, k + 1):
        column = pins.get(position)
        if column is None:
            column = next(others, None)
        if column is not None:
            placed.append(column)
    return np.array(placed, dtype=np.int64)


def _among(columns: Int64, ascending: Int64) -> Bools:
    """Which of some columns are among others, of which there is at least one."""
    places = np.minimum(np.searchsorted(ascending, columns), len(ascending) - 1)
    found: Bools = ascending[places] == columns
    return found


def _holds(rule: Rule, window: tuple[int, int], place: str | None, segments: Collection[str], at_us: int) -> bool:
    if not window[0] <= at_us < window[1] or (rule.places and place not in rule.places):
        return False
    return not rule.segments or any(segment in segments for segment in rule.segments)


def _weigh(scores: Float64, columns: Int64, factor: float | None, last: Bools) -> Int64:
    """Apply a factor in place, or note what goes to the end; returns the columns that it made a difference to."""
    if factor is None:
        last[columns] = True
        return columns
    columns = columns[scores[columns] != 0.0]
    scores[columns] = np.where(scores[columns] > 0, scores[columns] * factor, scores[columns] / factor)
    return columns


def _bury(scores: Float64, last: Bools) -> None:
    """Move what is marked behind everything else that may be shown, keeping its own order."""
    shown = scores[np.isfinite(scores)]
    if last.any() and len(shown):
        scores[last] -= float(shown.max() - shown.min()) + 1.0


def _pins(held: Sequence[tuple[Rule, Int64]], scores: Float64) -> tuple[dict[int, int], dict[int, str]]:
    pins: dict[int, int] = {}
    pinned_by: dict[int, str] = {}
    for rule, columns in held:
        if rule.kind != PIN or rule.position is None or not len(columns):
            continue
        column = int(columns[0])
        if np.isfinite(scores[column]) and rule.position not in pins and column not in pinned_by:
            pins[rule.position], pinned_by[column] = column, rule.rule_id
    return pins, pinned_by


def _coded(words: Sequence[str | None]) -> tuple[tuple[str, ...], Int32]:
    known = tuple(sorted({word for word in words if word is not None}))
    codes = {word: code for code, word in enumerate(known)}
    return known, np.array([-1 if word is None else codes[word] for word in words], dtype=np.int32)


def _has(codes: Int32, words: tuple[str, ...], wanted: Callable[[str], bool]) -> Bools:
    """(V,) whether an item's word is wanted."""
    chosen = np.array([*map(wanted, words), False], dtype=bool)  # the last for code -1
    found: Bools = chosen[codes]
    return found
