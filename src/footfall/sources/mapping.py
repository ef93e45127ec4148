"""A mapping says, in one YAML file, how a shop's own log reads as EVENTS and CATALOGUE: columns, words, time zone, units, currency.

`docs/data.md` explains every key; `footfall doctor mapping FILE` checks one against the real file. This module reads the YAML and opens no log.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from footfall.contracts import CATALOGUE, EVENT_TYPES, EVENTS, C
from footfall.errors import SourceError

FORMATS = {"parquet": "parquet", "csv": "csv", "tsv": "csv", "json": "json", "jsonl": "json", "ndjson": "json"}
LEAVE_OUT = ("without_user", "without_time", "without_item")
PRICE = "price"
_SET_BY_US = {C.EVENT_TYPE, C.RECEIVED_AT, C.ORIGIN, C.PRICE_MINOR, C.CURRENCY}
EVENT_COLUMNS = tuple(name for name in EVENTS.schema.names if name not in _SET_BY_US) + (PRICE,)
_OF_CATALOGUE = {C.TITLE, C.DESCRIPTION, C.BRAND, C.CATEGORY_PATH, C.IMAGE}
CATALOGUE_COLUMNS = tuple(name for name in CATALOGUE.schema.names if name in _OF_CATALOGUE)
_KEYS = ("name", "files", "format", "csv", "time_zone", "currency", "events", "event_type", "returns", "leave_out", "catalogue", "not_recommendable")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CURRENCY = re.compile(r"[A-Z]{3}")
NEGATIVE_QUANTITY = "negative_quantity"


@dataclass(frozen=True)
class Rule:
    """Where one value comes from.

    Attributes:
        columns: the file's columns; several are joined with "-" (in `category_path` with " > ").
        value: a constant instead of a column.
        format: of a time written as text, in strptime's letters; without it ISO 8601.
        unit: of a time written as a number since 1970: s, ms or us.
    """

    columns: tuple[str, ...] = ()
    value: str | int | float | None = None
    format: str | None = None
    unit: str | None = None


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
class Mapping:
    """How one log reads. `path` is the mapping's own file; relative `files` lie beside it."""

    path: Path
    name: str
    files: str
    format: str
    csv: Dictionary[str, str]
    time_zone: str
    currency: str | None
    events: Dictionary[str, Rule]
    price: Price | None
    event_type: Words
    returns: str | None
    leave_out: frozenset[str]
    catalogue: Dictionary[str, Rule]
    not_recommendable: tuple[str, ...]

    @property
    def columns(self) -> set[str]:
        """Every column of the file that the mapping reads."""
        rules = [*self.events.values(), *self.catalogue.values()]
        named = {column for rule in rules for column in rule.columns}
        return named | {column for column in (self.event_type.column, self.price and self.price.column) if column}


