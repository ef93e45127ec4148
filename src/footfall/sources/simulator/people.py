"""Who shops in the simulated shop: households with a taste in common, friends of like mind, and a life cycle that ends in leaving.

Bots and the accounts of a click farm stand after the people, so that switching them on changes no person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footfall.sources.simulator.assortment import Assortment
from footfall.sources.simulator.draws import Bools, Float32, Float64, Int64, choose, choose_column, stream, unit
from footfall.sources.simulator.scenario import NEVER, Scenario
from footfall.sources.simulator.words import EN, SHELVES, ZH

PERSON, BOT, FARM = "person", "bot", "click_farm"
FAVOURITES = 6
"""Items that a user comes back to."""

DAY_US = 86_400_000_000
_CLUSTERS = 12
_TREND = (0, 9)  # the categories that a taste shift turns users to
_CHOOSINESS = 3.0
_STAY_DAYS = 210.0  # what a newcomer's life comes to, passers-by included


@dataclass(frozen=True)
class Tastes:
    """What U users like, before or after a taste shift.

    Attributes:
        vectors: (U, D) hidden taste, length one.
        categories: (U, categories) weights with which a user looks into a category.
        favourites: (U, FAVOURITES) items.
    """

    vectors: Float32
    categories: Float64
    favourites: Int64


@dataclass(frozen=True)
class People:
    """All accounts: U people, then bots, then the click farm's (U + more = A).

    Attributes:
        people: U.
        bots, farm: numbers of such accounts.
        household: (U,) members share a number, a place and half of their taste.
        cluster: (U,) circle of like mind, within which most friends are.
        language: (U,) of searches and reviews.
        thrift: (U,) logits lost when an item costs e times what its type costs.
        visits: (U,) visits a day, in the middle of the user's time and of the year.
        joined: (A,) moment of joining, microseconds.
        left_day: (A,) the true moment of churn: midnight before this day; nothing of the user lies after it.
        fade: (U,) days over which the visits dwindle before it.
        before, after: tastes without and with a taste shift.
        device, place: (U,).
    """

    people: int
    bots: int
    farm: int
    household: Int64
    cluster: Int64
    language: Int64
    thrift: Float32
    visits: Float64
    joined: Int64
    left_day: Int64
    fade: Float64
    before: Tastes
    after: Tastes
    device: Int64
    place: Int64

    def __len__(self) -> int:
        """A, all accounts."""
        return len(self.joined)

    @property
    def kinds(self) -> list[str]:
        """What each account truly is."""
        return [PERSON] * self.people + [BOT] * self.bots + [FARM] * self.farm

    def activity(self, day: int) -> Float64:
        """(U,) visits expected on an ordinary day: eager at first, dwindling before the end, none outside of the user's time."""
        age = np.clip(day - self.joined[: self.people] // DAY_US, 0, 1000)
        dwindling = np.clip((self.left_day[: self.people] - day) / self.fade, 0.0, 1.0)
        return np.asarray(np.where(self.here(day), self.visits * (1.0 + np.exp(-age / 14.0)) * dwindling, 0.0))

    def here(self, day: int) -> Bools:
        """(U,) who has joined by the end of a day and has not left."""
        return np.asarray((self.joined[: self.people] < (day + 1) * DAY_US) & (day < self.left_day[: self.people]))

    def newcomers(self, day: int) -> Bools:
        """(U,) who joins on a day: joining is a visit."""
        return np.asarray(self.joined[: self.people] // DAY_US == day)


def build_people(scenario: Scenario, assortment: Assortment) -> People:
    """The accounts of a scenario."""
    rng, count = stream(scenario.seed, "users"), scenario.users
    household = rng.permutation(np.arange(count).repeat(rng.integers(1, 5, count))[:count])
    circles = rng.integers(0, _CLUSTERS, count)
    common = unit(rng.normal(size=(_CLUSTERS, assortment.centres.shape[1])))
    homes, own = unit(rng.normal(size=(count, common.shape[1]))), unit(rng.normal(size=(count, common.shape[1])))
    cluster = circles[household]
    taste = unit(0.6 * common[cluster] + 0.5 * homes[household] + 0.5 * own)
    trend = assortment.centres[np.asarray(_TREND)[rng.integers(0, len(_TREND), count)]]
    before = _tastes(rng, assortment, taste)
    joined, left_day, fade = _lives(rng, scenario)
    bots, farm = _intruders(scenario)
    return People(
        people=count,
        bots=len(bots),
        farm=len(farm),
        household=household,
        cluster=cluster,
        language=np.where(rng.random(count) < 0.7, ZH, EN),
        thrift=rng.gamma(4.0, 0.3, count).astype(np.float32),
        visits=rng.gamma(1.3, 0.24 / 1.3, count) + 0.01,
        joined=np.concatenate([joined, bots, farm]),
        left_day=np.concatenate([left_day, np.full(len(bots) + len(farm), NEVER)]),
        fade=fade,
        before=before,
        after=_tastes(rng, assortment, unit(0.5 * taste + trend)),
        device=np.searchsorted([0.6, 0.9], rng.random(count)),
        place=rng.integers(0, 4, count)[household],
    )


def _tastes(rng: np.random.Generator, assortment: Assortment, vectors: Float32) -> Tastes:
    """What users of these hidden tastes look into, and come back to."""
    count, ordinary = len(vectors), int(assortment.type.max()) // SHELVES
    categories = np.exp(_CHOOSINESS * (vectors @ assortment.centres.T).astype(np.float64))
    cumulative = np.cumsum(assortment.popularity)
    bounds = np.concatenate([[0.0], cumulative])[assortment.starts[::SHELVES]]
    chosen = choose_column(rng.random(count * FAVOURITES), categories[:, :ordinary].repeat(FAVOURITES, axis=0))
    favourites = choose(rng.random(count * FAVOURITES), cumulative, bounds[chosen], bounds[chosen + 1])
    return Tastes(vectors, categories, favourites.reshape(count, FAVOURITES))


def _lives(rng: np.random.Generator, scenario: Scenario) -> tuple[Int64, Int64, Float64]:
    """(joined, left_day, fade): so many are there on the first day that a few more come than leave; of the newcomers a fifth stays for days only."""
    count, first, last = scenario.users, scenario.first_day, scenario.last_day
    old = rng.random(count) < _STAY_DAYS / (_STAY_DAYS + 1.2 * (last - first))
    day = np.where(old, first - rng.integers(1, 300, count), rng.integers(first, last, count))
    joined = day * DAY_US + (rng.uniform(7.0, 22.0, count) * 3.6e9).astype(np.int64)
    passing = ~old & (rng.random(count) < 0.2)
    days = np.where(passing, rng.integers(1, 5, count), 10.0 + rng.exponential(260.0, count))
    left_day = np.where(old, first, day) + np.ceil(days).astype(np.int64)
    return joined, left_day, np.clip(0.3 * days, 1.0, 30.0)


def _intruders(scenario: Scenario) -> tuple[Int64, Int64]:
    """Moments of joining of the bots, and of the click farm's accounts; empty without those drifts."""
    found = []
    for drift, accounts in (("bot_traffic", max(1, scenario.users // 400)), ("click_farm", max(5, scenario.users // 50))):
        day = scenario.drift_day(drift)
        found.append(np.full(accounts if day != NEVER else 0, day * DAY_US if day != NEVER else 0, np.int64))
    return found[0], found[1]


def friendships(scenario: Scenario, people: People) -> Int64:
    """(F, 2) pairs of friends, the lesser number first, sorted: four of five within a circle of like mind."""
    rng = stream(scenario.seed, "friends")
    one = np.arange(people.people).repeat(rng.poisson(1.5, people.people))
    by_cluster = np.argsort(people.cluster, kind="stable")
    starts = np.searchsorted(people.cluster[by_cluster], np.arange(_CLUSTERS + 1))
    low, high = starts[people.cluster[one]], starts[people.cluster[one] + 1]
    near = by_cluster[low + (rng.random(len(one)) * (high - low)).astype(np.int64)]
    other = np.where(rng.random(len(one)) < 0.8, near, rng.integers(0, people.people, len(one)))
    pairs = np.sort(np.stack([one, other], axis=1)[one != other], axis=1)
    return np.asarray(np.unique(pairs, axis=0))


def housemates(people: People) -> Int64:
    """(H, 2) pairs of one household, the lesser number first, sorted."""
    order = np.argsort(people.household, kind="stable")
    home = people.household[order]
    found = [np.empty((0, 2), np.int64)]
    for apart in (1, 2, 3):  # a household has four members at most
        same = home[apart:] == home[:-apart]
        found.append(np.sort(np.stack([order[:-apart][same], order[apart:][same]], axis=1), axis=1))
    return np.asarray(np.unique(np.concatenate(found), axis=0))
