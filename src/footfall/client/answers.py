"""What the service answers, typed. Fields that a newer service adds are passed over, so that a client need not be as new as its service."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from footfall.errors import ClientError, ContractError
from footfall.rules import Rule

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One item of a slate.

    Attributes:
        position: 1 is the top.
        propensity: the chance of this item to stand here; 1: nothing was drawn.
        rules: ids of the merchant rules that touched it.
    """

    position: int
    item_id: str
    score: float
    propensity: float
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
class Slate(ItemSlate):
    """A slate for a user. Events that it leads to name its `request_id`."""

    request_id: str
    arm: str


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
    """An item with its score; None where the release does not know it."""

    item_id: str
    score: float | None


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
class Release:
    """What serves; `failed` says which release could not, and why."""

    release: str | None
    failed: str | None
    store: str
    code: str


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


def read(kind: type[T], document: object) -> T:
    """A JSON document as one of the answers above.

    Raises:
        ClientError: a field is missing, or is not of its type.
    """
    return _dataclass(kind, document, kind.__name__)


@cache
def _fields(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """(name, type, whether it must be there) of each field."""
    hints = typing.get_type_hints(kind)
    free = dataclasses.MISSING
    return tuple((one.name, hints[one.name], one.default is free and one.default_factory is free) for one in dataclasses.fields(kind))


def _dataclass(kind: type[T], document: object, where: str) -> T:
    if not isinstance(document, dict):
        raise _unfit(where, "an object", document)
    found, known = {}, typing.cast("Any", kind)
    for name, hint, needed in _fields(known):
        if name in document:
            found[name] = _value(hint, document[name], f"{where}.{name}")
        elif needed:
            raise ClientError("the answer does not fit this client", where=f"{where}.{name}", expected="a value", found="nothing")
    try:
        return kind(**found)
    except ContractError as error:  # a rule of a newer kind
        raise ClientError("the answer does not fit this client", where=where, expected=error.expected, found=error.found) from error


def _value(hint: Any, value: object, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _value(inner[0], value, where)
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise _unfit(where, "a list", value)
        return origin(_value(inner[0], one, f"{where}[{index}]") for index, one in enumerate(value))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value, where)
    if hint is datetime:
        return _moment(value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _unfit(where, hint.__name__, value)
    return value


def _moment(value: object, where: str) -> datetime:
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise _unfit(where, "a moment in ISO 8601", value) from error


def _unfit(where: str, expected: str, value: object) -> ClientError:
    return ClientError("the answer does not fit this client", where=where, expected=expected, found=type(value).__name__)
