"""From columns of numbers to the EVENTS table: words are looked up once a row and never put together a row at a time.

A part holds events of one kind from one day's visits; what it does not name is absent. Its first event's number and first session's number
within that day make the ids, so that an id depends on the day alone, whatever span was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from footfall.contracts import EVENT_TYPES, EVENTS, TIMESTAMP, C
from footfall.sources.simulator.draws import Bools, Float64, Int64

SEARCH, IMPRESSION, VIEW, CART, PURCHASE, REVIEW, RETURN = range(len(EVENT_TYPES))
ORIGIN = "simulated"
CURRENCY = "CNY"
DEVICES = ("phone", "desktop", "tablet")
PLACES = ("simulated-north", "simulated-east", "simulated-south", "simulated-west")

Part = dict[str, Any]
"""Columns by name, each (n,); `kind` is one number for all."""

_NOTHING = {"query": -1, "item": -1, "page": -1, "position": 0, "quantity": -1, "price": -1, "rating": 0, "text": -1, "campaign": -1}
_ALWAYS = ("user", "session", "at", "device")
_DAY_SHIFT = 24
"""Bits for a number within a day."""

_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)
_ID_BYTES = 5


def number_parts(parts: Iterable[Part], day: int, *, first: int = 0) -> list[Part]:
    """Give every event, session and page of a day its number; of two sets of parts the second begins at `first`, far above."""
    numbered, begin, base = [], first, day << _DAY_SHIFT
    for part in parts:
        count = len(part["at"])
        if count:
            ids = {"id": base + begin + np.arange(count), "session": base + first + part["session"]}
            numbered.append({**part, **ids, **({"page": base + first + part["page"]} if "page" in part else {})})
        begin += count
    return numbered


def cut(part: Part, inside: Bools) -> Part:
    """The rows of a part for which `inside` is true."""
    return {name: column if name == "kind" else column[inside] for name, column in part.items()}


class Words:
    """The texts that numbers stand for."""

    def __init__(self, users: pa.Array, places: Int64, items: pa.Array, campaigns: pa.Array, queries: list[str], reviews: list[str]) -> None:
        """Keep them as Arrow arrays, and the place of each user's id in alphabetical order.

        Args:
            users: ids of all accounts, by number; `places` their index in PLACES.
            items: ids of all items, and last the id of an item that no catalogue has.
            campaigns, queries, reviews: by number.
        """
        self.users, self.items, self.campaigns = users, items, campaigns
        self.queries, self.reviews = pa.array(queries, pa.string()), pa.array(reviews, pa.string())
        self.places = places
        self.rank = np.empty(len(users), np.int64)
        self.rank[np.argsort(users.to_numpy(zero_copy_only=False).astype("S"), kind="stable")] = np.arange(len(users))


def events_table(parts: list[Part], words: Words) -> pa.Table:
    """The EVENTS table of all parts, in the contract's order."""
    columns = _joined(parts)
    order = _order(columns, words)
    columns = {name: column[order] for name, column in columns.items()}
    user, count = columns["user"], len(order)
    trade = np.where(columns["price"] >= 0, 0, -1)
    table = {
        C.EVENT_ID: _ids("ev", columns["id"]),
        C.USER_ID: words.users.take(pa.array(user)),
        C.SESSION_ID: _ids("se", columns["session"]),
        C.ITEM_ID: _look_up(words.items, columns["item"]),
        C.EVENT_TYPE: _look_up(pa.array(EVENT_TYPES), columns["kind"]),
        C.OCCURRED_AT: pa.array(columns["at"]).cast(TIMESTAMP),
        C.RECEIVED_AT: pa.array(columns["at"] + _delay(columns["id"])).cast(TIMESTAMP),
        C.QUANTITY: _present(columns["quantity"], columns["quantity"] >= 0),
        C.PRICE_MINOR: _present(columns["price"], columns["price"] >= 0),
        C.CURRENCY: _look_up(pa.array([CURRENCY]), trade),
        C.QUERY: _look_up(words.queries, columns["query"]),
        C.RATING: _present(columns["rating"].astype(np.float64), columns["rating"] > 0),
        C.TEXT: _look_up(words.reviews, columns["text"]),
        C.DURATION_S: _present(columns["duration"], ~np.isnan(columns["duration"])),
        C.PLACE: _look_up(pa.array(PLACES), words.places[user]),
        C.DEVICE: _look_up(pa.array(DEVICES), columns["device"]),
        C.CAMPAIGN_ID: _look_up(words.campaigns, columns["campaign"]),
        C.REQUEST_ID: _ids("rq", columns["page"], columns["page"] >= 0),
        C.POSITION: _present(columns["position"].astype(np.int32), columns["position"] > 0),
        C.ORIGIN: pa.repeat(ORIGIN, count),
    }
    return EVENTS.check(pa.table(table), where=ORIGIN)


def _joined(parts: list[Part]) -> dict[str, npt.NDArray[Any]]:
    counts = [len(part["at"]) for part in parts]
    columns: dict[str, npt.NDArray[Any]] = {name: np.concatenate([part[name] for part in parts]) for name in (*_ALWAYS, "id")}
    columns["kind"] = np.repeat([part["kind"] for part in parts], counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    for name, nothing in _NOTHING.items():
        columns[name] = np.full(starts[-1], nothing, np.int64)
    columns["duration"] = np.full(starts[-1], np.nan)
    for part, begin, end in zip(parts, starts[:-1], starts[1:], strict=True):
        for name in (*_NOTHING, "duration"):
            if name in part:
                columns[name][begin:end] = part[name]
    return columns


def _order(columns: dict[str, npt.NDArray[Any]], words: Words) -> Int64:
    """EVENTS order: user id, moment, event id. The ids are in the order of their numbers."""
    by_id = np.argsort(columns["id"], kind="stable")
    moment = columns["at"][by_id]
    first = int(moment.min())
    key = words.rank[columns["user"][by_id]] * (int(moment.max()) - first + 1) + (moment - first)
    return np.asarray(by_id[np.argsort(key, kind="stable")])


def _delay(ids: Int64) -> Int64:
    """Microseconds from the event to its arrival: up to three seconds; one in a hundred was offline for up to half an hour."""
    scattered = ((ids * 2_654_435_761) & 0xFFFFFFFF).astype(np.int64)
    return 50_000 + np.where(scattered % 100 == 0, scattered % 1_800_000_000, scattered % 2_950_000)


def _ids(prefix: str, numbers: Int64, valid: Bools | None = None) -> pa.Array:
    """Twelve characters each: the prefix and ten hexadecimal digits, which are in the order of the numbers."""
    count, pairs = len(numbers), 1 + _ID_BYTES
    text = np.empty((count, pairs), np.uint16)
    text[:, 0] = np.frombuffer(prefix.encode(), np.uint16)[0]
    octets = np.ascontiguousarray(numbers, dtype=">i8").view(np.uint8).reshape(count, 8)[:, 8 - _ID_BYTES :]
    text[:, 1:] = _HEX[octets]
    offsets = np.arange(0, (count + 1) * pairs * 2, pairs * 2, dtype=np.int32)
    present = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text), present)


def _look_up(texts: pa.Array, numbers: npt.NDArray[Any]) -> pa.Array:
    """The text of each number; null below zero."""
    return texts.take(pa.array(numbers, mask=numbers < 0))


def _present(values: npt.NDArray[Any] | Float64, valid: Bools) -> pa.Array:
    return pa.array(values, mask=~valid)
