"""Raw data -> contract tables: the demonstration shop, the simulator, a shop's own log by mapping, landing, and the export of live events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from footfall.errors import SourceError

SOURCE_NAMES = ("complete_journey", "simulator")


class Source(Protocol):
    """A shop's data, already in contract tables, user ids already pseudonyms; bad rows are still in."""

    @property
    def name(self) -> str:
        """The source's name: `origin` of its events, first part of its batch ids."""
        ...

    def catalogue(self) -> pa.Table:
        """All items (CATALOGUE)."""
        ...

    def users(self, until: datetime) -> pa.Table:
        """Users first seen before `until` (USERS)."""
        ...

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """Events (EVENTS) with since <= occurred_at < until, a batch a month: (batch_id, table), oldest first."""
        ...


def open_source(name: str, key: bytes | None) -> Source:
    """The source called `name`, or the log that the mapping file `name` describes; `key` turns raw user ids into pseudonyms.

    Without a key the ids stay raw: for clients that send traffic to the HTTP door, which has the key and pseudonymises there.
    Never write such a table.

    Raises:
        SourceError: no source of that name, its package is not installed, or the mapping cannot be used.
    """
    if name.endswith((".yaml", ".yml")):
        from footfall.sources.mapped import MappedLog
        from footfall.sources.mapping import read_mapping

        return MappedLog(read_mapping(Path(name)), key)
    if name == "complete_journey":
        from footfall.sources.complete_journey import CompleteJourney

        return CompleteJourney(key)
    if name.split(":", 1)[0] == "simulator":
        from footfall.sources.simulator import Simulator, read_scenario

        return Simulator(key, read_scenario(name))
    expected = f"{', '.join(SOURCE_NAMES)}, or a mapping file"
    raise SourceError("unknown source", where="source", expected=expected, found=name, next_step="use --source my_shop.yaml; see docs/data.md")
