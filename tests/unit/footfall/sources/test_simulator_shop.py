"""How the simulated shop behaves: searches, pages, purchases and what follows, lives that end, stock, and the rhythm of the year."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from footfall.contracts import C
from footfall.sources.simulator.words import EN, TYPES, ZH
from tests.unit.footfall.sources.simulated import END, between, events, of, shop

AUTUMN = "users=200,items=200,start=2021-10-04,end=2022-01-01"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """All events as dictionaries."""
    return events().to_pylist()


@pytest.fixture(scope="module")
def items() -> dict[str, dict[str, Any]]:
    """The catalogue by item."""
    return {row[C.ITEM_ID]: row for row in shop().catalogue().to_pylist()}


@pytest.fixture(scope="module")
def languages() -> dict[str, str]:
    """What each user speaks."""
    return {row[C.USER_ID]: json.loads(row[C.ATTRIBUTES])["language"] for row in shop().users(END).to_pylist()}


def kind(rows: list[dict[str, Any]], event_type: str) -> list[dict[str, Any]]:
    """The events of one type."""
    return [row for row in rows if row[C.EVENT_TYPE] == event_type]


def test_titles_are_chinese_english_or_both(items: dict[str, dict[str, Any]]) -> None:
    plain = [row[C.TITLE].isascii() for row in items.values()]

    assert 0.2 < mean(plain) < 0.5
    assert all(any(word in row[C.TITLE] for word in TYPES[number]) for row in items.values() for number in [type_of(row)])


def type_of(item: dict[str, Any]) -> int:
    """The type of an item by its category path."""
    return [f"{names[ZH]} {names[EN]}" for names in TYPES].index(item[C.CATEGORY_PATH].split(" > ")[1])


def test_searches_are_in_the_users_language_and_find_what_they_name(
    rows: list[dict[str, Any]], items: dict[str, dict[str, Any]], languages: dict[str, str]
) -> None:
    found = defaultdict(list)
    for row in kind(rows, "impression"):
        found[row[C.REQUEST_ID]].append(row[C.ITEM_ID])
    searches = kind(rows, "search")

    assert all(row[C.QUERY].isascii() == (languages[row[C.USER_ID]] == "en") and row[C.ITEM_ID] is None for row in searches)
    for search in searches:
        spoken = EN if search[C.QUERY].isascii() else ZH
        assert all(search[C.QUERY].endswith(TYPES[type_of(items[item])][spoken]) for item in found[search[C.REQUEST_ID]])


def test_a_page_shows_distinct_items_from_the_top_and_only_shown_items_are_viewed(rows: list[dict[str, Any]]) -> None:
    shown = defaultdict(dict)
    for row in kind(rows, "impression"):
        shown[row[C.REQUEST_ID]][row[C.POSITION]] = row[C.ITEM_ID]

    for page in shown.values():
        assert sorted(page) == list(range(1, len(page) + 1))
        assert len(set(page.values())) == len(page)
    for event_type in ("view", "cart", "purchase"):
        assert all(shown[row[C.REQUEST_ID]][row[C.POSITION]] == row[C.ITEM_ID] for row in kind(rows, event_type))


def test_within_a_session_search_impression_view_cart_and_purchase_follow_each_other(rows: list[dict[str, Any]]) -> None:
    moments: dict[tuple[str, str | None], dict[str, datetime]] = defaultdict(dict)
    for row in rows:
        if row[C.EVENT_TYPE] != "search" and row[C.REQUEST_ID]:
            moments[row[C.REQUEST_ID], row[C.ITEM_ID]][row[C.EVENT_TYPE]] = row[C.OCCURRED_AT]
    order = ("impression", "view", "cart", "purchase")

    assert sum(len(found) == 4 for found in moments.values()) > 100
    for found in moments.values():
        times = [found[name] for name in order if name in found]
        assert times == sorted(times)
        assert list(order[: len(times)]) == [name for name in order if name in found]
    assert all(row[C.RECEIVED_AT] > row[C.OCCURRED_AT] for row in rows)


def test_the_lines_of_a_basket_share_a_moment(rows: list[dict[str, Any]]) -> None:
    baskets = defaultdict(set)
    for row in kind(rows, "purchase"):
        baskets[row[C.SESSION_ID]].add(row[C.OCCURRED_AT])

    assert {len(moments) for moments in baskets.values()} == {1}


def test_a_review_or_return_follows_a_purchase_by_days(rows: list[dict[str, Any]], languages: dict[str, str]) -> None:
    bought = defaultdict(list)
    for row in kind(rows, "purchase"):
        bought[row[C.USER_ID], row[C.ITEM_ID]].append((row[C.OCCURRED_AT], row[C.QUANTITY], row[C.PRICE_MINOR]))

    for row in kind(rows, "review"):
        assert any(timedelta(hours=12) < row[C.OCCURRED_AT] - at <= timedelta(days=31) for at, *_ in bought[row[C.USER_ID], row[C.ITEM_ID]])
        assert row[C.TEXT].isascii() == (languages[row[C.USER_ID]] == "en")
        assert row[C.RATING] in {1.0, 2.0, 3.0, 4.0, 5.0}
    for row in kind(rows, "return"):
        lines = [line[1:] for line in bought[row[C.USER_ID], row[C.ITEM_ID]] if row[C.OCCURRED_AT] - line[0] >= timedelta(days=1)]
        assert (row[C.QUANTITY], row[C.PRICE_MINOR]) in lines


def test_who_looks_longer_buys_more_often(rows: list[dict[str, Any]]) -> None:
    carted = {(row[C.REQUEST_ID], row[C.ITEM_ID]) for row in kind(rows, "cart")}
    seconds: dict[bool, list[float]] = defaultdict(list)
    for row in kind(rows, "view"):
        seconds[(row[C.REQUEST_ID], row[C.ITEM_ID]) in carted].append(row[C.DURATION_S])

    assert mean(seconds[True]) > 1.1 * mean(seconds[False])


def test_nothing_of_a_user_lies_outside_of_the_users_time(rows: list[dict[str, Any]]) -> None:
    truth = {row[C.USER_ID]: row for row in shop().truth.users().to_pylist()}

    assert all(truth[row[C.USER_ID]]["joined_at"] < row[C.OCCURRED_AT] < truth[row[C.USER_ID]]["left_at"] for row in rows)
    assert 0.2 < mean(row["churned"] for row in truth.values()) < 0.8


def test_joining_is_a_visit(rows: list[dict[str, Any]]) -> None:
    first: dict[str, datetime] = {}
    for row in sorted(rows, key=lambda row: row[C.OCCURRED_AT]):
        first.setdefault(row[C.USER_ID], row[C.OCCURRED_AT])
    began = datetime(2021, 1, 1, tzinfo=UTC)

    newcomers = [row for row in shop().truth.users().to_pylist() if row["joined_at"] >= began]

    assert len(newcomers) > 50
    assert all(timedelta(0) < first[row[C.USER_ID]] - row["joined_at"] < timedelta(hours=17) for row in newcomers)


def test_visits_dwindle_before_a_user_leaves(rows: list[dict[str, Any]]) -> None:
    began, stayed = datetime(2021, 1, 1, tzinfo=UTC), timedelta(days=40)
    truth = [row for row in shop().truth.users().to_pylist() if row["churned"]]
    left = {row[C.USER_ID]: row["left_at"] for row in truth if row["left_at"] - max(row["joined_at"], began) > stayed}
    visits = {(row[C.USER_ID], row[C.SESSION_ID]): row[C.OCCURRED_AT] for row in kind(rows, "impression")}
    before = [left[user] - at for (user, _), at in visits.items() if user in left]

    last = sum(span <= timedelta(days=7) for span in before)
    earlier = sum(timedelta(days=30) < span <= timedelta(days=37) for span in before)

    assert earlier > 10
    assert last < 0.6 * earlier


def test_items_arrive_and_nothing_is_shown_before(rows: list[dict[str, Any]], items: dict[str, dict[str, Any]]) -> None:
    began = datetime(2021, 1, 1, tzinfo=UTC)

    assert all(items[row[C.ITEM_ID]][C.AVAILABLE_FROM] <= row[C.OCCURRED_AT] for row in rows if row[C.ITEM_ID])
    assert 0.2 < mean(row[C.AVAILABLE_FROM] >= began for row in items.values()) < 0.5


def test_what_is_out_of_stock_is_not_shown_and_comes_back(rows: list[dict[str, Any]], items: dict[str, dict[str, Any]]) -> None:
    user = shop().truth.users().column(C.USER_ID)[0].as_py()
    old = [item for item, row in items.items() if row[C.AVAILABLE_FROM] < datetime(2021, 1, 1, tzinfo=UTC)]
    days = [datetime(2021, 2, day, 12, tzinfo=UTC) for day in range(1, 29)]
    out = {day.date(): {item for item, chance in zip(old, click(user, old, day), strict=True) if chance == 0.0} for day in days}
    shown = defaultdict(set)
    for row in kind(rows, "impression"):
        if row[C.OCCURRED_AT].hour >= 2:  # a visit may last past midnight
            shown[row[C.OCCURRED_AT].date()].add(row[C.ITEM_ID])

    assert all(not missing & shown[day] for day, missing in out.items())
    assert all(0.0 < len(missing) / len(old) < 0.2 for missing in out.values())
    assert max(Counter(item for missing in out.values() for item in missing).values()) < 28


def click(user: str, slate: list[str], at: datetime) -> list[float]:
    """Chances of a click on each item at the top."""
    chances: list[float] = shop().truth.respond([user] * len(slate), [[item] for item in slate], at).click[:, 0].tolist()
    return chances


def test_weekends_festivals_and_the_end_of_the_year_are_busy() -> None:
    table = between(shop(None, AUTUMN), None, datetime(2022, 1, 1, tzinfo=UTC))
    begun: pa.Table = of(table, "impression").group_by(C.SESSION_ID).aggregate([(C.OCCURRED_AT, "min")])
    visits = Counter(moment.date() for moment in begun.column(f"{C.OCCURRED_AT}_min").to_pylist())

    def a_day(*spans: tuple[int, int, int]) -> float:
        return mean(visits[datetime(2021, month, day).date()] for month, first, last in spans for day in range(first, last + 1))

    assert a_day((11, 1, 12)) > 1.25 * a_day((10, 18, 29))
    assert a_day((12, 18, 29)) > 1.5 * a_day((11, 15, 28))
    weekday = Counter(day.weekday() for day in visits for _ in range(visits[day]))
    assert weekday[5] + weekday[6] > 1.1 * (weekday[0] + weekday[1])


def test_evenings_are_busier_than_nights() -> None:
    hours = pc.hour(of(events(), "impression").column(C.OCCURRED_AT))
    counts = Counter(hours.to_pylist())

    assert sum(counts[hour] for hour in (19, 20, 21)) > 10 * sum(counts[hour] for hour in (2, 3, 4))


def test_households_and_friends_are_of_like_mind() -> None:
    truth = {row[C.USER_ID]: row["taste"] for row in shop().truth.users().to_pylist()}
    alike: dict[str, list[float]] = defaultdict(list)
    names = sorted(truth)
    for one, other in itertools.pairwise(names):  # pseudonyms are in no order
        alike["strangers"].append(dot(truth[one], truth[other]))
    for row in shop().relations().to_pylist():
        alike[row[C.KIND]].append(dot(truth[row[C.USER_ID]], truth[row[C.OTHER_USER_ID]]))

    assert mean(alike["household"]) > mean(alike["friend"]) + 0.1 > mean(alike["strangers"]) + 0.2


def dot(one: list[float], other: list[float]) -> float:
    """How alike two tastes are, -1 to 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_a_user_comes_back_to_favourites(rows: list[dict[str, Any]]) -> None:
    bought = Counter((row[C.USER_ID], row[C.ITEM_ID]) for row in kind(rows, "purchase"))
    popular = Counter(row[C.ITEM_ID] for row in kind(rows, "purchase"))
    repeats = sum(times - 1 for times in bought.values()) / sum(bought.values())
    lines = Counter(user for user, _ in bought.elements())
    by_chance = sum((times / sum(popular.values())) ** 2 for times in popular.values()) * mean(lines.values())

    assert repeats > 0.15
    assert repeats > 2 * by_chance


def test_the_table_has_no_column_without_a_value() -> None:
    table: pa.Table = events()

    assert [name for name in table.column_names if table.column(name).null_count == table.num_rows] == []
