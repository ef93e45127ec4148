"""What the pages of a day's visits show: results of a search, a category, the user's own favourites, a campaign.

The shop's own policy orders a page by popularity with some noise; so what was clicked is confounded with what was shown on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footfall.sources.simulator.draws import Bools, Float64, Int64, choose, choose_column
from footfall.sources.simulator.people import FAVOURITES
from footfall.sources.simulator.words import SHELVES, TYPES
from footfall.sources.simulator.world import Standing, World

SLOTS = 10
"""Items on a page."""

HOME, CATEGORY, SEARCH, CAMPAIGN = range(4)
_UP_TO = np.array([0.3, 0.6])  # luck below the first is home, below the second a category, above it a search
_CAMPAIGN_SHARE = 0.25
_WITH_ADJECTIVE = 0.4


@dataclass(frozen=True)
class Pages:
    """P pages.

    Attributes:
        user: (P,) who looks.
        kind: (P,) HOME, CATEGORY, SEARCH or CAMPAIGN.
        query: (P,) index into `words.query_texts()`; -1 without a search.
        items: (P, SLOTS) from the top.
        seen: (P, SLOTS) whether the item scrolled into sight; always the first ones of a page.
    """

    user: Int64
    kind: Int64
    query: Int64
    items: Int64
    seen: Bools


def show_pages(world: World, standing: Standing, user: Int64, rng: np.random.Generator) -> Pages:
    """The pages that these users open, one each."""
    count = len(user)
    kind = np.searchsorted(_UP_TO, rng.random(count), side="right")
    advertised = rng.random(count) < _CAMPAIGN_SHARE
    if standing.campaign is not None:
        kind[advertised] = CAMPAIGN
    aim = _aim(standing, user, rng)
    low, high = _shelves(world, standing, kind, aim)
    steps = (np.arange(SLOTS) + 0.999 * rng.random(count)[:, None]) / SLOTS
    items = choose(steps, standing.cumulative, low[:, None], high[:, None])
    here = standing.on_shelf[items]
    _favourites(standing, user, kind, items, here)
    _campaign_items(standing, kind, items, here, rng.random(count))
    items, here = _ordered(world, items, here & _first_of_its_kind(items), rng)
    depth = 1 + rng.geometric(0.35, count)
    seen = here & (np.arange(SLOTS) < depth[:, None])
    return Pages(user, kind, _queries(world, user, kind, aim, rng), items, seen)


def _aim(standing: Standing, user: Int64, rng: np.random.Generator) -> Int64:
    """(P,) an item that each user might have in mind: of a category by taste, in it by popularity."""
    borders = standing.bounds[::SHELVES]
    wish = standing.tastes.categories[user] * (np.diff(borders) > 0)
    category = choose_column(rng.random(len(user)), wish)
    return choose(rng.random(len(user)), standing.cumulative, borders[category], borders[category + 1])


def _shelves(world: World, standing: Standing, kind: Int64, aim: Int64) -> tuple[Float64, Float64]:
    """(P,), (P,) between which sums of weights the items of a page lie: all, those of a category, or those of a type."""
    type_ = world.assortment.type[aim]
    first = np.where(kind == SEARCH, type_, np.where(kind == CATEGORY, type_ - type_ % SHELVES, 0))
    width = np.where(kind == SEARCH, 1, np.where(kind == CATEGORY, SHELVES, len(TYPES)))
    return standing.bounds[first], standing.bounds[first + width]


def _favourites(standing: Standing, user: Int64, kind: Int64, items: Int64, here: Bools) -> None:
    """A home page offers what the user likes to come back to, then what is popular."""
    home = np.flatnonzero(kind == HOME)
    items[home, :FAVOURITES] = standing.tastes.favourites[user[home]]
    here[home, :FAVOURITES] = standing.on_shelf[items[home, :FAVOURITES]]


def _campaign_items(standing: Standing, kind: Int64, items: Int64, here: Bools, luck: Float64) -> None:
    """A campaign's page shows neighbours of its list, from anywhere on."""
    if standing.campaign is not None:
        pages, listed = np.flatnonzero(kind == CAMPAIGN), standing.campaign.items
        start = (luck[pages] * len(listed)).astype(np.int64)
        items[pages] = listed[(start[:, None] + np.arange(SLOTS)) % len(listed)]
        here[pages] = standing.on_shelf[items[pages]]


def _first_of_its_kind(items: Int64) -> Bools:
    """(P, SLOTS) False where the page has the item already."""
    order = np.argsort(items, axis=1, kind="stable")
    in_order = np.take_along_axis(items, order, axis=1)
    first = np.ones(items.shape, np.bool_)
    first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    found = np.empty_like(first)
    np.put_along_axis(found, order, first, axis=1)
    return found


def _ordered(world: World, items: Int64, here: Bools, rng: np.random.Generator) -> tuple[Int64, Bools]:
    """The page as the shop's policy lays it out: the popular on top, with some noise; what is not there at the end."""
    score = np.log(world.assortment.popularity)[items] + rng.normal(0.0, 1.0, items.shape)
    order = np.argsort(np.where(here, -score, np.inf), axis=1)
    return np.take_along_axis(items, order, axis=1), np.take_along_axis(here, order, axis=1)


def _queries(world: World, user: Int64, kind: Int64, aim: Int64, rng: np.random.Generator) -> Int64:
    """(P,) words of the title of the item in mind, in the user's language: its type, sometimes with its adjective."""
    adjective = np.where(rng.random(len(user)) < _WITH_ADJECTIVE, world.assortment.adjective[aim] + 1, 0)
    text = (adjective * len(TYPES) + world.assortment.type[aim]) * 2 + world.people.language[user]
    return np.where(kind == SEARCH, text, -1)
