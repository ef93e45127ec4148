"""Merchant rules on one user's scores: exclude, boost, bury, and pins on the finished slate. Which rule touched which item is kept.

    book = RuleBook(rules, vocabulary, facts)     once, whenever rules or items have changed
    ruled = book.apply(scores, place=..., segments=..., at_us=...)
    ... rank `ruled.scores`, diversify, explore: a slate of columns ...
    slate, touched = ruled.finish(slate, k)

Excluded beats pinned, whatever the priorities: what must not be shown is not shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from footfall.core.item_facts import CatalogueFacts
from footfall.core.metrics import Bools, Float64, top_k
from footfall.core.sequences import Int64
from footfall.core.vocabulary import Vocabulary
from footfall.rules import BOOST, BURY, EXCLUDE, PIN, Rule


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
        return placed, self.touching(placed, k)

    def held(self, k: int) -> list[int]:
        """Columns that are pinned to one of the first k positions."""
        return [column for position, column in self.pins.items() if position <= k]

    def touching(self, columns: Int64, k: int) -> list[tuple[str, ...]]:
        """Of each column of a slate of k the ids of the rules that touched it, its pin's first."""
        pinned = {column: self.pinned_by[column] for position, column in self.pins.items() if position <= k}
        touched = [[pinned[column]] if column in pinned else [] for column in columns.tolist()]
        for rule_id, among in self.applied:
            for row in np.flatnonzero(_among(columns, among)).tolist():
                touched[row].append(rule_id)
        return [tuple(ids) for ids in touched]

    def kept_out(self, k: int) -> tuple[str, ...]:
        """Ids of the rules that excluded an item which would have been among the k best: they touched the slate by what is not on it."""
        if not self.excluding:
            return ()
        best = top_k(self.before[None, :], k)[0]
        return tuple(rule_id for rule_id, columns in self.applied if rule_id in self.excluding and _among(best, columns).any())


class RuleBook:
    """Rules made ready for a set of items. Safe to share between threads."""

    def __init__(self, rules: Iterable[Rule], vocabulary: Vocabulary, facts: CatalogueFacts) -> None:
        """Look up once what each enabled rule matches among the V items. Higher priorities go first, of equal ones the lower rule_id."""
        ordered = sorted((rule for rule in rules if rule.enabled), key=lambda rule: (-rule.priority, rule.rule_id))
        self._rules = [(rule, matching(rule, vocabulary, facts), rule.window_us) for rule in ordered]

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
            scores.copy(),  # whoever asked may write over theirs
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


def matching(rule: Rule, vocabulary: Vocabulary, facts: CatalogueFacts) -> Int64:
    """Ascending columns of the items that the rule matches; items outside the vocabulary are passed over."""
    fits = np.ones(len(facts), dtype=bool)
    if rule.items:
        index = vocabulary.encode(list(rule.items))
        fits &= np.isin(np.arange(1, len(facts) + 1), index)
    if rule.brands:
        fits &= np.logical_or.reduce([facts.of_brand(brand) for brand in rule.brands])
    if rule.categories:
        fits &= np.logical_or.reduce([facts.in_category(path) for path in rule.categories])
    return np.flatnonzero(fits).astype(np.int64)


@dataclass(frozen=True)
class Ruling:
    """Whom and where the rules are asked for.

    Attributes:
        book: all of them.
        place: where the slate stands.
        segments: those of the user.
        at_us: the moment of asking.
    """

    book: RuleBook
    place: str | None
    segments: frozenset[str]
    at_us: int

    def apply(self, scores: Float64) -> Ruled:
        """What the rules make of the user's scores."""
        return self.book.apply(scores, place=self.place, segments=self.segments, at_us=self.at_us)
