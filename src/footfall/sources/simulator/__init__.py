"""The source `simulator`: a shop made from a seed, with known truth, for closed-loop tests and for load. Nothing in it was observed.

    open_source("simulator:users=20000,seed=3,drift=taste_shift@2021-05-01", key)

The same scenario gives the same bytes, and the events of a span are the same however the span is cut. Every output says that it is simulated:
the source's name, the origin of events, batch, item and campaign ids, `"simulated": true` among attributes, the metadata of the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa

from footfall.pseudonyms import pseudonym
from footfall.sources.months import month_batches
from footfall.sources.simulator import tables
from footfall.sources.simulator.intruders import intrude, lose_durations
from footfall.sources.simulator.people import DAY_US
from footfall.sources.simulator.rows import ORIGIN, Part, Words, cut, events_table, number_parts
from footfall.sources.simulator.scenario import PREFIX, Scenario, midnight, read_scenario
from footfall.sources.simulator.truth import Truth
from footfall.sources.simulator.visits import LATEST_DAYS, simulate_day
from footfall.sources.simulator.words import query_texts, review_texts
from footfall.sources.simulator.world import World

__all__ = ["PREFIX", "Scenario", "Simulator", "Truth", "read_scenario"]

_INTRUDERS_FROM = 1 << 23
"""Numbers of a day's events from here on are not people's."""


class Simulator:
    """The source `simulator`; see `sources.Source`."""

    name = ORIGIN

    def __init__(self, key: bytes | None, scenario: Scenario | None = None) -> None:
        """Keep the scenario; the shop is made when it is first asked for. Without a key user ids stay raw."""
        self._key = key
        self.scenario = scenario or Scenario()
        self._world = World(self.scenario)

    def catalogue(self) -> pa.Table:
        """All items that arrive in the scenario (CATALOGUE)."""
        return tables.catalogue(self._world, self._item_ids)

    def users(self, until: datetime) -> pa.Table:
        """Accounts that joined before `until` (USERS)."""
        return tables.users(self._world, self._names, until)

    def relations(self) -> pa.Table:
        """Households and friends (RELATIONS)."""
        return tables.relations(self._world, self._names)

    def campaigns(self) -> pa.Table:
        """Campaigns and what they advertised (CAMPAIGNS)."""
        return tables.campaigns(self._world, self._item_ids)

    @cached_property
    def truth(self) -> Truth:
        """What only a simulated shop knows."""
        return Truth(self._world, self._names, self._item_ids)

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """Events with since <= occurred_at < until, month by month, in the order of EVENTS."""
        first, last = midnight(self.scenario.first_day), midnight(self.scenario.last_day)
        begin, waiting = max(since or first, first), list[Part]()
        day = max(_day(begin) - LATEST_DAYS, self.scenario.first_day)
        for batch in month_batches(self.name, begin, min(until, last)):
            start, end = _microseconds(batch.start), _microseconds(batch.end)
            while day * DAY_US < end:
                waiting += self._day(day)
                day += 1
            found, waiting = _divide(waiting, start, end)
            if found:
                yield batch.batch_id, tables.mark(events_table(found, self._words), self._world)

    def _day(self, day: int) -> list[Part]:
        """What comes of one day, without what would lie after a user has left."""
        visits, others = simulate_day(self._world, day), intrude(self._world, day)
        lose_durations(self._world, day, visits)
        left_at = self._world.people.left_day * DAY_US
        numbered = number_parts(visits, day) + number_parts(others, day, first=_INTRUDERS_FROM)
        return [cut(part, part["at"] < left_at[part["user"]]) for part in numbered]

    @cached_property
    def _item_ids(self) -> pa.Array:
        return tables.item_ids(self._world)

    @cached_property
    def _names(self) -> pa.Array:
        raw = tables.raw_user_ids(self._world)
        return pa.array(raw if self._key is None else [pseudonym(name, self._key) for name in raw], pa.string())

    @cached_property
    def _words(self) -> Words:
        people = self._world.people
        places = np.concatenate([people.place, np.zeros(len(people) - people.people, np.int64)])
        campaigns = pa.array([campaign.campaign_id for campaign in self._world.campaigns], pa.string())
        return Words(self._names, places, self._item_ids, campaigns, query_texts(), review_texts())


def _divide(parts: list[Part], start: int, end: int) -> tuple[list[Part], list[Part]]:
    """(what lies in start <= t < end, what comes later)."""
    found, later = [], []
    for part in parts:
        if not len(part["at"]):
            continue
        low, high = int(part["at"].min()), int(part["at"].max())
        if start <= low and high < end:
            found.append(part)
            continue
        inside, after = (part["at"] >= start) & (part["at"] < end), part["at"] >= end
        found += [cut(part, inside)] if inside.any() else []
        later += [cut(part, after)] if after.any() else []
    return found, later


def _day(moment: datetime) -> int:
    return _microseconds(moment) // DAY_US


def _microseconds(moment: datetime) -> int:
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
