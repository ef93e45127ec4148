"""What a mapping says, as data: `mapping` reads it from YAML, `files` and `query` fetch what it names, `translation` obeys it."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from pathlib import Path

NEGATIVE_QUANTITY = "negative_quantity"


@dataclass(frozen=True)
class Rule:
    """Where one value comes from.

    Attributes:
        columns: the file's columns; several are joined with "-" (in `category_path` with " > ").
        value: a constant instead of a column.
        format: of a time written as text, in strptime's letters; without it ISO 8601.
        unit: of a time written as a number since 1970: s, ms or us.
        fill: what stands where the log has nothing, or nothing readable; without it the value stays missing.
    """

    columns: tuple[str, ...] = ()
    value: str | int | float | None = None
    format: str | None = None
    unit: str | None = None
    fill: str | int | float | None = None


@dataclass(frozen=True)
class Price:
    """What the price column says: of one `unit` or of the whole `line`, with so many minor units to one (100 for euro, 1 for yen or cents)."""

    column: str
    of: str = "line"
    minor_units: int = 100


@dataclass(frozen=True)
class Words:
    """The kind of each event: one for all rows, or by the words of a column; a word without a translation stays and the gate holds its batch."""

    value: str | None = None
    column: str | None = None
    words: Dictionary[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """A log that is the answer of a database.

    Attributes:
        url: an SQLAlchemy URL; `${NAME}` in it stands for a variable of the environment, so that no password lies in the file.
        log: the query, with `:since` and `:until` where its rows are bounded.
        batch_rows: how many rows are held at once.
    """

    url: str
    log: str
    batch_rows: int = 50_000


@dataclass(frozen=True)
class Shown:
    """What a log of impressions says of how they came about: who chose the item, and how likely that was."""

    policy: Rule
    propensity: Rule


@dataclass(frozen=True)
class Register:
    """A table of the shop's own beside the log: a row an item, or a row a user.

    Attributes:
        source: its files or, where the log is a database's answer, the query for it.
        format: of the files.
        columns: our column <- the table's.
        price: of items.
        attributes: columns of the table that become attributes, by their own names.
        consent: of users: the column that says yes or no, by purpose.
    """

    source: str
    format: str
    columns: Dictionary[str, Rule]
    price: Price | None = None
    attributes: tuple[str, ...] = ()
    consent: Dictionary[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> set[str]:
        """Every column of the table that is read."""
        named = {column for rule in self.columns.values() for column in rule.columns} | {*self.attributes, *self.consent.values()}
        return named | ({self.price.column} if self.price else set())


@dataclass(frozen=True)
class Mapping:
    """How one log reads. `path` is the mapping's own file; relative `files` lie beside it.

    Attributes:
        items: the shop's own table of items; without one the log tells of them.
        users: the shop's own table of users; without one the log tells of them.
        anonymous: the log names nobody: each row is taken for a user of its own, whom nothing follows.
    """

    path: Path
    name: str
    files: str
    format: str
    csv: Dictionary[str, str]
    sql: Query | None
    time_zone: str
    currency: str | None
    events: Dictionary[str, Rule]
    price: Price | None
    event_type: Words
    returns: str | None
    leave_out: frozenset[str]
    catalogue: Dictionary[str, Rule]
    items: Register | None
    users: Register | None
    not_recommendable: tuple[str, ...]
    anonymous: bool
    exposures: Shown | None

    @property
    def where(self) -> str:
        """Where the log is, for messages."""
        return self.files if self.sql is None else f"{self.path}, sql"

    @property
    def columns(self) -> set[str]:
        """Every column of the log that the mapping reads."""
        shown = [] if self.exposures is None else [self.exposures.policy, self.exposures.propensity]
        named = {column for rule in (*self.events.values(), *shown, *self.catalogue.values()) for column in rule.columns}
        return named | {column for column in (self.event_type.column, self.price and self.price.column) if column}
