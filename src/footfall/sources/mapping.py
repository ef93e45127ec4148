"""A mapping says, in one YAML file, how a shop's own log reads as EVENTS and CATALOGUE: columns, words, time zone, units, currency.

`docs/data.md` explains every key; `footfall doctor mapping FILE` checks one against the real file. This module reads the YAML and opens no log.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from footfall.contracts import CATALOGUE, CONSENT_PURPOSES, EVENT_TYPES, EVENTS, C
from footfall.sources.rules import NEGATIVE_QUANTITY, Mapping, Price, Query, Register, Rule, Shown, Words
from footfall.sources.yaml_file import YamlFile

FORMATS = {"parquet": "parquet", "csv": "csv", "tsv": "csv", "json": "json", "jsonl": "json", "ndjson": "json"}
LEAVE_OUT = ("without_user", "without_time", "without_item", "in_future")
PRICE = "price"
_SET_BY_US = {C.EVENT_TYPE, C.RECEIVED_AT, C.ORIGIN, C.PRICE_MINOR, C.CURRENCY}
EVENT_COLUMNS = tuple(name for name in EVENTS.schema.names if name not in _SET_BY_US) + (PRICE,)
_OF_CATALOGUE = {C.TITLE, C.DESCRIPTION, C.BRAND, C.CATEGORY_PATH, C.IMAGE}
CATALOGUE_COLUMNS = tuple(name for name in CATALOGUE.schema.names if name in _OF_CATALOGUE)
_KEYS = (
    *("name", "files", "format", "csv", "sql", "time_zone", "currency", "events", "event_type", "returns", "leave_out"),
    *("catalogue", "items", "users", "not_recommendable", "anonymous", "exposures"),
)
_SQL = ("url", "url_from", "query", "batch_rows")
_OF_ITEMS = (C.ITEM_ID, *CATALOGUE_COLUMNS, C.AVAILABLE, C.AVAILABLE_FROM, C.RECOMMENDABLE)
_OF_USERS = (C.USER_ID, C.FIRST_SEEN_AT)
_PASSWORD = re.compile(r"://[^/@]*?:(?!\$\{)[^/@]+@")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def read_mapping(path: Path) -> Mapping:
    """Read and check one mapping.

    Raises:
        SourceError: the file is missing or no YAML, or a key or value is wrong; the nearest right key is named.
    """
    return _Reader(path, "mapping").mapping()


class _Reader(YamlFile):
    """Turns one file into a `Mapping`."""

    def mapping(self) -> Mapping:
        given = self.dictionary(self.parsed("docs/data.md"), "the mapping", _KEYS)
        for key in ("name", "events", "event_type", "sql" if "sql" in given else "files"):
            if key not in given:
                raise self.error(key, "a value", "nothing")
        if "sql" in given and "files" in given:
            raise self.error("sql", "either `files` or `sql`", "both")
        name = self.text(given["name"], "name")
        if not _NAME.fullmatch(name):
            raise self.error("name", "small letters, digits and _, at most 40", name)
        currency = self._currency(given.get("currency"))
        events = dict(self.dictionary(given["events"], "events", EVENT_COLUMNS))
        price = self._price(events.pop(PRICE, None))
        anonymous = self.flag(given.get("anonymous", False), "anonymous")
        self._check_keys_of_events(events, anonymous=anonymous, exposed="exposures" in given)
        sql = None if "sql" not in given else self._sql(given["sql"])
        files = "" if sql is not None else self.text(given["files"], "files")
        items = self._register(given.get("items"), "items", _OF_ITEMS, (PRICE,), queried=sql is not None)
        users = self._register(given.get("users"), "users", _OF_USERS, (C.CONSENT,), queried=sql is not None)
        if items is not None and "catalogue" in given:
            raise self.error("items", "either `items` or `catalogue`", "both")
        if ((items and items.price) or price) and currency is None:
            raise self.error("currency", "the currency of the prices", "nothing")
        return Mapping(
            path=self.path,
            name=name,
            files=files,
            format="sql" if sql is not None else self._format(given.get("format"), files),
            csv=self._csv(given.get("csv", {})),
            sql=sql,
            time_zone=self._zone(given.get("time_zone", "UTC")),
            currency=currency,
            events=self._rules(events, "events"),
            price=price,
            event_type=self._words(given["event_type"]),
            returns=self.one_of(given.get("returns"), "returns", (NEGATIVE_QUANTITY,)),
            leave_out=frozenset(self.one_of(rule, "leave_out", LEAVE_OUT) or "" for rule in self.list(given.get("leave_out"), "leave_out")),
            catalogue=self._rules(self.dictionary(given.get("catalogue", {}), "catalogue", CATALOGUE_COLUMNS), "catalogue"),
            items=items,
            users=users,
            not_recommendable=tuple(str(item) for item in self.list(given.get("not_recommendable"), "not_recommendable")),
            anonymous=anonymous,
            exposures=None if given.get("exposures") is None else self._shown(given["exposures"]),
        )

    def _check_keys_of_events(self, events: dict[str, Any], *, anonymous: bool, exposed: bool) -> None:
        user, needed = events.get(C.USER_ID), (C.OCCURRED_AT,) if anonymous else (C.USER_ID, C.OCCURRED_AT)
        for column in needed:
            if column not in events:
                raise self.error(f"events.{column}", "a column", "nothing")
        if isinstance(user, list) or (isinstance(user, dict) and "column" not in user):
            raise self.error(f"events.{C.USER_ID}", "one column", "several, or a constant")
        if exposed and (missing := [name for name in (C.ITEM_ID, C.POSITION, *(() if anonymous else (C.REQUEST_ID,))) if name not in events]):
            raise self.error(f"events.{missing[0]}", "a column, as `exposures` is there", "nothing")
        if anonymous and (user is not None or C.REQUEST_ID in events):
            raise self.error("anonymous", f"a log without {C.USER_ID} and {C.REQUEST_ID}: each row gets its own", "a column of one")

    def _sql(self, given: object) -> Query:
        parts = self.dictionary(given, "sql", _SQL)
        if ("url" in parts) == ("url_from" in parts):
            raise self.error("sql", "either `url` or `url_from`", "both" if "url" in parts else "neither")
        url = self.text(parts["url"], "sql.url") if "url" in parts else "${" + self.text(parts["url_from"], "sql.url_from") + "}"
        if _PASSWORD.search(url):
            raise self.error("sql.url", "${NAME} in the password's place, or url_from: NAME", "a password in the file")
        log = self.text(parts.get("query"), "sql.query")
        if missing := [name for name in (":since", ":until") if name not in log]:
            raise self.error("sql.query", "a query bounded by :since and :until", f"no {' and no '.join(missing)}")
        batch_rows = parts.get("batch_rows", Query.batch_rows)
        if isinstance(batch_rows, bool) or not isinstance(batch_rows, int) or batch_rows < 1:
            raise self.error("sql.batch_rows", "a whole number from 1", batch_rows)
        return Query(url, log, batch_rows)

    def _register(self, given: object, key: str, known: tuple[str, ...], more: tuple[str, ...], *, queried: bool) -> Register | None:
        """The part `items` or `users`."""
        if given is None:
            return None
        place, other = ("query", "files") if queried else ("files", "query")
        parts = dict(self.dictionary(given, key, (place, "format", *known, C.ATTRIBUTES, *more)))
        source = self.text(parts.pop(place, None), f"{key}.{place}, as the log comes by {'sql' if queried else 'files'} (no {other})")
        form = "sql" if queried else self._format(parts.pop("format", None), source)
        attributes = tuple(self.text(column, f"{key}.attributes") for column in self.list(parts.pop(C.ATTRIBUTES, None), f"{key}.attributes"))
        consent = self.dictionary(parts.pop(C.CONSENT, {}), f"{key}.consent", CONSENT_PURPOSES)
        price = self._price(parts.pop(PRICE, None))
        columns = self._rules(parts, key)
        if known[0] not in columns or len(columns[known[0]].columns) != 1:
            raise self.error(f"{key}.{known[0]}", "one column", "nothing" if known[0] not in columns else "several, or a constant")
        spoken = {purpose: self.text(column, f"{key}.consent.{purpose}") for purpose, column in consent.items()}
        return Register(source, form, columns, price, attributes, spoken)

    def _shown(self, given: object) -> Shown:
        parts = self.dictionary(given, "exposures", (C.POLICY, C.PROPENSITY))
        for column in (C.POLICY, C.PROPENSITY):
            if column not in parts:
                raise self.error(f"exposures.{column}", "a column", "nothing")
        return Shown(*(self._rule(parts[column], f"exposures.{column}") for column in (C.POLICY, C.PROPENSITY)))

    def _csv(self, given: object) -> dict[str, str]:
        return {name: self.text(value, f"csv.{name}") for name, value in self.dictionary(given, "csv", ("delimiter", "encoding")).items()}

    def _rules(self, given: dict[str, Any], key: str) -> dict[str, Rule]:
        return {column: self._rule(rule, f"{key}.{column}") for column, rule in given.items()}

    def _rule(self, given: object, key: str) -> Rule:
        if isinstance(given, str):
            return Rule(columns=(given,))
        if isinstance(given, list):
            return Rule(columns=tuple(self.text(column, key) for column in given))
        parts = self.dictionary(given, key, ("column", "value", "format", "unit", "fill"))
        if ("column" in parts) == ("value" in parts):
            raise self.error(key, "either `column` or `value`", ", ".join(parts) or "nothing")
        if not isinstance(parts.get("value", ""), str | int | float):
            raise self.error(f"{key}.value", "a text or a number", type(parts["value"]).__name__)
        self._check_fill(parts, key)
        return Rule(
            columns=(self.text(parts["column"], f"{key}.column"),) if "column" in parts else (),
            value=parts.get("value"),
            format=None if parts.get("format") is None else self.text(parts["format"], f"{key}.format"),
            unit=self.one_of(parts.get("unit"), f"{key}.unit", ("s", "ms", "us")),
            fill=parts.get("fill"),
        )

    def _check_fill(self, parts: dict[str, Any], key: str) -> None:
        """A missing value is filled by one of the column's own type, and never a key's or a moment's."""
        if "fill" not in parts:
            return
        name = key.removeprefix("events.")
        if name in (C.EVENT_ID, C.USER_ID, C.OCCURRED_AT) or "value" in parts:
            raise self.error(f"{key}.fill", "another column: this one cannot be made up", name)
        kind = EVENTS.schema.field(name).type if name in EVENTS.schema.names else pa.string()
        fitting = str if pa.types.is_string(kind) else (int, float)
        if isinstance(parts["fill"], bool) or not isinstance(parts["fill"], fitting):
            raise self.error(f"{key}.fill", f"a value of type {kind}", type(parts["fill"]).__name__)

    def _price(self, given: object) -> Price | None:
        if given is None:
            return None
        if isinstance(given, str):
            return Price(given)
        parts = self.dictionary(given, "events.price", ("column", "of", "minor_units"))
        minor_units = parts.get("minor_units", 100)
        if isinstance(minor_units, bool) or not isinstance(minor_units, int) or minor_units < 1:
            raise self.error("events.price.minor_units", "a whole number from 1", minor_units)
        of = self.one_of(parts.get("of", "line"), "events.price.of", ("line", "unit"))
        return Price(self.text(parts.get("column"), "events.price.column"), of or "line", minor_units)

    def _words(self, given: object) -> Words:
        if isinstance(given, str):
            return Words(value=self.one_of(given, "event_type", EVENT_TYPES))
        parts = self.dictionary(given, "event_type", ("column", "words"))
        words = parts.get("words", {word: word for word in EVENT_TYPES})
        if not isinstance(words, dict):
            raise self.error("event_type.words", "the file's words, each with one of ours", type(words).__name__)
        translated = {str(theirs): str(self.one_of(ours, f"event_type.words.{theirs}", EVENT_TYPES)) for theirs, ours in words.items()}
        return Words(column=self.text(parts.get("column"), "event_type.column"), words=translated)

    def _format(self, given: object, files: str) -> str:
        if given is None:
            given = next((part for part in reversed(files.removesuffix(".gz").lower().split(".")) if part in FORMATS), None)
        found = self.one_of(given, "format", tuple(FORMATS))
        if found is None:
            raise self.error("format", ", ".join(FORMATS), "a name that says none")
        return FORMATS[found]

    def _currency(self, given: object) -> str | None:
        currency = None if given is None else self.text(given, "currency")
        if currency is not None and not _CURRENCY.fullmatch(currency):
            raise self.error("currency", "three capital letters, like EUR", currency)
        return currency

    def _zone(self, given: object) -> str:
        zone = self.text(given, "time_zone")
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise self.error("time_zone", "a name like Europe/London", zone) from error
        return zone
