"""One simulated shop, whole, and how it stands on one day. Everything here follows from the scenario and the day: nothing evolves by being asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from footfall.sources.simulator.assortment import Assortment, build_assortment
from footfall.sources.simulator.draws import Bools, Float32, Float64, Int64
from footfall.sources.simulator.people import People, Tastes, build_people
from footfall.sources.simulator.scenario import Scenario
from footfall.sources.simulator.seasons import Campaign, build_campaigns, season

PRICE_RISE = 1.25
_ADVERTISED = 0.5  # logits that an item of the running campaign gains, besides its price
_NEW, _NEW_DAYS = 0.3, 14.0


@dataclass(frozen=True)
class Standing:
    """The shop on one day, with N items.

    Attributes:
        on_shelf: (N,) whether it can be shown and bought.
        cumulative: (N,) running sums of the weights with which pages show items; off the shelf they do not grow.
        bounds: (types + 1,) those sums at the borders of the types.
        price: (N,) of one piece on this day, fen.
        dearness: (N,) logarithm of that price over what such an item cost at first.
        appeal: (N,) logits that an item has with everybody: quality, season, novelty, campaign.
        tastes: of the users on this day.
        campaign: the one that runs, and its number; None, -1.
    """

    day: int
    on_shelf: Bools
    cumulative: Float64
    bounds: Float64
    price: Int64
    dearness: Float32
    appeal: Float32
    tastes: Tastes
    campaign: Campaign | None
    campaign_number: int


class World:
    """Items, people and campaigns of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        """Keep the scenario; the rest is made when it is first asked for."""
        self.scenario = scenario
        self.standing = lru_cache(maxsize=8)(self._standing)

    @cached_property
    def assortment(self) -> Assortment:
        """The items."""
        return build_assortment(self.scenario)

    @cached_property
    def people(self) -> People:
        """The accounts."""
        return build_people(self.scenario, self.assortment)

    @cached_property
    def campaigns(self) -> list[Campaign]:
        """In order of time; an event's campaign is a position in this list."""
        return build_campaigns(self.scenario, self.assortment)

    def campaign_on(self, day: int) -> int:
        """Position of the campaign that runs on a day, -1 for none."""
        return next((number for number, campaign in enumerate(self.campaigns) if campaign.starts <= day < campaign.ends), -1)

    def _standing(self, day: int) -> Standing:
        items, number = self.assortment, self.campaign_on(day)
        campaign = None if number < 0 else self.campaigns[number]
        factor = np.full(len(items), PRICE_RISE if self.scenario.drifted("price_rise", day) else 1.0)
        appeal = items.quality + season(day)[items.category] + _NEW * np.exp(-np.clip(day - items.arrives, 0, 1000) / _NEW_DAYS)
        if campaign is not None:
            factor[campaign.items] *= campaign.price
            appeal[campaign.items] += _ADVERTISED
        cumulative = np.cumsum(items.pull(day))
        return Standing(
            day=day,
            on_shelf=items.on_shelf(day),
            cumulative=cumulative,
            bounds=np.concatenate([[0.0], cumulative])[items.starts],
            price=np.rint(items.price * factor).astype(np.int64),
            dearness=(items.dearness + np.log(factor)).astype(np.float32),
            appeal=appeal.astype(np.float32),
            tastes=self.people.after if self.scenario.drifted("taste_shift", day) else self.people.before,
            campaign=campaign,
            campaign_number=number,
        )
