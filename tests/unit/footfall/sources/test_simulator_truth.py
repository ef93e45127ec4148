"""The simulator's truth: the log is drawn from the very chances that `respond` states, and the optimal slate is optimal."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from footfall.contracts import C
from footfall.errors import SourceError
from tests.unit.footfall.sources.simulated import DRIFT_AT, END, events, of, shop

NOON = datetime(2021, 3, 10, 12, tzinfo=UTC)
K = 10


@pytest.fixture(scope="module")
def people() -> list[str]:
    """Twenty people of the shop."""
    found: list[str] = shop().truth.users().column(C.USER_ID).to_pylist()[:20]
    return found


@pytest.fixture(scope="module")
def items() -> list[str]:
    """Thirty items that are on the shelf at noon."""
    user, ids = shop().truth.users().column(C.USER_ID)[0].as_py(), shop().catalogue().column(C.ITEM_ID).to_pylist()
    chances = shop().truth.respond([user] * len(ids), [[item] for item in ids], NOON).click[:, 0]
    return [item for item, chance in zip(ids, chances, strict=True) if chance > 0][:30]


def logged() -> dict[str, np.ndarray]:
    """Every page of the log, by what the truth says of it and by what happened: chances and counts, (pages, K)."""
    pages: dict[datetime, dict[str, tuple[str, list[str]]]] = defaultdict(dict)
    for row in of(events(), "impression").sort_by(C.EVENT_ID).to_pylist():
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(row[C.REQUEST_ID][2:6], 16))  # the day on which the visit began
        _, slate = pages[day].setdefault(row[C.REQUEST_ID], (row[C.USER_ID], [""] * K))
        slate[row[C.POSITION] - 1] = row[C.ITEM_ID]
    parts: dict[str, list[Any]] = defaultdict(list)
    happened = {name: {(row[C.REQUEST_ID], row[C.POSITION]) for row in of(events(), name).to_pylist()} for name in ("view", "purchase")}
    for day, of_day in pages.items():
        users, slates = zip(*of_day.values(), strict=True)
        response = shop().truth.respond(users, slates, day)
        parts["shown"].append([[bool(item) for item in slate] for slate in slates])
        for name, chances in (("view", response.click), ("purchase", response.purchase)):
            parts[f"{name} said"].append(chances)
            parts[f"{name} seen"].append([[(page, position) in happened[name] for position in range(1, K + 1)] for page in of_day])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


@pytest.mark.parametrize("name", ["view", "purchase"])
def test_the_log_is_drawn_from_the_chances_that_are_stated(name: str) -> None:
    log = logged()
    said, seen = log[f"{name} said"][log["shown"]], log[f"{name} seen"][log["shown"]]
    edges = np.quantile(said, np.linspace(0, 1, 11)[1:-1])
    groups = [np.searchsorted(edges, said) == decile for decile in range(10)]
    groups += [np.broadcast_to(np.arange(K) == position, log["shown"].shape)[log["shown"]] for position in range(K)]

    surprises = [(seen[group].sum() - said[group].sum()) / np.sqrt((said[group] * (1 - said[group])).sum()) for group in groups]

    assert len(said) > 15_000
    assert max(map(abs, surprises)) < 4.0


def test_attention_falls_from_position_to_position(people: list[str], items: list[str]) -> None:
    same = shop().truth.respond(people, [[items[0]] * K] * len(people), NOON).click

    assert np.allclose(same / same[:, :1], 1 / (1 + 0.25 * np.arange(K)), rtol=1e-6)


def test_a_purchase_is_less_likely_than_its_click(people: list[str], items: list[str]) -> None:
    response = shop().truth.respond(people, [items] * len(people), NOON)

    assert ((response.purchase > 0) & (response.purchase < response.click)).all()
    assert response.simulated


def test_what_the_shop_does_not_have_is_never_clicked(people: list[str]) -> None:
    response = shop().truth.respond(people, [["sim-gone", "no such item"]] * len(people), NOON)

    assert not response.click.any()
    assert not response.purchase.any()


def test_draws_follow_the_chances_and_repeat_with_their_seed(people: list[str], items: list[str]) -> None:
    slates = [items] * len(people)
    draws = [shop().truth.draw(people, slates, NOON, seed=seed) for seed in range(200)]
    response, again = shop().truth.respond(people, slates, NOON), shop().truth.draw(people, slates, NOON, seed=7)

    for name, chances in (("clicked", response.click), ("purchased", response.purchase)):
        total, variance = sum(getattr(draw, name).sum() for draw in draws), 200 * (chances * (1 - chances)).sum()
        assert abs(total - 200 * chances.sum()) < 4 * np.sqrt(variance)
    assert all((draw.clicked | ~draw.purchased).all() for draw in draws)
    assert (again.clicked == draws[7].clicked).all()
    assert again.simulated


@pytest.mark.parametrize("goal", ["click", "purchase"])
def test_the_optimal_slate_is_what_asking_about_every_item_gives(goal: Any, people: list[str]) -> None:
    ids = shop().catalogue().column(C.ITEM_ID).to_pylist()

    slates = shop().truth.optimal_slate(people, 5, NOON, goal=goal)

    for user, slate in zip(people, slates, strict=True):
        worth = getattr(shop().truth.respond([user] * len(ids), [[item] for item in ids], NOON), goal)[:, 0]
        best = np.sort(worth)[::-1][:5]
        assert np.allclose([worth[ids.index(item)] for item in slate], best, rtol=1e-4)
        assert len(set(slate)) == 5


def test_no_other_slate_sells_more(people: list[str], items: list[str]) -> None:
    rng = np.random.default_rng(1)
    best = shop().truth.respond(people, shop().truth.optimal_slate(people, K, NOON), NOON).purchase.sum(axis=1)

    for _ in range(20):
        slates = [rng.permutation(items)[:K].tolist() for _ in people]
        assert (shop().truth.respond(people, slates, NOON).purchase.sum(axis=1) < best).all()
    popular = of(events(), "purchase").column(C.ITEM_ID).value_counts().to_pylist()
    top = [row["values"] for row in sorted(popular, key=lambda row: -row["counts"])[:K]]
    assert shop().truth.respond(people, [top] * len(people), NOON).purchase.sum() < 0.7 * best.sum()


def test_a_taste_shift_changes_what_is_optimal_from_its_day_on(people: list[str]) -> None:
    shifted, plain = shop("taste_shift").truth, shop().truth
    before = DRIFT_AT - timedelta(seconds=1)

    assert shifted.optimal_slate(people, K, before) == plain.optimal_slate(people, K, before)
    now, then = shifted.optimal_slate(people, K, DRIFT_AT), plain.optimal_slate(people, K, DRIFT_AT)
    assert np.mean([len(set(one) & set(other)) for one, other in zip(now, then, strict=True)]) < 0.5 * K


def test_a_price_rise_makes_everybody_buy_less(people: list[str], items: list[str]) -> None:
    dear, plain = (shop(name).truth.respond(people, [items] * len(people), NOON) for name in ("price_rise", None))

    assert (dear.purchase[plain.purchase > 0] < plain.purchase[plain.purchase > 0]).all()


def test_the_truth_is_told_of_every_account() -> None:
    truth = shop().truth.users()

    assert truth.column(C.USER_ID).to_pylist() == sorted(set(truth.column(C.USER_ID).to_pylist()), key=truth.column(C.USER_ID).to_pylist().index)
    assert set(shop().users(END).column(C.USER_ID).to_pylist()) <= set(truth.column(C.USER_ID).to_pylist())
    for row in truth.to_pylist():
        assert row["joined_at"] < row["left_at"]
        assert row["churned"] == (row["left_at"] < END)
        assert sum(value * value for value in row["taste"]) == pytest.approx(1.0, abs=1e-5)


def test_strangers_bots_and_crooked_slates_are_refused(people: list[str], items: list[str]) -> None:
    truth = shop("bot_traffic").truth
    bot = truth.users().column(C.USER_ID).to_pylist()[-1]

    for users, slates in (([bot], [items]), (["nobody"], [items]), (people, [items]), (people[:2], [items, items[:3]])):
        with pytest.raises(SourceError):
            truth.respond(users, slates, NOON)
    with pytest.raises(SourceError, match="slate cannot be filled"):
        truth.optimal_slate(people, 10_000, NOON)
    with pytest.raises(SourceError, match="slate cannot be filled"):
        truth.optimal_slate(people, 0, NOON)
