"""What the shop says of its items, as arrays by item_index: brand, category, price, stock. Filters, rules and neighbours read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from footfall.contracts import C
from footfall.core.metrics import Bools
from footfall.core.sequences import Int32, Int64
from footfall.core.vocabulary import Vocabulary

PATH = " > "
"""What stands between the levels of a `category_path`."""
NO_PRICE = -1
_ALWAYS = np.iinfo(np.int64).min
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class CatalogueFacts:
    """Facts of the V items of a vocabulary; position j is item_index j + 1. Code 0 says that nothing is known.

    Attributes:
        known: (V,) whether the catalogue has the item at all; an item that it lacks has no facts.
        brand: (V,) codes; code c is `brands[c - 1]`.
        category: (V, L) codes of the path down to each level, 0 below its end; code c is `categories[c - 1]`, a whole path from the top.
        price_minor: (V,) in minor units of the item's currency, NO_PRICE where there is none.
        currency: (V,) codes; code c is `currencies[c - 1]`.
        available: (V,) whether it can be had.
        available_from: (V,) microseconds since the epoch; the smallest number where nothing is said.
        recommendable: (V,) whether it may stand on a slate.
        titles: (V,) "" where there is none.
        brands, categories, currencies: what the codes say.
    """

    known: Bools
    brand: Int32
    category: Int32
    price_minor: Int64
    currency: Int32
    available: Bools
    available_from: Int64
    recommendable: Bools
    titles: tuple[str, ...]
    brands: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()

    def __len__(self) -> int:
        """V."""
        return len(self.known)

    @cached_property
    def showable(self) -> Bools | None:
        """(V,) items that may stand on a slate; None: all. Those that the catalogue has and does not recommend may not; one that it lacks may."""
        showable = ~self.known | self.recommendable
        return None if showable.all() else showable

    def in_category(self, path: str) -> Bools:
        """(V,) items whose category is `path` or lies below it, level by level: "A > B" does not hold "A > Bananas"."""
        parts = _levels(path)
        if not parts or len(parts) > self.category.shape[1]:
            return np.zeros(len(self), np.bool_)
        return _coded(self.category[:, len(parts) - 1], PATH.join(parts), self.categories)

    def of_brand(self, brand: str) -> Bools:
        """(V,) items of one brand, spelt as in the catalogue."""
        return _coded(self.brand, brand, self.brands)

    def in_currency(self, currency: str) -> Bools:
        """(V,) items that are priced in one currency."""
        return _coded(self.currency, currency, self.currencies)

    def to_be_had(self, at: int) -> Bools:
        """(V,) items that are in stock at a moment (microseconds): available, and not first from a later moment on."""
        return self.available & (self.available_from <= at)

    def category_at(self, levels: int) -> Int32:
        """(V,) code of each item's category, no deeper than so many levels; 0 where nothing is known."""
        shallow = self.category[:, : max(levels, 1)]
        depth = np.count_nonzero(shallow, axis=1)
        return np.where(depth > 0, shallow[np.arange(len(self)), np.maximum(depth, 1) - 1], 0).astype(np.int32)


def catalogue_facts(vocabulary: Vocabulary, rows: Iterable[Mapping[str, Any]]) -> CatalogueFacts:
    """Facts from rows of CATALOGUE, of a table or of the live store; rows of items outside the vocabulary are passed over.

    Args:
        vocabulary: V items.
        rows: column -> value; of two rows of one item the later counts. Columns that may be null may be missing.

    Returns:
        Facts whose codes count the distinct values in the order of their spelling: the same rows in another order give the same arrays.

    Raises:
        KeyError: a row lacks a required column.
    """
    by_item: dict[str, Mapping[str, Any]] = {row[C.ITEM_ID]: row for row in rows if row[C.ITEM_ID] in vocabulary}
    told = [by_item.get(item_id) for item_id in vocabulary.item_ids]
    brand, brands = _codes([None if row is None else row.get(C.BRAND) for row in told])
    currency, currencies = _codes([None if row is None else row.get(C.CURRENCY) for row in told])
    paths = [() if row is None else _levels(row[C.CATEGORY_PATH]) for row in told]
    width = max([1, *map(len, paths)])
    flat, categories = _codes([PATH.join(path[: level + 1]) if level < len(path) else None for path in paths for level in range(width)])
    return CatalogueFacts(
        known=np.array([row is not None for row in told], np.bool_),
        brand=brand,
        category=flat.reshape(len(told), width),
        price_minor=np.array([NO_PRICE if row is None else _or(row.get(C.PRICE_MINOR), NO_PRICE) for row in told], np.int64),
        currency=currency,
        available=np.array([row is not None and bool(row[C.AVAILABLE]) for row in told], np.bool_),
        available_from=np.array([_ALWAYS if row is None else _or(_moment(row.get(C.AVAILABLE_FROM)), _ALWAYS) for row in told], np.int64),
        recommendable=np.array([row is not None and bool(row[C.RECOMMENDABLE]) for row in told], np.bool_),
        titles=tuple("" if row is None else str(row[C.TITLE]) for row in told),
        brands=brands,
        categories=categories,
        currencies=currencies,
    )


def _levels(path: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (path or "").split(PATH.strip()) if part.strip())


def _codes(values: Sequence[str | None]) -> tuple[Int32, tuple[str, ...]]:
    """(N,) codes from 1 on, 0 for nothing, and what they say."""
    names = tuple(sorted({value for value in values if value}))
    look_up = {name: code for code, name in enumerate(names, 1)}
    return np.array([look_up[value] if value else 0 for value in values], np.int32), names


def _coded(codes: Int32, name: str, names: tuple[str, ...]) -> Bools:
    found: Bools = codes == names.index(name) + 1 if name in names else np.zeros(len(codes), np.bool_)
    return found


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _moment(value: datetime | int | None) -> int | None:
    """Microseconds since the epoch of a moment, which tables give with its zone and the store as a number."""
    if value is None or isinstance(value, int):
        return value
    return (value - datetime.fromtimestamp(0, value.tzinfo)) // _MICROSECOND
