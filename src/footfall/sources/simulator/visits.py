"""One day of the simulated shop: who comes, what they see, click, carry and buy, and what they say of it or send back days later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.sources.simulator import response
from footfall.sources.simulator.draws import Bools, Float32, Float64, Int64, stream
from footfall.sources.simulator.pages import CAMPAIGN, SEARCH, Pages, show_pages
from footfall.sources.simulator.people import DAY_US
from footfall.sources.simulator.rows import CART, IMPRESSION, PURCHASE, RETURN, REVIEW, VIEW, Part
from footfall.sources.simulator.rows import SEARCH as SEARCH_EVENT
from footfall.sources.simulator.seasons import rhythm, times_of_day
from footfall.sources.simulator.words import SENTENCES, TYPES
from footfall.sources.simulator.world import Standing, World

LATEST_DAYS = 32
"""So many days after a visit nothing comes of it any more."""

SECOND = 1_000_000
_MAX_PAGES = 6
_REVIEWS = 0.15
_GLANCE_US = 800_000  # from one item of a page to the next
_FOLLOW_UP_DAYS = 30.0


@dataclass(frozen=True)
class Shown:
    """n items that came into sight, page by page from the top: what a page's clicks are drawn for."""

    page: Int64
    slot: Int64
    user: Int64
    item: Int64
    liked: Float32
    clicked: Bools


def simulate_day(world: World, day: int) -> list[Part]:
    """All that comes of the visits of one day, in parts; some of it happens up to `LATEST_DAYS` later."""
    rng, standing = stream(world.scenario.seed, "visits", day), world.standing(day)
    visitor = _visitors(world, standing, day, rng)
    if not len(visitor):
        return []
    begins = np.maximum(day * DAY_US + times_of_day(day, rng, len(visitor)), world.people.joined[visitor] + 30 * SECOND)
    session = np.arange(len(visitor)).repeat(np.minimum(rng.geometric(0.55, len(visitor)), _MAX_PAGES))
    pages = show_pages(world, standing, visitor[session], rng)
    shown = _look(world, standing, pages, rng)
    duration = _durations(shown, rng)
    depth = pages.seen.sum(axis=1) * _GLANCE_US
    starts, opened, page_end = _clock(begins, session, depth, duration, shown, rng)
    device = np.where(rng.random(len(visitor)) < 0.15, 0, world.people.device[visitor])
    common = Common(day, visitor, session, pages, shown, device, standing)
    ends = page_end[np.searchsorted(session, np.arange(len(visitor)), side="right") - 1]
    parts = [common.searches(starts), common.impressions(starts), common.views(opened, duration)]
    return parts + _carts(world, common, opened, duration, ends, rng)


@dataclass(frozen=True)
class Common:
    """What all events of a day's visits are made from."""

    day: int
    visitor: Int64
    session: Int64
    pages: Pages
    shown: Shown
    device: Int64
    standing: Standing

    def searches(self, starts: Int64) -> Part:
        """The searches, a second before their results."""
        pages = np.flatnonzero(self.pages.kind == SEARCH)
        part = self._of_pages(pages)
        return {**part, "kind": SEARCH_EVENT, "at": starts[pages] - SECOND, "query": self.pages.query[pages]}

    def impressions(self, starts: Int64) -> Part:
        """What came into sight."""
        at = starts[self.shown.page] + self.shown.slot * _GLANCE_US
        return {**self.of_shown(slice(None)), "kind": IMPRESSION, "at": at}

    def views(self, opened: Int64, duration: Float64) -> Part:
        """What was clicked; `opened` and `duration` belong to the clicked ones."""
        return {**self.of_shown(np.flatnonzero(self.shown.clicked)), "kind": VIEW, "at": opened, "duration": duration}

    def of_shown(self, rows: npt.NDArray[Any] | slice) -> Part:
        """The columns that an event of a shown item has in common with all others of it."""
        page = self.shown.page[rows]
        return {**self._of_pages(page), "item": self.shown.item[rows], "position": self.shown.slot[rows] + 1}

    def _of_pages(self, page: Int64) -> Part:
        session = self.session[page]
        campaign = np.where(self.pages.kind[page] == CAMPAIGN, self.standing.campaign_number, -1)
        part: Part = {"user": self.pages.user[page], "session": session, "page": page, "device": self.device[session], "campaign": campaign}
        return part


def _visitors(world: World, standing: Standing, day: int, rng: np.random.Generator) -> Int64:
    """Who comes on a day: at most one visit each; joining is a visit."""
    people = world.people
    chance = 1.0 - np.exp(-people.activity(day) * rhythm(day, standing.campaign))
    return np.flatnonzero((rng.random(people.people) < chance) | (people.newcomers(day) & people.here(day)))


