"""Drifts of the simulator: each moves the figure it is known by, leaves the others where they were, and changes nothing before its day."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import pyarrow.compute as pc
import pytest

from footfall.contracts import C
from footfall.sources.simulator.scenario import DRIFTS as KNOWN
from tests.unit.footfall.sources.simulated import DRIFT_AT, DRIFTS, END, events, figures, of, shop, since

AT_LEAST = {
    "taste_shift": 0.25,
    "assortment_change": 0.15,
    "price_rise": 0.2,
    "bot_traffic": 0.4,
    "click_farm": 0.3,
    "tracking_bug": 0.5,
}
"""By how much each drift moves its own figure here."""


@lru_cache
def moved(drift: str) -> dict[str, float]:
    """By how much a drift moves each figure."""
    plain = figures(None)
    return {name: abs(value - plain[name]) for name, value in figures(drift).items()}


def test_these_are_all_drifts() -> None:
    assert set(DRIFTS) == set(KNOWN) == set(AT_LEAST)


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_drift_moves_the_figure_that_it_is_known_by(drift: str) -> None:
    assert moved(drift)[drift] > AT_LEAST[drift]


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_drift_leaves_the_figures_of_the_others(drift: str) -> None:
    strayed = {name: value for name, value in moved(drift).items() if name != drift and value > AT_LEAST[name] / 3}

    assert strayed == {}


@pytest.mark.parametrize("drift", DRIFTS)
def test_before_its_day_every_event_is_as_without_it(drift: str) -> None:
    before, after = (events(name).filter(pc.less(events(name).column(C.OCCURRED_AT), DRIFT_AT)) for name in (drift, None))

    assert before.num_rows > 5000
    assert before.equals(after)


def test_drifts_may_be_under_way_together() -> None:
    both = shop(None, "users=100,items=200,end=2021-02-01,drift=price_rise@2021-01-10,drift=tracking_bug@2021-01-20")

    assert both.scenario.drift_day("price_rise") == (date(2021, 1, 10) - date(1970, 1, 1)).days
    assert [drift.name for drift in both.scenario.drifts] == ["price_rise", "tracking_bug"]


@pytest.mark.parametrize(("drift", "kind"), [("bot_traffic", "bot"), ("click_farm", "click_farm")])
def test_bots_and_farm_accounts_are_users_like_others_and_only_the_truth_tells(drift: str, kind: str) -> None:
    truth, table = shop(drift).truth.users(), events(drift)
    accounts = truth.filter(pc.equal(truth.column(C.KIND), kind)).column(C.USER_ID).combine_chunks()
    theirs = table.filter(pc.is_in(table.column(C.USER_ID), value_set=accounts))

    assert set(accounts.to_pylist()) == set(theirs.column(C.USER_ID).to_pylist())
    assert set(accounts.to_pylist()) <= set(shop(drift).users(END).column(C.USER_ID).to_pylist())
    assert set(theirs.column(C.EVENT_TYPE).to_pylist()) <= {"view", "review"}
    assert not pc.any(pc.equal(shop().truth.users().column(C.KIND), kind)).as_py()


def test_a_click_farm_praises_a_handful_of_items() -> None:
    reviews = of(since(events("click_farm"), DRIFT_AT), "review")
    plain = of(since(events(), DRIFT_AT), "review")
    farmed = set(reviews.column(C.EVENT_ID).to_pylist()) - set(plain.column(C.EVENT_ID).to_pylist())
    rows = [row for row in reviews.to_pylist() if row[C.EVENT_ID] in farmed]

    assert len({row[C.ITEM_ID] for row in rows}) == 5
    assert {row[C.RATING] for row in rows} == {5.0}


def test_the_tracking_bug_is_one_of_phones_alone() -> None:
    views = of(since(events("tracking_bug"), DRIFT_AT), "view")
    blind = views.filter(pc.is_null(views.column(C.DURATION_S)))

    assert set(blind.column(C.DEVICE).to_pylist()) == {"phone"}
    assert blind.num_rows == pc.sum(pc.equal(views.column(C.DEVICE), "phone")).as_py()
