"""The seeded shop: a small generated shop for tests, half a year that ends where the Complete Journey's demonstration ends.

300 users, 400 items with Chinese or English titles, purchases with views and searches around them, a few bad rows, fuel by volume,
and a shift to gifts in the last 28 days, so that drift is real. Nothing in it was observed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CATALOGUE, CONSENT_PURPOSES, EVENTS, PURCHASE, TIMESTAMP, USERS, C
from footfall.pseudonyms import pseudonym
from footfall.sources.months import month_batches
from footfall.sources.seeded_behaviour import Behaviour, Line, simulate

NAME = "seeded_shop"
START = datetime(2017, 6, 1, tzinfo=UTC)
END = datetime(2017, 11, 26, tzinfo=UTC)
SHIFT_AT = END - timedelta(days=28)
SEED = 20171126
FUEL = "加油 Fuel"
GIFTS = "礼品 Gifts"
_ENGLISH_FROM = 2  # of three items one has an English title
_CATEGORIES = (
    ("饮料 Drinks", ("绿茶", "green tea"), ("咖啡", "coffee"), ("果汁", "juice")),
    ("乳品 Dairy", ("牛奶", "milk"), ("酸奶", "yoghurt"), ("奶酪", "cheese")),
    ("烘焙 Bakery", ("面包", "bread"), ("蛋糕", "cake"), ("饼干", "biscuits")),
    ("水果 Fruit", ("苹果", "apples"), ("香蕉", "bananas"), ("橙子", "oranges")),
    ("蔬菜 Vegetables", ("番茄", "tomatoes"), ("土豆", "potatoes"), ("白菜", "cabbage")),
    ("主食 Staples", ("大米", "rice"), ("面条", "noodles"), ("面粉", "flour")),
    ("零食 Snacks", ("薯片", "crisps"), ("巧克力", "chocolate"), ("坚果", "nuts")),
    ("家居 Household", ("纸巾", "tissues"), ("洗衣液", "detergent"), ("电池", "batteries")),
)
_GIFT_WORDS = (("礼盒", "gift box"), ("玩具", "toy"), ("蜡烛", "candle"))


class SeededShop:
    """The source `seeded_shop`; see `sources.Source`."""

    name = NAME

    def __init__(self, key: bytes | None, *, seed: int = SEED, behaviour: Behaviour | None = None) -> None:
        """Keep the seed; rows are made when they are first asked for. Without a key user ids stay raw."""
        self._key, self._seed = key, seed
        self._behaviour = behaviour or Behaviour()

    def catalogue(self) -> pa.Table:
        """All items; fuel is not recommendable."""
        rows = [self._item(position) for position in range(self._behaviour.items)]
        return CATALOGUE.sort(CATALOGUE.check(pa.Table.from_pylist(rows, CATALOGUE.schema), where=NAME))

    def users(self, until: datetime) -> pa.Table:
        """Users with an event before `until`; one in fifty refuses advertising."""
        seen = self._events.filter(pc.less(self._events.column(C.OCCURRED_AT), pa.scalar(until, TIMESTAMP)))
        first = seen.group_by(C.USER_ID).aggregate([(C.OCCURRED_AT, "min")])
        number = {self._user(user): user for user in range(self._behaviour.users)}
        rows = []
        for row in first.to_pylist():
            user = number[row[C.USER_ID]]
            consent = dict.fromkeys(CONSENT_PURPOSES, True) | {"advertise": user % 50 != 0}
            attributes = json.dumps({"age": ("18-34", "35-54", "55+")[user % 3]})
            rows.append(
                {C.USER_ID: row[C.USER_ID], C.ATTRIBUTES: attributes, C.CONSENT: json.dumps(consent), C.FIRST_SEEN_AT: row[f"{C.OCCURRED_AT}_min"]}
            )
        return USERS.sort(USERS.check(pa.Table.from_pylist(rows, USERS.schema), where=NAME))

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """Events with since <= occurred_at < until, month by month; bad rows are in."""
        occurred_at = self._events.column(C.OCCURRED_AT)
        for batch in month_batches(NAME, max(since or START, START), min(until, END)):
            inside = pc.and_(pc.greater_equal(occurred_at, pa.scalar(batch.start, TIMESTAMP)), pc.less(occurred_at, pa.scalar(batch.end, TIMESTAMP)))
            rows = self._events.filter(inside)
            if rows.num_rows:
                yield batch.batch_id, rows

    @cached_property
    def _events(self) -> pa.Table:
        start, end, shift_at = (round(moment.timestamp() * 1_000_000) for moment in (START, END, SHIFT_AT))
        names = [self._user(user) for user in range(self._behaviour.users)]
        rows: list[dict[str, Any]] = []
        for line in simulate(self._behaviour, self._seed, start, end, shift_at):
            session = f"s{line.user:04d}{line.trip:03d}"
            at = datetime.fromtimestamp(line.at / 1_000_000, UTC)
            row: dict[str, Any] = {
                C.EVENT_ID: f"{session}-{len(rows):06d}",
                C.USER_ID: names[line.user],
                C.SESSION_ID: session,
                C.ITEM_ID: _item_id(line.item),
            }
            row |= {C.EVENT_TYPE: line.kind, C.OCCURRED_AT: at, C.RECEIVED_AT: at, C.ORIGIN: NAME, C.PLACE: f"shop-{line.user % 4}"}
            rows.append(row | self._money(line) | {C.QUERY: None if line.query_of is None else self._words(line.query_of)[0]})
        return EVENTS.sort(EVENTS.check(pa.Table.from_pylist(rows, EVENTS.schema), where=NAME))

    def _money(self, line: Line) -> dict[str, Any]:
        if line.kind != PURCHASE or line.quantity is None:
            return {}
        units = 1 if line.quantity >= 1000 else line.quantity
        return {C.QUANTITY: line.quantity, C.PRICE_MINOR: units * self._price(max(line.item or 0, 0)), C.CURRENCY: "CNY"}

    def _item(self, position: int) -> dict[str, Any]:
        category, words = self._category(position), self._words(position)
        title = f"{words[1]} no. {position}" if position % 3 >= _ENGLISH_FROM else f"{words[0]} {position} 号"
        return {
            C.ITEM_ID: _item_id(position),
            C.TITLE: title,
            C.BRAND: f"brand {position % 17}",
            C.CATEGORY_PATH: f"{category} > {words[0]} {words[1]}",
            C.PRICE_MINOR: self._price(position),
            C.CURRENCY: "CNY",
            C.ATTRIBUTES: json.dumps({"size": f"{1 + position % 5}"}),
            C.AVAILABLE: True,
            C.RECOMMENDABLE: position not in self._behaviour.fuel,
        }

    def _category(self, position: int) -> str:
        if position in self._behaviour.fuel:
            return FUEL
        return GIFTS if position >= self._behaviour.items - self._behaviour.gifts else _CATEGORIES[position % len(_CATEGORIES)][0]

    def _words(self, position: int) -> tuple[str, str]:
        if position in self._behaviour.fuel:
            return ("汽油", "petrol")
        if position >= self._behaviour.items - self._behaviour.gifts:
            return _GIFT_WORDS[position % 3]
        names = _CATEGORIES[position % len(_CATEGORIES)][1:]
        return names[position // len(_CATEGORIES) % 3]

    def _price(self, position: int) -> int:
        return self._prices[position]

    @cached_property
    def _prices(self) -> list[int]:
        prices: list[int] = np.random.default_rng([self._seed, 1]).integers(150, 6000, self._behaviour.items).tolist()
        return prices

    def _user(self, user: int) -> str:
        raw = f"shopper-{user:04d}"
        return raw if self._key is None else pseudonym(raw, self._key)


def _item_id(position: int | None) -> str | None:
    if position is None:
        return None
    return "item-gone" if position < 0 else f"item-{position:04d}"
