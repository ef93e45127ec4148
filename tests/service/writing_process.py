"""A process to be killed: appends numbered events through the service's writer, and says on its output what was acknowledged.

    python writing_process.py STORE_URL [CHECKPOINT_PAGES]

A line "17 5" on its input is the batch number 17: five events, `e85` to `e89`. The same line on its output is its acknowledgement;
"refused 17 5" asks to send it again.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future
from functools import partial

from prometheus_client import CollectorRegistry

from bentos.live.live_store import LiveStore
from bentos.live.writer import Row, Writer
from bentos.measures import Measures
from footfall.contracts import EVENTS, LIVE_ORIGIN, C
from footfall.store import engine
from footfall.store.events import Appended

NOON_US = 1_509_710_400_000_000


def rows_of(batch: int, size: int) -> list[Row]:
    """The events of one batch: what they say follows from their number."""
    rows = []
    for number in range(batch * size, (batch + 1) * size):
        row = {C.EVENT_ID: f"e{number}", C.USER_ID: f"u{number % 97}", C.ITEM_ID: f"i{number}", C.EVENT_TYPE: "view", C.ORIGIN: LIVE_ORIGIN}
        row |= {C.OCCURRED_AT: NOON_US + number, C.RECEIVED_AT: NOON_US + number}
        rows.append(tuple(row.get(name) for name in EVENTS.schema.names))
    return rows


def acknowledge(line: str, future: Future[Appended]) -> None:
    """Say that the batch is stored, or that it was refused, in one write: a line is there whole or not at all."""
    os.write(1, (line if future.exception() is None else f"refused {line}").encode())


def main(url: str, checkpoint_pages: str | None = None) -> None:
    """Append what the input asks for until it ends."""
    if checkpoint_pages is not None:
        engine._PRAGMAS = (*engine._PRAGMAS, f"PRAGMA wal_autocheckpoint={int(checkpoint_pages)}")
    writer = Writer(LiveStore(url), Measures(CollectorRegistry()))
    for line in sys.stdin:
        batch, size = map(int, line.split())
        writer.append_events(rows_of(batch, size)).add_done_callback(partial(acknowledge, line))
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
