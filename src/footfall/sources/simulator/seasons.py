"""The simulated shop's year: hours, weekdays, summer and winter, the rush before the new year, and campaigns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from footfall.sources.simulator.assortment import Assortment
from footfall.sources.simulator.draws import Float64, Int64, stream
from footfall.sources.simulator.scenario import Scenario, day_date, day_number
from footfall.sources.simulator.words import SUMMER

FESTIVAL, DISCOUNT, NEW_ITEMS = "festival", "discount", "new_items"
_WEEKDAYS = (0.92, 0.88, 0.9, 0.95, 1.05, 1.22, 1.15)  # Monday first
_WORKDAY = (3, 1, 1, 0, 0, 1, 2, 5, 8, 10, 11, 12, 16, 14, 11, 10, 10, 11, 14, 19, 24, 26, 20, 10)
_WEEKEND = (5, 3, 1, 1, 0, 0, 1, 3, 7, 13, 17, 18, 17, 17, 17, 17, 16, 16, 16, 18, 21, 22, 18, 11)
_TRAFFIC = {FESTIVAL: 1.5, DISCOUNT: 1.25, NEW_ITEMS: 1.1}
_PRICE = {FESTIVAL: 0.8, DISCOUNT: 0.85, NEW_ITEMS: 1.0}


@dataclass(frozen=True)
class Campaign:
    """What is advertised from the day `starts` up to the day before `ends`; no two overlap."""

    campaign_id: str
    kind: str
    starts: int
    ends: int
    items: Int64

    @property
    def price(self) -> float:
        """What is left of the items' prices."""
        return _PRICE[self.kind]


def rhythm(day: int, campaign: Campaign | None) -> float:
    """Visits of a day over those of an ordinary one: the weekday, the rush before the new year, the campaign."""
    at = day_date(day)
    rush = 1.0 + 0.35 * float(np.exp(-(((day - day_number(date(at.year, 12, 22))) / 9.0) ** 2)))
    return _WEEKDAYS[at.weekday()] * rush * (1.0 if campaign is None else _TRAFFIC[campaign.kind])


def times_of_day(day: int, rng: np.random.Generator, count: int) -> Int64:
    """(count,) microseconds after midnight: evenings on workdays, later mornings at the weekend."""
    hours = np.cumsum(_WEEKEND if day_date(day).weekday() >= 5 else _WORKDAY).astype(np.float64)
    return np.asarray(np.interp(rng.random(count) * hours[-1], [0.0, *hours], np.arange(25.0)) * 3.6e9, np.int64)


def season(day: int) -> Float64:
    """(categories,) what the time of year adds to the liking of a category (logit): most in the middle of July and of January."""
    at = day_date(day)
    turn = 2 * np.pi * (day - day_number(date(at.year, 7, 15))) / 365.25
    return np.asarray(np.asarray(SUMMER) * np.cos(turn), np.float64)


def build_campaigns(scenario: Scenario, assortment: Assortment) -> list[Campaign]:
    """The campaigns of a scenario, in order of time: festivals in June, November and December, in the other months something smaller."""
    rng, found = stream(scenario.seed, "campaigns"), []
    for year in range(scenario.start.year, scenario.end.year + 1):
        for month in range(1, 13):
            luck = rng.integers(0, 12), rng.integers(4, 9), rng.random(len(assortment))
            if month in (6, 11, 12):
                kind, first, days, share = FESTIVAL, (8, 1, 18)[(6, 11, 12).index(month)], 12, 0.15
            else:
                kind, first, days, share = (DISCOUNT, NEW_ITEMS)[month % 2], 3 + int(luck[0]), int(luck[1]), 0.05
            starts = day_number(date(year, month, first))
            if starts < scenario.first_day or starts + days > scenario.last_day:
                continue
            items = _advertised(assortment, kind, starts, share, luck[2])
            found.append(Campaign(f"simulated-{year}-{month:02d}-{kind}", kind, starts, starts + days, items))
    return found


def _advertised(assortment: Assortment, kind: str, starts: int, share: float, luck: Float64) -> Int64:
    """The items of one campaign, at least a page of them: those that arrived last, or any."""
    can = (assortment.arrives <= starts) & (starts < assortment.goes)
    wish = np.where(can, assortment.arrives + luck if kind == NEW_ITEMS else luck, -np.inf)
    count = min(max(round(share * len(assortment)), 12), int(can.sum()))
    return np.sort(np.argsort(-wish, kind="stable")[:count])
