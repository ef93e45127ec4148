"""Checks of single values in a body: each takes a JSON value and returns it as the project keeps it, or raises `UnfitError`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bentos.bodies import describe

Check = Callable[[object], Any]

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


def text(longest: int, *, shortest: int = 1) -> Check:
    """Text of so many characters that every database can store: no NUL, no half of a surrogate pair."""
    expected = f"text of {shortest} to {longest} characters"

    def check(value: object) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise UnfitError(expected, describe(value))
        if "\x00" in value:
            raise UnfitError(f"{expected} without NUL", "text with NUL")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise UnfitError(f"{expected} in Unicode", "half of a surrogate pair") from error
        return value

    return check


def identifier(longest: int) -> Check:
    """Text that is an id: no white space at its ends, which one database keeps and another forgets."""
    inner = text(longest)

    def check(value: object) -> str:
        found: str = inner(value)
        if found != found.strip():
            raise UnfitError("an id without white space at its ends", "white space at an end")
        return found

    return check


def one_of(words: tuple[str, ...]) -> Check:
    """One of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise UnfitError(f"one of {', '.join(words)}", describe(value))
        return value

    return check


def pattern(expression: str, expected: str) -> Check:
    """Text of a form."""
    compiled = re.compile(expression)

    def check(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise UnfitError(expected, describe(value))
        return value

    return check


def integer(least: int, most: int) -> Check:
    """A whole number within bounds; 3.0 is none, and neither is true."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UnfitError(f"an integer from {least} to {most}", str(value) if type(value) is int and abs(value) < 10**18 else describe(value))
        return value

    return check


def number(least: float, most: float) -> Check:
    """A finite number within bounds."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise UnfitError(f"a number from {least:g} to {most:g}", describe(value))
        return float(value)

    return check


def moment(value: object) -> int:
    """An ISO 8601 moment with its offset from UTC, as microseconds since the epoch."""
    expected = "a moment in ISO 8601 with its offset, like 2017-11-03T08:00:00Z"
    if not isinstance(value, str) or len(value) > 40:
        raise UnfitError(expected, describe(value))
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise UnfitError(expected, "a moment without an offset")
        parsed = parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnfitError(expected, describe(value)) from error
    if not _EARLIEST <= parsed < _LATEST:
        raise UnfitError("a moment from 1990 to 2100", f"the year {parsed.year}")
    return (parsed - _EPOCH) // _MICROSECOND


def list_of(check: Check, longest: int) -> Check:
    """A list of so many values that all fit."""

    def check_list(value: object) -> list[Any]:
        if not isinstance(value, list) or len(value) > longest:
            raise UnfitError(f"a list of at most {longest}", describe(value))
        found = []
        for index, item in enumerate(value):
            try:
                found.append(check(item))
            except UnfitError as unfit:
                inner = f".{unfit.field}" if unfit.field else ""
                raise UnfitError(unfit.expected, unfit.found, f"[{index}]{inner}") from unfit
        return found

    return check_list


def read_fields(value: object, checks: Mapping[str, Check], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of one JSON object; null is the same as absent.

    Raises:
        UnfitError: no object, an unknown field, a required one missing, or a value that does not fit.
    """
    if not isinstance(value, dict):
        raise UnfitError("an object", describe(value))
    for name in value:
        if name not in checks:
            raise UnfitError(f"only {', '.join(checks)}", "an unknown field", name if len(name) <= 40 and name.isidentifier() else "(unknown)")
    found: dict[str, Any] = {}
    for name, check in checks.items():
        given = value.get(name)
        if given is None:
            if name in required:
                raise UnfitError("a value", "nothing", name)
            continue
        try:
            found[name] = check(given)
        except UnfitError as unfit:
            separator = "" if unfit.field.startswith("[") else "."
            raise UnfitError(unfit.expected, unfit.found, f"{name}{separator}{unfit.field}" if unfit.field else name) from unfit
    return found
