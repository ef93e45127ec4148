"""A mapping says, in one YAML file, how a shop's own log reads as EVENTS and CATALOGUE: columns, words, time zone, units, currency.

`docs/data.md` explains every key; `footfall doctor mapping FILE` checks one against the real file. This module reads the YAML and opens no log.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import yaml

from footfall.contracts import CATALOGUE, EVENT_TYPES, EVENTS, C
from footfall.errors import SourceError
from footfall.sources.rules import NEGATIVE_QUANTITY, Mapping, Price, Query, Rule, Shown, Words

FORMATS = {"parquet": "parquet", "csv": "csv", "tsv": "csv", "json": "json", "jsonl": "json", "ndjson": "json"}
LEAVE_OUT = ("without_user", "without_time", "without_item", "in_future")
PRICE = "price"
_SET_BY_US = {C.EVENT_TYPE, C.RECEIVED_AT, C.ORIGIN, C.PRICE_MINOR, C.CURRENCY}
EVENT_COLUMNS = tuple(name for name in EVENTS.schema.names if name not in _SET_BY_US) + (PRICE,)
_OF_CATALOGUE = {C.TITLE, C.DESCRIPTION, C.BRAND, C.CATEGORY_PATH, C.IMAGE}
CATALOGUE_COLUMNS = tuple(name for name in CATALOGUE.schema.names if name in _OF_CATALOGUE)
_KEYS = (
    *("name", "files", "format", "csv", "sql", "time_zone", "currency", "events", "event_type", "returns", "leave_out"),
    *("catalogue", "not_recommendable", "anonymous", "exposures"),
)
_SQL = ("url", "url_from", "query", "catalogue_query", "users_query", "batch_rows")
_PASSWORD = re.compile(r"://[^/@]*?:(?!\$\{)[^/@]+@")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CURRENCY = re.compile(r"[A-Z]{3}")


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
        for key in ("name", "events", "event_type", "sql" if "sql" in given else "files"):
            if key not in given:
                raise self._error(key, "a value", "nothing")
        if "sql" in given and "files" in given:
            raise self._error("sql", "either `files` or `sql`", "both")
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
        anonymous = self._flag(given.get("anonymous", False), "anonymous")
        self._check_keys_of_events(events, anonymous=anonymous, exposed="exposures" in given)
        sql = None if "sql" not in given else self._sql(given["sql"])
        files = "" if sql is not None else self._text(given["files"], "files")
        return Mapping(
            path=self._path,
            name=name,
            files=files,
            format="sql" if sql is not None else self._format(given.get("format"), files),
            csv={
                key: self._text(value, f"csv.{key}")
                for key, value in self._dictionary(given.get("csv", {}), "csv", ("delimiter", "encoding")).items()
            },
            sql=sql,
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
            anonymous=anonymous,
            exposures=None if given.get("exposures") is None else self._shown(given["exposures"]),
        )

    def _check_keys_of_events(self, events: dict[str, Any], *, anonymous: bool, exposed: bool) -> None:
        user, needed = events.get(C.USER_ID), (C.OCCURRED_AT,) if anonymous else (C.USER_ID, C.OCCURRED_AT)
        for column in needed:
            if column not in events:
                raise self._error(f"events.{column}", "a column", "nothing")
        if isinstance(user, list) or (isinstance(user, dict) and "column" not in user):
            raise self._error(f"events.{C.USER_ID}", "one column", "several, or a constant")
        if exposed and (missing := [name for name in (C.ITEM_ID, C.POSITION, *(() if anonymous else (C.REQUEST_ID,))) if name not in events]):
            raise self._error(f"events.{missing[0]}", "a column, as `exposures` is there", "nothing")
        if anonymous and (user is not None or C.REQUEST_ID in events):
            raise self._error("anonymous", f"a log without {C.USER_ID} and {C.REQUEST_ID}: each row gets its own", "a column of one")

    def _sql(self, given: object) -> Query:
        parts = self._dictionary(given, "sql", _SQL)
        if ("url" in parts) == ("url_from" in parts):
            raise self._error("sql", "either `url` or `url_from`", "both" if "url" in parts else "neither")
        url = self._text(parts["url"], "sql.url") if "url" in parts else "${" + self._text(parts["url_from"], "sql.url_from") + "}"
        if _PASSWORD.search(url):
            raise self._error("sql.url", "${NAME} in the password's place, or url_from: NAME", "a password in the file")
        log = self._text(parts.get("query"), "sql.query")
        if missing := [name for name in (":since", ":until") if name not in log]:
            raise self._error("sql.query", "a query bounded by :since and :until", f"no {' and no '.join(missing)}")
        batch_rows = parts.get("batch_rows", Query.batch_rows)
        if isinstance(batch_rows, bool) or not isinstance(batch_rows, int) or batch_rows < 1:
            raise self._error("sql.batch_rows", "a whole number from 1", batch_rows)
        catalogue, users = (None if parts.get(key) is None else self._text(parts[key], f"sql.{key}") for key in ("catalogue_query", "users_query"))
        return Query(url, log, catalogue, users, batch_rows)

    def _shown(self, given: object) -> Shown:
        parts = self._dictionary(given, "exposures", (C.POLICY, C.PROPENSITY))
        for column in (C.POLICY, C.PROPENSITY):
            if column not in parts:
                raise self._error(f"exposures.{column}", "a column", "nothing")
        return Shown(*(self._rule(parts[column], f"exposures.{column}") for column in (C.POLICY, C.PROPENSITY)))

    def _flag(self, given: object, key: str) -> bool:
        if not isinstance(given, bool):
            raise self._error(key, "true or false", given)
        return given

    def _rule(self, given: object, key: str) -> Rule:
        if isinstance(given, str):
            return Rule(columns=(given,))
        if isinstance(given, list):
            return Rule(columns=tuple(self._text(column, key) for column in given))
        parts = self._dictionary(given, key, ("column", "value", "format", "unit", "fill"))
        if ("column" in parts) == ("value" in parts):
            raise self._error(key, "either `column` or `value`", ", ".join(parts) or "nothing")
        if not isinstance(parts.get("value", ""), str | int | float):
            raise self._error(f"{key}.value", "a text or a number", type(parts["value"]).__name__)
        self._check_fill(parts, key)
        return Rule(
            columns=(self._text(parts["column"], f"{key}.column"),) if "column" in parts else (),
            value=parts.get("value"),
            format=None if parts.get("format") is None else self._text(parts["format"], f"{key}.format"),
            unit=self._one_of(parts.get("unit"), f"{key}.unit", ("s", "ms", "us")),
            fill=parts.get("fill"),
        )

    def _check_fill(self, parts: dict[str, Any], key: str) -> None:
        """A missing value is filled by one of the column's own type, and never a key's or a moment's."""
        if "fill" not in parts:
            return
        name = key.removeprefix("events.")
        if name in (C.EVENT_ID, C.USER_ID, C.OCCURRED_AT) or "value" in parts:
            raise self._error(f"{key}.fill", "another column: this one cannot be made up", name)
        kind = EVENTS.schema.field(name).type if name in EVENTS.schema.names else pa.string()
        fitting = str if pa.types.is_string(kind) else (int, float)
        if isinstance(parts["fill"], bool) or not isinstance(parts["fill"], fitting):
            raise self._error(f"{key}.fill", f"a value of type {kind}", type(parts["fill"]).__name__)

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
