"""Every table that crosses a boundary: column names, types, key, order and version.

This is the glossary that all other modules speak: a column is written `C.USER_ID`, never "user_id".
A contract checks shape only (names, types, nulls in required columns, unique keys). Content (ranges, rates, reference sets)
belongs to `expectations/`, movement to `monitoring/`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from footfall.errors import ContractError


class C:
    """Column names, one constant each; the same name means the same thing in every table."""

    EVENT_ID: Final = "event_id"
    USER_ID: Final = "user_id"
    SESSION_ID: Final = "session_id"
    ITEM_ID: Final = "item_id"
    ITEM_INDEX: Final = "item_index"
    EVENT_TYPE: Final = "event_type"
    OCCURRED_AT: Final = "occurred_at"
    RECEIVED_AT: Final = "received_at"
    QUANTITY: Final = "quantity"
    PRICE_MINOR: Final = "price_minor"
    CURRENCY: Final = "currency"
    QUERY: Final = "query"
    QUERY_INDEX: Final = "query_index"
    RATING: Final = "rating"
    TEXT: Final = "text"
    DURATION_S: Final = "duration_s"
    PLACE: Final = "place"
    DEVICE: Final = "device"
    CAMPAIGN_ID: Final = "campaign_id"
    REQUEST_ID: Final = "request_id"
    POSITION: Final = "position"
    ORIGIN: Final = "origin"
    TITLE: Final = "title"
    DESCRIPTION: Final = "description"
    BRAND: Final = "brand"
    CATEGORY_PATH: Final = "category_path"
    IMAGE: Final = "image"
    ATTRIBUTES: Final = "attributes"
    AVAILABLE_FROM: Final = "available_from"
    AVAILABLE: Final = "available"
    RECOMMENDABLE: Final = "recommendable"
    CONSENT: Final = "consent"
    FIRST_SEEN_AT: Final = "first_seen_at"
    SCORE: Final = "score"
    PROPENSITY: Final = "propensity"
    POLICY: Final = "policy"
    REASON: Final = "reason"
    SHOWN_AT: Final = "shown_at"
    RELEASE: Final = "release"
    ARM: Final = "arm"
    OTHER_USER_ID: Final = "other_user_id"
    KIND: Final = "kind"
    SINCE: Final = "since"
    STARTS: Final = "starts"
    ENDS: Final = "ends"
    ITEMS: Final = "items"


EVENT_TYPES: Final = ("search", "impression", "view", "cart", "purchase", "review", "return")
"""Event types in the order of their codes in SEQUENCES: code = position in this tuple."""

PURCHASE: Final = "purchase"
LIVE_ORIGIN: Final = "http"
"""Origin of events that came in by HTTP: they alone are exported from the live store to raw batches, once."""

CONSENT_PURPOSES: Final = ("personalise", "analyse", "advertise")
PERSONALISE: Final = "personalise"
ANALYSE: Final = "analyse"
ADVERTISE: Final = "advertise"
TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
"""All moments are UTC, in microseconds; as integers they are microseconds since the epoch."""


@dataclass(frozen=True)
class Contract:
    """Shape of one table: an Arrow schema (non-nullable fields are required), a key that is unique, and a total order."""

    name: str
    version: int
    schema: pa.Schema
    key: tuple[str, ...]
    order: tuple[str, ...]

    def check(self, table: pa.Table, *, where: object = None) -> pa.Table:
        """Return `table` with exactly this contract's columns and types, or raise `ContractError` naming the first fault.

        Optional columns that are missing are added as nulls; a column that the contract does not know is a fault.
        """
        where = where or self.name
        known = set(self.schema.names)
        if extra := [name for name in table.column_names if name not in known]:
            raise ContractError(f"unknown column in {self.name}", where=where, expected=", ".join(self.schema.names), found=", ".join(extra))
        columns = []
        for field in self.schema:
            if field.name not in table.column_names:
                if not field.nullable:
                    raise ContractError(
                        f"required column missing from {self.name}", where=where, expected=field.name, found=", ".join(table.column_names)
                    )
                columns.append(pa.nulls(table.num_rows, field.type))
                continue
            columns.append(self._cast(table.column(field.name), field, where))
        return pa.table(columns, schema=self.schema)

    def _cast(self, column: pa.ChunkedArray, field: pa.Field, where: object) -> pa.ChunkedArray:
        try:
            cast = column if column.type == field.type else column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ContractError(f"wrong type in {self.name}.{field.name}", where=where, expected=field.type, found=column.type) from error
        if not field.nullable and cast.null_count:
            raise ContractError(f"missing values in {self.name}.{field.name}", where=where, expected="no nulls", found=f"{cast.null_count} nulls")
        return cast

    def sort(self, table: pa.Table) -> pa.Table:
        """Put `table` into this contract's total order."""
        return table.sort_by([(name, "ascending") for name in self.order])

    def check_key(self, table: pa.Table, *, where: object = None) -> None:
        """Raise `ContractError` when two rows share the key."""
        distinct = table.select(list(self.key)).group_by(list(self.key)).aggregate([]).num_rows
        if distinct != table.num_rows:
            raise ContractError(f"key of {self.name} is not unique", where=where, expected=f"{table.num_rows} distinct {self.key}", found=distinct)


