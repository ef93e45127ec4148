"""What shop to simulate: its size, its seed, its span of time, and the drifts and faults that are switched on.

Written as one word, `simulator:users=20000,seed=3,drift=taste_shift@2021-05-01`, so that every verb that takes a source takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from footfall.errors import SourceError

PREFIX = "simulator"
DRIFTS = {
    "taste_shift": "users turn towards two categories, and to other favourites",
    "assortment_change": "two fifths of the items go, and a new category comes",
    "price_rise": "every price rises by a quarter",
    "bot_traffic": "accounts that view without end and buy nothing",
    "click_farm": "accounts that click on, and praise, a handful of items",
    "tracking_bug": "phones report no duration of views any more",
}
"""Name of a drift -> what it does, from its day on."""

NEVER = 1 << 25
"""A day that does not come; as microseconds it still fits 64 bits."""

_EPOCH = date(1970, 1, 1)
_DOC = "see docs/data.md, The simulator"


@dataclass(frozen=True)
class Drift:
    """A change of the world that begins at midnight UTC of `since`; before it every event is the same as without the drift."""

    name: str
    since: date


@dataclass(frozen=True)
class Scenario:
    """One simulated shop; equal scenarios give equal bytes.

    Attributes:
        seed: of all chance.
        users: people who have joined by `end`; drifts that bring accounts add to them.
        items: items that have arrived by `end`.
        start, end: first day, and the day after the last one (UTC).
        faults: share of the purchases that no gate should let pass (a quantity of zero, or an item that the catalogue does not have).
        drifts: switched on, each once.
    """

    seed: int = 1
    users: int = 1000
    items: int = 800
    start: date = date(2021, 1, 1)
    end: date = date(2022, 1, 1)
    faults: float = 0.0
    drifts: tuple[Drift, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        _require("seed", 0 <= self.seed < 1 << 63, "0 or more", self.seed)
        _require("users", 10 <= self.users <= 1_000_000, "10 to 1000000", self.users)
        _require("items", 120 <= self.items <= 1_000_000, "120 to 1000000", self.items)
        _require("start", date(1990, 1, 1) <= self.start, "1990 or later", self.start)
        _require("end", self.start < self.end <= date(2100, 1, 1), f"after {self.start}, to 2100", self.end)
        _require("faults", 0.0 <= self.faults <= 0.5, "0 to 0.5", self.faults)
        names = [drift.name for drift in self.drifts]
        _require("drift", set(names) <= set(DRIFTS), ", ".join(DRIFTS), ", ".join(sorted(set(names) - set(DRIFTS))))
        _require("drift", len(set(names)) == len(names), "each drift once", ", ".join(names))

    @property
    def first_day(self) -> int:
        """Days from 1970 to `start`."""
        return day_number(self.start)

    @property
    def last_day(self) -> int:
        """Days from 1970 to `end`, which is no day of the shop any more."""
        return day_number(self.end)

    def drift_day(self, name: str) -> int:
        """The first day of a drift, `NEVER` when it is not switched on."""
        return next((day_number(drift.since) for drift in self.drifts if drift.name == name), NEVER)

    def drifted(self, name: str, day: int) -> bool:
        """Whether a drift is under way on a day."""
        return day >= self.drift_day(name)

    def text(self) -> str:
        """The word that opens this very shop.

        >>> read_scenario("simulator:seed=3,users=50").text()
        'simulator:seed=3,users=50,items=800,start=2021-01-01,end=2022-01-01'
        """
        parts = [f"{name}={getattr(self, name)}" for name in ("seed", "users", "items", "start", "end")]
        parts += [f"faults={self.faults}"] if self.faults else []
        return f"{PREFIX}:" + ",".join(parts + [f"drift={drift.name}@{drift.since}" for drift in self.drifts])


def read_scenario(word: str) -> Scenario:
    """The scenario that `word` says: `simulator`, or `simulator:` and options `name=value`, separated by commas; `drift` may stand several times.

    Raises:
        SourceError: an option is unknown or cannot be used.
    """
    given: dict[str, Any] = {}
    drifts: list[Drift] = []
    for option in filter(None, word.removeprefix(PREFIX).removeprefix(":").split(",")):
        name, _, value = option.partition("=")
        if name == "drift":
            drifts.append(_drift(value))
        elif name in given or name not in _READERS:
            _require(name, ok=False, expected=f"once each: {', '.join(_READERS)}; drift=NAME@YYYY-MM-DD", found=option)
        else:
            given[name] = _value(name, value)
    return Scenario(**given, drifts=tuple(drifts))


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH).days


def day_date(day: int) -> date:
    """The date of a day's number."""
    return _EPOCH + timedelta(days=day)


def midnight(day: int) -> datetime:
    """The first moment of a day, UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)


_READERS: dict[str, Callable[[str], Any]] = {
    "seed": int,
    "users": int,
    "items": int,
    "start": date.fromisoformat,
    "end": date.fromisoformat,
    "faults": float,
}


def _value(name: str, value: str) -> object:
    try:
        return _READERS[name](value)
    except ValueError as error:
        raise _unusable(name, "a date as YYYY-MM-DD" if name in ("start", "end") else "a number", value) from error


def _drift(value: str) -> Drift:
    name, _, since = value.partition("@")
    try:
        return Drift(name, date.fromisoformat(since))
    except ValueError as error:
        raise _unusable("drift", f"NAME@YYYY-MM-DD, with a name of {', '.join(DRIFTS)}", value) from error


def _require(name: str, ok: bool, expected: str, found: object) -> None:
    if not ok:
        raise _unusable(name, expected, found)


def _unusable(name: str, expected: str, found: object) -> SourceError:
    return SourceError("option of the simulator cannot be used", where=f"{PREFIX}, {name}", expected=expected, found=found, next_step=_DOC)
