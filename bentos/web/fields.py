"""Values in a body, each declared once: what the OpenAPI document says of it, and the check that holds it to that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bentos.web.bodies import describe

Schema = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
INT64 = 2**63 - 1


class UnfitError(Exception):
    """A value that does not fit its field.

    Args:
        expected: what would fit.
        found: what was there, described.
        field: its name; filled in by whoever knows it.
    """

    def __init__(self, expected: str, found: str, field: str = "") -> None:
        """Keep the parts."""
        self.expected, self.found, self.field = expected, found, field
        super().__init__(expected)


@dataclass(frozen=True)
class Field:
    """A value: `schema` for clients, `read` takes a JSON value and returns it as the project keeps it, or raises `UnfitError`."""

    schema: Schema
    read: Callable[[object], Any]

    def said(self, description: str, **more: Any) -> Field:
        """The same with words for the document."""
        return Field({**self.schema, "description": description, **more}, self.read)

    def then(self, change: Callable[[Any], Any]) -> Field:
        """The same, with what was read changed."""
        return Field(self.schema, lambda value: change(self.read(value)))


@dataclass(frozen=True)
class Record:
    """A JSON object.

    Attributes:
        name: of its schema in the document.
        fields: by name; null is the same as absent.
        required: names of those that must be there.
        dated: whether a service that replays takes a field `at`, the moment asked at, and no other service does.
    """

    name: str
    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    dated: bool = False

    def schema(self, *, replay_clock: bool = False) -> Schema:
        """For the document."""
        fields = {**self.fields, "at": AT} if self.dated and replay_clock else self.fields
        properties = {name: field.schema if name in self.required else nullable(field.schema) for name, field in fields.items()}
        return {"title": self.name, **object_schema(properties, self.required)}

    def read(self, value: object) -> dict[str, Any]:
        """The fields that are there.

        Raises:
            UnfitError: no object, an unknown field, a required one missing, or a value that does not fit.
        """
        if not isinstance(value, dict):
            raise UnfitError("an object", describe(value))
        found: dict[str, Any] = {}
        fields = self.fields
        for name, given in value.items():
            field = fields.get(name)
            if field is None:
                known = len(name) <= 40 and name.isidentifier()
                raise UnfitError(f"only {', '.join(fields)}", "an unknown field", name if known else "(unknown)")
            if given is None:
                continue
            try:
                found[name] = field.read(given)
            except UnfitError as unfit:
                separator = "" if unfit.field.startswith("[") else "."
                raise UnfitError(unfit.expected, unfit.found, f"{name}{separator}{unfit.field}" if unfit.field else name) from unfit
        for name in self.required:
            if name not in found:
                raise UnfitError("a value", "nothing", name)
        return found

    def field(self) -> Field:
        """It as a value inside another."""
        return Field(self.schema(), self.read)


def text(longest: int, *, shortest: int = 1) -> Field:
    """Text of so many characters that every database can store: no NUL, no half of a surrogate pair."""
    expected = f"text of {shortest} to {longest} characters"

    def read(value: object) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise UnfitError(expected, describe(value))
        if "\x00" in value:
            raise UnfitError(f"{expected} without NUL", "text with NUL")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise UnfitError(f"{expected} in Unicode", "half of a surrogate pair") from error
        return value

    return Field({"type": "string", "minLength": shortest, "maxLength": longest}, read)


def identifier(longest: int) -> Field:
    """Text that is an id: no white space at its ends, which one database keeps and another forgets."""
    inner = text(longest)

    def read(value: object) -> str:
        found: str = inner.read(value)
        if found[0].isspace() or found[-1].isspace():
            raise UnfitError("an id without white space at its ends", "white space at an end")
        return found

    return Field(inner.schema, read)


def one_of(words: tuple[str, ...]) -> Field:
    """One of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise UnfitError(f"one of {', '.join(words)}", describe(value))
        return value

    return Field({"enum": list(words)}, read)


def pattern(expression: str, expected: str) -> Field:
    """Text of a form."""
    compiled = re.compile(expression)

    def read(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise UnfitError(expected, describe(value))
        return value

    return Field({"type": "string", "pattern": f"^{expression}$"}, read)


def integer(least: int, most: int) -> Field:
    """A whole number within bounds; 3.0 is none, and neither is true."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UnfitError(f"an integer from {least} to {most}", str(value) if type(value) is int and abs(value) < 10**18 else describe(value))
        return value

    return Field({"type": "integer", "minimum": least, "maximum": most}, read)


def number(least: float, most: float) -> Field:
    """A finite number within bounds."""

    def read(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise UnfitError(f"a number from {least:g} to {most:g}", describe(value))
        return float(value)

    return Field({"type": "number", "minimum": least, "maximum": most}, read)


def truth() -> Field:
    """True or false."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise UnfitError("true or false", describe(value))
        return value

    return Field({"type": "boolean"}, read)


def moment() -> Field:
    """An ISO 8601 moment with its offset, as microseconds since the epoch."""
    return Field({"type": "string", "format": "date-time", "maxLength": 40, "description": "ISO 8601 with its offset from UTC"}, _read_moment)


def _read_moment(value: object) -> int:
    expected = "a moment in ISO 8601 with its offset, like 2017-11-03T08:00:00Z"
    if not isinstance(value, str) or len(value) > 40:
        raise UnfitError(expected, describe(value))
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise UnfitError(expected, "a moment without an offset")
        if not _EARLIEST <= parsed < _LATEST:
            raise UnfitError("a moment from 1990 to 2100", f"the year {parsed.year}")
        return (parsed - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise UnfitError(expected, describe(value)) from error


AT = moment().said("The moment asked at; only services that replay take it")


def list_of(field: Field, longest: int, *, shortest: int = 0) -> Field:
    """A list of so many values that all fit."""

    def read(value: object) -> list[Any]:
        found = []
        for index, item in enumerate(outer.read(value)):
            try:
                found.append(field.read(item))
            except UnfitError as unfit:
                inner = f".{unfit.field}" if unfit.field else ""
                raise UnfitError(unfit.expected, unfit.found, f"[{index}]{inner}") from unfit
        return found

    outer = each(field, longest, shortest=shortest)
    return Field(outer.schema, read)


def each(field: Field, longest: int, *, shortest: int = 0) -> Field:
    """A list of so many values that are said to fit; whoever reads them looks at each, and may refuse some and keep the others."""

    def read(value: object) -> list[Any]:
        if not isinstance(value, list) or not shortest <= len(value) <= longest:
            raise UnfitError(f"a list of {shortest} to {longest}" if shortest else f"a list of at most {longest}", describe(value))
        return value

    least = {"minItems": shortest} if shortest else {}
    return Field({"type": "array", **least, "maxItems": longest, "items": field.schema}, read)


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def object_schema(properties: Mapping[str, Schema], required: tuple[str, ...] | None = None) -> Schema:
    """An object of these properties and no other; all are required where nothing is said."""
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": dict(properties), "required": names, "additionalProperties": False}
