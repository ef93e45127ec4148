"""What the service answers, typed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from footfall.rules import Rule


@dataclass(frozen=True)
class Line:
    """One item of a slate.

    Attributes:
        position: 1 is the top.
        propensity: the chance of this item to stand here; 1: nothing was drawn.
        probability: that the user buys it within seven days; None where that cannot be told.
        rules: ids of the merchant rules that touched it.
    """

    position: int
    item_id: str
    score: float
    propensity: float
    probability: float | None
    reason: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class ItemSlate:
    """A slate that belongs to items and to no user.

    Attributes:
        degraded: why it is less than was asked for; None when it is not.
        rules_excluding: ids of the merchant rules that kept an item off it.
    """

    release: str
    policy: str
    degraded: str | None
    rules_excluding: tuple[str, ...]
    items: tuple[Line, ...]


@dataclass(frozen=True)
class CitedEvent:
    """An event of the user; `share` of the fused score that the history alone gives the item, without context, rules and diversity, goes with it."""

    item_id: str | None
    event_type: str
    occurred_at: datetime
    share: float


@dataclass(frozen=True)
class Because:
    """The events that carried an item."""

    item_id: str
    events: tuple[CitedEvent, ...]


@dataclass(frozen=True)
class Slate(ItemSlate):
    """A slate for a user. Events that it leads to name its `request_id`; `because` says why its first items are there, where that was asked."""

    request_id: str
    arm: str
    because: tuple[Because, ...] = ()


@dataclass(frozen=True)
class Row:
    """One titled row of a home page, an exposure of its own; `about` is the item or the category that it is about."""

    request_id: str
    kind: str
    about: str | None
    title: str
    policy: str
    degraded: str | None
    rules_excluding: tuple[str, ...]
    items: tuple[Line, ...]


@dataclass(frozen=True)
class Page:
    """A home page, the most promising row first."""

    release: str
    arm: str
    degraded: str | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ScoredItem:
    """An item with its score, and the chance that the user buys it within seven days; None where the release cannot tell."""

    item_id: str
    score: float | None
    probability: float | None = None


@dataclass(frozen=True)
class Scores:
    """Scores in the order that was asked."""

    release: str
    degraded: str | None
    items: tuple[ScoredItem, ...]


@dataclass(frozen=True)
class Rejected:
    """Why one thing of a list was not taken; `index` counts from 0 in the list that was given."""

    index: int
    field: str
    expected: str
    found: str


@dataclass(frozen=True)
class Stored:
    """What became of events; they are on disk."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class Taken:
    """What became of things that were put."""

    accepted: int
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class Erasure:
    """An erasure on record."""

    erasure_id: str
    requested_at: datetime


@dataclass(frozen=True)
class RuleChange:
    """One change of a merchant rule: `before` is None where it is new, `after` where it was removed."""

    number: int
    rule_id: str
    who: str
    changed_at: datetime
    before: Rule | None
    after: Rule | None


@dataclass(frozen=True)
class Arm:
    """A release beside the champion: `arm` is "canary" or "shadow", `share` the canary's of the users, `failed` why it is not open."""

    arm: str
    release: str
    share: float | None
    open: bool
    failed: str | None


@dataclass(frozen=True)
class Release:
    """What serves; `failed` says which release could not, and why; `arms` stand beside it."""

    release: str | None
    failed: str | None
    store: str
    code: str
    arms: tuple[Arm, ...] = ()


@dataclass(frozen=True)
class Rules:
    """All merchant rules on record, by id."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class RuleChanges:
    """The newest changes, newest first."""

    changes: tuple[RuleChange, ...]


@dataclass(frozen=True)
class Removed:
    """Whether there was anything to remove."""

    removed: bool