def _schema(required: dict[str, pa.DataType], optional: dict[str, pa.DataType], names: list[str]) -> pa.Schema:
    return pa.schema([pa.field(name, required.get(name) or optional[name], nullable=name not in required) for name in names])


_S, _I32, _I64, _F = pa.string(), pa.int32(), pa.int64(), pa.float64()

EVENTS: Final = Contract(
    "events",
    1,
    _schema(
        {C.EVENT_ID: _S, C.USER_ID: _S, C.EVENT_TYPE: _S, C.OCCURRED_AT: TIMESTAMP, C.RECEIVED_AT: TIMESTAMP, C.ORIGIN: _S},
        {C.SESSION_ID: _S, C.ITEM_ID: _S, C.QUANTITY: _I64, C.PRICE_MINOR: _I64, C.CURRENCY: _S, C.QUERY: _S, C.RATING: _F, C.TEXT: _S}
        | {C.DURATION_S: _F, C.PLACE: _S, C.DEVICE: _S, C.CAMPAIGN_ID: _S, C.REQUEST_ID: _S, C.POSITION: _I32},
        [C.EVENT_ID, C.USER_ID, C.SESSION_ID, C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.RECEIVED_AT, C.QUANTITY, C.PRICE_MINOR, C.CURRENCY]
        + [C.QUERY, C.RATING, C.TEXT, C.DURATION_S, C.PLACE, C.DEVICE, C.CAMPAIGN_ID, C.REQUEST_ID, C.POSITION, C.ORIGIN],
    ),
    key=(C.EVENT_ID,),
    order=(C.USER_ID, C.OCCURRED_AT, C.EVENT_ID),
)
"""One behaviour of one user. `price_minor` is the amount of the whole line, in minor units of `currency`."""

CATALOGUE: Final = Contract(
    "catalogue",
    1,
    _schema(
        {C.ITEM_ID: _S, C.TITLE: _S, C.CATEGORY_PATH: _S, C.ATTRIBUTES: _S, C.AVAILABLE: pa.bool_(), C.RECOMMENDABLE: pa.bool_()},
        {C.DESCRIPTION: _S, C.BRAND: _S, C.PRICE_MINOR: _I64, C.CURRENCY: _S, C.IMAGE: _S, C.AVAILABLE_FROM: TIMESTAMP},
        [C.ITEM_ID, C.TITLE, C.DESCRIPTION, C.BRAND, C.CATEGORY_PATH, C.PRICE_MINOR, C.CURRENCY, C.IMAGE, C.ATTRIBUTES]
        + [C.AVAILABLE_FROM, C.AVAILABLE, C.RECOMMENDABLE],
    ),
    key=(C.ITEM_ID,),
    order=(C.ITEM_ID,),
)
"""What the shop sells. `category_path` is "department > category > type"; `attributes` is a JSON object as text."""