def read_mapping(path: Path) -> Mapping:
    """Read and check one mapping.

    Raises:
        SourceError: the file is missing or no YAML, or a key or value is wrong; the nearest right key is named.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError("mapping cannot be read", where=path, found=type(error).__name__, next_step="see docs/data.md") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError("mapping is no YAML", where=path, found=str(error).splitlines()[0], next_step=f"mend {path}") from error
    return _Reader(path).mapping(document)


class _Reader:
    """Turns the parsed YAML of one file into a `Mapping`, naming file and key in every error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mapping(self, document: object) -> Mapping:
        given = self._dictionary(document, "the mapping", _KEYS)
        for key in ("name", "files", "events", "event_type"):
            if key not in given:
                raise self._error(key, "a value", "nothing")
        name = self._text(given["name"], "name")
        if not _NAME.fullmatch(name):
            raise self._error("name", "small letters, digits and _, at most 40", name)
        currency = None if given.get("currency") is None else self._text(given["currency"], "currency")
        if currency is not None and not _CURRENCY.fullmatch(currency):
            raise self._error("currency", "three capital letters, like EUR", currency)
        events = dict(self._dictionary(given["events"], "events", EVENT_COLUMNS))
        price = self._price(events.pop(PRICE, None))
        if price is not None and currency is None:
            raise self._error("currency", "the currency of the prices", "nothing")
        for column in (C.USER_ID, C.OCCURRED_AT):
            if column not in events:
                raise self._error(f"events.{column}", "a column", "nothing")
        if isinstance(events[C.USER_ID], list) or (isinstance(events[C.USER_ID], dict) and "column" not in events[C.USER_ID]):
            raise self._error(f"events.{C.USER_ID}", "one column", "several, or a constant")
        files = self._text(given["files"], "files")
        return Mapping(
            path=self._path,
            name=name,
            files=files,
            format=self._format(given.get("format"), files),
            csv={
                key: self._text(value, f"csv.{key}")
                for key, value in self._dictionary(given.get("csv", {}), "csv", ("delimiter", "encoding")).items()
            },
            time_zone=self._zone(given.get("time_zone", "UTC")),
            currency=currency,
            events={column: self._rule(rule, f"events.{column}") for column, rule in events.items()},
            price=price,
            event_type=self._words(given["event_type"]),
            returns=self._one_of(given.get("returns"), "returns", (NEGATIVE_QUANTITY,)),
            leave_out=frozenset(self._one_of(rule, "leave_out", LEAVE_OUT) or "" for rule in self._list(given.get("leave_out"), "leave_out")),
            catalogue={
                column: self._rule(rule, f"catalogue.{column}")
                for column, rule in self._dictionary(given.get("catalogue", {}), "catalogue", CATALOGUE_COLUMNS).items()
            },
            not_recommendable=tuple(str(item) for item in self._list(given.get("not_recommendable"), "not_recommendable")),
        )

    def _rule(self, given: object, key: str) -> Rule:
        if isinstance(given, str):
            return Rule(columns=(given,))
        if isinstance(given, list):
            return Rule(columns=tuple(self._text(column, key) for column in given))
        parts = self._dictionary(given, key, ("column", "value", "format", "unit"))
        if ("column" in parts) == ("value" in parts):
            raise self._error(key, "either `column` or `value`", ", ".join(parts) or "nothing")
        if not isinstance(parts.get("value", ""), str | int | float):
            raise self._error(f"{key}.value", "a text or a number", type(parts["value"]).__name__)
        return Rule(
            columns=(self._text(parts["column"], f"{key}.column"),) if "column" in parts else (),
            value=parts.get("value"),
            format=None if parts.get("format") is None else self._text(parts["format"], f"{key}.format"),
            unit=self._one_of(parts.get("unit"), f"{key}.unit", ("s", "ms", "us")),
        )

    def _price(self, given: object) -> Price | None:
        if given is None:
            return None
        if isinstance(given, str):
            return Price(given)
        parts = self._dictionary(given, "events.price", ("column", "of", "minor_units"))
        minor_units = parts.get("minor_units", 100)
        if isinstance(minor_units, bool) or not isinstance(minor_units, int) or minor_units < 1:
            raise self._error("events.price.minor_units", "a whole number from 1", minor_units)
        of = self._one_of(parts.get("of", "line"), "events.price.of", ("line", "unit"))
        return Price(self._text(parts.get("column"), "events.price.column"), of or "line", minor_units)

    def _words(self, given: object) -> Words:
        if isinstance(given, str):
            return Words(value=self._one_of(given, "event_type", EVENT_TYPES))
        parts = self._dictionary(given, "event_type", ("column", "words"))
        words = parts.get("words", {word: word for word in EVENT_TYPES})
        if not isinstance(words, dict):
            raise self._error("event_type.words", "the file's words, each with one of ours", type(words).__name__)
        translated = {str(theirs): str(self._one_of(ours, f"event_type.words.{theirs}", EVENT_TYPES)) for theirs, ours in words.items()}
        return Words(column=self._text(parts.get("column"), "event_type.column"), words=translated)

    def _format(self, given: object, files: str) -> str:
        if given is None:
            given = next((part for part in reversed(files.removesuffix(".gz").lower().split(".")) if part in FORMATS), None)
        found = self._one_of(given, "format", tuple(FORMATS))
        if found is None:
            raise self._error("format", ", ".join(FORMATS), "a name that says none")
        return FORMATS[found]

    def _zone(self, given: object) -> str:
        zone = self._text(given, "time_zone")
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise self._error("time_zone", "a name like Europe/London", zone) from error
        return zone

    def _dictionary(self, given: object, key: str, known: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise self._error(key, f"keys among {', '.join(known)}", type(given).__name__)
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, 1)
                raise self._error(f"{key}: {name}", f"{near[0]}?" if near else ", ".join(known), "an unknown key")
        return given

    def _list(self, given: object, key: str) -> list[Any]:
        if given is None:
            return []
        if not isinstance(given, list):
            raise self._error(key, "a list", type(given).__name__)
        return given

    def _text(self, given: object, key: str) -> str:
        if not isinstance(given, str) or not given:
            raise self._error(key, "a text", "nothing" if given is None or given == "" else type(given).__name__)
        return given

    def _one_of(self, given: object, key: str, known: tuple[str, ...]) -> str | None:
        if given is None:
            return None
        if given not in known:
            raise self._error(key, ", ".join(known), given)
        return str(given)

    def _error(self, key: str, expected: object, found: object) -> SourceError:
        return SourceError("mapping cannot be used", where=f"{self._path}, {key}", expected=expected, found=found, next_step=f"mend {self._path}")