def _look(world: World, standing: Standing, pages: Pages, rng: np.random.Generator) -> Shown:
    page, slot = np.nonzero(pages.seen)
    user, item = pages.user[page], pages.items[page, slot]
    liked = response.liking(world, standing, user, item)
    clicked = rng.random(len(page), np.float32) < response.attraction(liked) * response.examination(slot + 1)
    return Shown(page, slot, user, item, liked, clicked)


def _durations(shown: Shown, rng: np.random.Generator) -> Float64:
    """(views,) seconds, lognormal: who likes an item looks at it longer."""
    liked = shown.liked[shown.clicked]
    return np.asarray(np.clip(np.round(rng.lognormal(2.6 + 0.3 * liked, 0.7), 1), 0.5, 600.0))


def _clock(begins: Int64, session: Int64, depth: Int64, duration: Float64, shown: Shown, rng: np.random.Generator) -> tuple[Int64, Int64, Int64]:
    """When each page opens (P,), each view begins (views,), and each page is left (P,): one after the other, in microseconds."""
    clicks, spent = np.flatnonzero(shown.clicked), (duration * SECOND).astype(np.int64)
    page = shown.page[clicks]
    before = np.cumsum(spent) - spent
    first = np.searchsorted(page, np.arange(len(session)))
    offsets = np.concatenate([before, [spent.sum()]])
    length = depth + offsets[np.searchsorted(page, np.arange(len(session)), side="right")] - offsets[first]
    pause = (rng.gamma(2.0, 4.0, len(session)) * SECOND).astype(np.int64) + 2 * SECOND
    whole = length + pause
    elapsed = np.cumsum(whole) - whole
    starts = begins[session] + elapsed - elapsed[np.searchsorted(session, session)]
    opened = starts[page] + depth[page] + before - before[first[page]] if len(page) else np.empty(0, np.int64)
    return starts, opened, starts + length


def _carts(world: World, common: Common, opened: Int64, duration: Float64, ends: Int64, rng: np.random.Generator) -> list[Part]:
    """What goes into the cart, what is bought at the end of the visit, all lines of a basket at one moment, and what follows from it."""
    clicks = np.flatnonzero(common.shown.clicked)
    carted = rng.random(len(clicks)) < response.carting(common.shown.liked[clicks])
    kept = clicks[carted]
    cart: Part = {**common.of_shown(kept), "kind": CART, "at": opened[carted] + (duration[carted] * 900_000).astype(np.int64)}
    bought = rng.random(len(kept)) < response.buying(common.shown.liked[kept])
    lines = kept[bought]
    part = common.of_shown(lines)
    quantity = rng.geometric(0.75, len(lines))
    price = common.standing.price[part["item"]]
    purchase: Part = {**part, "kind": PURCHASE, "at": ends[part["session"]] + 20 * SECOND, "quantity": quantity, "price": quantity * price}
    _spoil(world, purchase, rng)
    return [cart, purchase, *_follow_ups(world, common, purchase, common.shown.liked[lines], rng)]


def _spoil(world: World, purchase: Part, rng: np.random.Generator) -> None:
    """Switch the faults on: half of the bad lines have no quantity worth the name, half an item that the catalogue does not have."""
    luck, faults = rng.random(len(purchase["at"])), world.scenario.faults
    if faults:
        purchase["quantity"] = np.where(luck < faults / 2, 0, purchase["quantity"])
        purchase["item"] = np.where((luck >= faults / 2) & (luck < faults), len(world.assortment), purchase["item"])


def _follow_ups(world: World, common: Common, purchase: Part, liked: Float32, rng: np.random.Generator) -> list[Part]:
    """Reviews and returns, each in a visit of its own, days after the purchase."""
    count = len(liked)
    sound = (purchase["item"] < len(world.assortment)) & (purchase["quantity"] > 0)
    rating = response.satisfaction(liked, rng.normal(size=count))
    sentence = rng.integers(0, SENTENCES, count)
    delays = [np.minimum(rng.lognormal(1.6, 0.6, count), _FOLLOW_UP_DAYS), rng.uniform(1.0, 20.0, count)]
    chosen = [np.flatnonzero((rng.random(count) < chance) & sound) for chance in (_REVIEWS, response.returning(liked))]
    parts, session = [], len(common.visitor)
    for kind, rows, delay in zip((REVIEW, RETURN), chosen, delays, strict=True):
        part: Part = {name: purchase[name][rows] for name in ("user", "item", "device")}
        part |= {"kind": kind, "at": purchase["at"][rows] + (delay[rows] * DAY_US).astype(np.int64), "session": session + np.arange(len(rows))}
        session += len(rows)
        if kind == REVIEW:
            place = ((rating[rows] - 1) * SENTENCES + sentence[rows]) * len(TYPES) + world.assortment.type[part["item"]]
            part |= {"rating": rating[rows], "text": place * 2 + world.people.language[part["user"]]}
        else:
            part |= {"quantity": purchase["quantity"][rows], "price": purchase["price"][rows]}
        parts.append(part)
    return parts
