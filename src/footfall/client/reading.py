"""JSON to the answers' dataclasses. Fields that a newer service adds are passed over, so that a client need not be as new as its service."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from footfall.errors import ClientError, ContractError

T = TypeVar("T")


def read(kind: type[T], document: object) -> T:
    """A JSON document as one of `answers`.

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