USERS: Final = Contract(
    "users",
    1,
    _schema({C.USER_ID: _S, C.ATTRIBUTES: _S, C.CONSENT: _S, C.FIRST_SEEN_AT: TIMESTAMP}, {}, [C.USER_ID, C.ATTRIBUTES, C.CONSENT, C.FIRST_SEEN_AT]),
    key=(C.USER_ID,),
    order=(C.USER_ID,),
)
"""Who shops. `attributes` is a JSON object; `consent` a JSON object from purpose to true or false."""

RELATIONS: Final = Contract(
    "relations",
    1,
    _schema(
        {C.USER_ID: _S, C.OTHER_USER_ID: _S, C.KIND: _S, C.SINCE: TIMESTAMP},
        {},
        [C.USER_ID, C.OTHER_USER_ID, C.KIND, C.SINCE],
    ),
    key=(C.USER_ID, C.OTHER_USER_ID, C.KIND),
    order=(C.USER_ID, C.OTHER_USER_ID, C.KIND),
)
"""Who belongs to whom: `kind` is "household" or "friend". Either is mutual and has a row in each direction."""

CAMPAIGNS: Final = Contract(
    "campaigns",
    1,
    _schema(
        {C.CAMPAIGN_ID: _S, C.KIND: _S, C.STARTS: TIMESTAMP, C.ENDS: TIMESTAMP, C.ITEMS: _S},
        {},
        [C.CAMPAIGN_ID, C.KIND, C.STARTS, C.ENDS, C.ITEMS],
    ),
    key=(C.CAMPAIGN_ID,),
    order=(C.CAMPAIGN_ID,),
)
"""What the shop advertised, with starts <= t < ends. `items` is a JSON array of item ids."""

VOCABULARY: Final = Contract(
    "vocabulary",
    1,
    _schema({C.ITEM_INDEX: _I32, C.ITEM_ID: _S}, {}, [C.ITEM_INDEX, C.ITEM_ID]),
    key=(C.ITEM_INDEX,),
    order=(C.ITEM_INDEX,),
)
"""item_id <-> item_index, 1 upward without gaps; 0 means "no item"."""

QUERIES: Final = Contract(
    "queries",
    1,
    _schema({C.QUERY_INDEX: _I32, C.QUERY: _S}, {}, [C.QUERY_INDEX, C.QUERY]),
    key=(C.QUERY_INDEX,),
    order=(C.QUERY_INDEX,),
)
"""Normalised query text <-> query_index, 1 upward without gaps; 0 means "no query that is known". Only what enough users searched for."""

EXPOSURES: Final = Contract(
    "exposures",
    1,
    _schema(
        {C.REQUEST_ID: _S, C.POSITION: _I32, C.ITEM_ID: _S, C.SCORE: _F, C.PROPENSITY: _F, C.POLICY: _S, C.REASON: _S}
        | {C.SHOWN_AT: TIMESTAMP, C.RELEASE: _S, C.ARM: _S},
        {C.USER_ID: _S},
        [C.REQUEST_ID, C.POSITION, C.ITEM_ID, C.SCORE, C.PROPENSITY, C.POLICY, C.REASON, C.USER_ID, C.SHOWN_AT, C.RELEASE, C.ARM],
    ),
    key=(C.REQUEST_ID, C.POSITION),
    order=(C.SHOWN_AT, C.REQUEST_ID, C.POSITION),
)
"""A slate returned, a row a position (position 1 is the top). Anonymous requests have no user_id."""

CONTRACTS: Final = {contract.name: contract for contract in (EVENTS, CATALOGUE, USERS, RELATIONS, CAMPAIGNS, VOCABULARY, QUERIES, EXPOSURES)}


def event_type_codes(event_types: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Map event types to their codes (int8); an unknown type becomes null."""
    return pc.index_in(event_types, value_set=pa.array(EVENT_TYPES)).cast(pa.int8())


def refusing_users(users: pa.Table, purpose: str) -> pa.Table:
    """One column user_id: those of USERS whose consent says no to `purpose` (one of CONSENT_PURPOSES)."""
    rows = users.select([C.USER_ID, C.CONSENT]).to_pylist()
    refusing = [row[C.USER_ID] for row in rows if not json.loads(row[C.CONSENT]).get(purpose, True)]
    return pa.table({C.USER_ID: pa.array(refusing, pa.string())})
