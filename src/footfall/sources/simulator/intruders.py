"""What is not a person in the simulated shop's log: bots, a click farm, and a fault of the shop's own counting."""

from __future__ import annotations

import numpy as np

from footfall.sources.simulator.draws import Int64, stream
from footfall.sources.simulator.people import DAY_US
from footfall.sources.simulator.rows import REVIEW, VIEW, Part
from footfall.sources.simulator.words import SENTENCES, TYPES
from footfall.sources.simulator.world import World

PHONE = 0
FARM_ITEMS = 5
_DESKTOP = 1
_BOT_VIEWS = 80
_FARM_CLICKS = 6
_FARM_WORKS, _FARM_PRAISES = 0.7, 0.1


def farmed_items(world: World) -> Int64:
    """The items that a click farm praises: the least popular that were there from the start and stay."""
    items = world.assortment
    lasting = (items.arrives < world.scenario.first_day) & (items.goes > world.scenario.last_day)
    return np.argsort(np.where(lasting, items.popularity, np.inf), kind="stable")[:FARM_ITEMS]


def intrude(world: World, day: int) -> list[Part]:
    """The events of bots and farm accounts on a day; nothing before their drifts begin."""
    rng, people = stream(world.scenario.seed, "intruders", day), world.people
    accounts = np.arange(people.people, len(people))
    works = rng.random(len(accounts)) < np.where(accounts < people.people + people.bots, 1.0, _FARM_WORKS)
    busy = accounts[works & (people.joined[accounts] <= day * DAY_US)]
    begins = day * DAY_US + (rng.uniform(1.0, 22.0, len(busy)) * 3.6e9).astype(np.int64)
    bot = busy < people.people + people.bots
    bots = _views(busy[bot], begins[bot], rng.poisson(_BOT_VIEWS, int(bot.sum())), 1_500_000, rng)
    bots["item"] = rng.choice(np.flatnonzero(world.standing(day).on_shelf), len(bots["at"]))
    farm = _views(busy[~bot], begins[~bot], 1 + rng.poisson(_FARM_CLICKS, int((~bot).sum())), 9_000_000, rng)
    farm["item"] = rng.choice(farmed_items(world), len(farm["at"]))
    farm["session"] = farm["session"] + int(bot.sum())
    return [part for part in (bots, farm, _praise(world, farm, rng)) if len(part["at"])]


def lose_durations(world: World, day: int, parts: list[Part]) -> None:
    """The tracking bug: phones' views of a day have no duration."""
    if world.scenario.drifted("tracking_bug", day):
        for part in parts:
            if part["kind"] == VIEW:
                part["duration"] = np.where(part["device"] == PHONE, np.nan, part["duration"])


def _views(user: Int64, begins: Int64, count: Int64, pace_us: int, rng: np.random.Generator) -> Part:
    """`count` views for each of these accounts, one after the other at a machine's pace."""
    session = np.arange(len(user)).repeat(count)
    number = np.arange(len(session)) - (np.cumsum(count) - count).repeat(count)
    at = begins[session] + number * pace_us + rng.integers(0, pace_us // 2, len(session))
    duration = np.round(rng.uniform(0.2, 0.4, len(session)) * pace_us / 1_000_000, 1)
    device = np.full(len(session), _DESKTOP)
    return {"kind": VIEW, "user": user[session], "session": session, "at": at, "duration": duration, "device": device}


def _praise(world: World, farm: Part, rng: np.random.Generator) -> Part:
    """Five stars after some of the farm's clicks."""
    rows = np.flatnonzero(rng.random(len(farm["at"])) < _FARM_PRAISES)
    part: Part = {name: farm[name][rows] for name in ("user", "session", "item", "device")}
    place = (4 * SENTENCES + rng.integers(0, SENTENCES, len(rows))) * len(TYPES) + world.assortment.type[part["item"]]
    part |= {"kind": REVIEW, "at": farm["at"][rows] + 3_000_000, "rating": np.full(len(rows), 5), "text": place * 2}
    return part
