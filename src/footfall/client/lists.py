"""A long list, sent in as many requests as it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from footfall.client.connection import to_json

MOST = 1000
"""Things in one request."""

MOST_BYTES = 1_000_000
"""Of one request's body; the service reads 1 MiB."""


def parts_of(name: str, rows: Iterable[Mapping[str, Any]], ending: bytes = b"") -> Iterator[tuple[int, list[Mapping[str, Any]], bytes]]:
    """(index of its first row, its rows, its body) of each request, `{"name": [rows] ending}`; rows are read as they are needed.

    A row that is too large for any request goes alone, and the service says so.
    """
    beginning = to_json({name: []})[:-2]
    held: list[Mapping[str, Any]] = []
    texts: list[bytes] = []
    first = size = 0
    for row in rows:
        text = to_json(row)
        if held and (len(held) == MOST or size + len(text) + 1 > MOST_BYTES):
            yield first, held, beginning + b",".join(texts) + b"]" + ending + b"}"
            first, held, texts, size = first + len(held), [], [], 0
        held.append(row)
        texts.append(text)
        size += len(text) + 1
    if held:
        yield first, held, beginning + b",".join(texts) + b"]" + ending + b"}"
