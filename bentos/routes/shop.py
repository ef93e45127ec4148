"""What the shop's own systems tell: items, users, relations, campaigns. The last word about a thing counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from bentos.routes.batches import Batch
from bentos.web.bodies import describe
from bentos.web.endpoints import ADMIN, WRITE, Asked, Endpoint
from bentos.web.fields import (
    INT64,
    Field,
    Record,
    Schema,
    UnfitError,
    identifier,
    integer,
    list_of,
    moment,
    object_schema,
    one_of,
    pattern,
    text,
    truth,
)
from bentos.web.problems import Answer, answer
from footfall.contracts import CAMPAIGNS, CATALOGUE, CONSENT_PURPOSES, RELATIONS, USERS, C
from footfall.identifiers import mask_attributes
from footfall.store import consent, shop_campaigns, shop_items, shop_relations, shop_users
from footfall.store.certificates import erase_from_store
from footfall.store.moments import from_us

MAX_ATTRIBUTES_BYTES = 16_384
MAX_CAMPAIGN_ITEMS = 10_000
_DEEPEST = 8
SOURCE = "http"
"""Source of a word about consent that came by this door."""


def attributes() -> Field:
    """A JSON object of so many bytes, not nested too deep."""
    expected = f"an object of at most {MAX_ATTRIBUTES_BYTES} bytes, {_DEEPEST} deep, in Unicode"

    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict) or _is_deeper(value, _DEEPEST):
            raise UnfitError(expected, describe(value))
        try:
            size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
        except ValueError as error:  # half of a surrogate pair, or a number that is too large to be one
            raise UnfitError(expected, "text or a number that cannot be kept") from error
        if size > MAX_ATTRIBUTES_BYTES:
            raise UnfitError(expected, f"{size} bytes")
        return value

    return Field({"type": "object"}, read)


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _is_deeper(one, levels - 1) for one in inner)


ITEM = Record(
    "Item",
    {
        C.ITEM_ID: identifier(128),
        C.TITLE: text(512),
        C.DESCRIPTION: text(10_000),
        C.BRAND: identifier(128),
        C.CATEGORY_PATH: text(512).said("From the widest to the narrowest: department > category > type"),
        C.PRICE_MINOR: integer(0, INT64).said("In minor units of the currency"),
        C.CURRENCY: pattern(r"[A-Z]{3}", "three capital letters, like USD"),
        C.IMAGE: text(2048).said("Kept as it is; nothing is ever fetched from it"),
        C.ATTRIBUTES: attributes(),
        C.AVAILABLE_FROM: moment(),
        C.AVAILABLE: truth().said("In stock", default=True),
        C.RECOMMENDABLE: truth().said("Whether it may stand on a slate", default=True),
    },
    (C.ITEM_ID, C.TITLE, C.CATEGORY_PATH),
)

CONSENT = Record("Consent", {purpose: truth() for purpose in CONSENT_PURPOSES})

USER = Record(
    "User",
    {
        C.USER_ID: identifier(128).said("The shop's own id; kept as a pseudonym"),
        C.ATTRIBUTES: attributes().said("The whole object; without it, what is known stays. What names a person is left out"),
        C.CONSENT: CONSENT.field().said("Said now; purposes that are not named stay as they are"),
        C.FIRST_SEEN_AT: moment().said("Since when the shop knows the user"),
    },
    (C.USER_ID,),
)

RELATION = Record(
    "Relation",
    {C.USER_ID: identifier(128), C.OTHER_USER_ID: identifier(128), C.KIND: one_of(shop_relations.KINDS).said("Mutual"), C.SINCE: moment()},
    (C.USER_ID, C.OTHER_USER_ID, C.KIND, C.SINCE),
)

CAMPAIGN = Record(
    "Campaign",
    {
        C.CAMPAIGN_ID: identifier(128),
        C.KIND: identifier(64),
        C.STARTS: moment(),
        C.ENDS: moment().said("It runs while starts <= t < ends"),
        C.ITEMS: list_of(identifier(128), MAX_CAMPAIGN_ITEMS),
    },
    (C.CAMPAIGN_ID, C.KIND, C.STARTS, C.ENDS, C.ITEMS),
)


def _item(found: dict[str, Any], _asked: Asked) -> dict[str, Any]:
    written = json.dumps(found.get(C.ATTRIBUTES, {}), sort_keys=True, ensure_ascii=False)
    return {C.AVAILABLE: True, C.RECOMMENDABLE: True, **found, C.ATTRIBUTES: written}


def _keep_items(rows: list[dict[str, Any]], asked: Asked) -> None:
    asked.parts.answering.store.call(shop_items.put, pa.Table.from_pylist(rows, CATALOGUE.schema), from_us(asked.at_us))
    asked.parts.answering.shop_window.look()


def _user(found: dict[str, Any], asked: Asked) -> dict[str, Any]:
    found[C.USER_ID] = asked.parts.pseudonymise(found[C.USER_ID])
    if C.ATTRIBUTES in found:
        # direct identifiers are taken out before anything is kept
        found[C.ATTRIBUTES] = json.loads(mask_attributes(json.dumps(found[C.ATTRIBUTES], ensure_ascii=False)))
    return found


def _keep_users(rows: list[dict[str, Any]], asked: Asked) -> None:
    """Consent first: a no must not wait for anything."""
    at, store = from_us(asked.at_us), asked.parts.answering.store
    said = [
        {C.USER_ID: row[C.USER_ID], C.ATTRIBUTES: "{}", C.CONSENT: json.dumps(row[C.CONSENT]), C.FIRST_SEEN_AT: at}
        for row in rows
        if row.get(C.CONSENT)
    ]
    if said:
        store.call(consent.record, pa.Table.from_pylist(said, USERS.schema), recorded_at=at, source=SOURCE)
    told = [shop_users.Told(row[C.USER_ID], row.get(C.ATTRIBUTES), None if (us := row.get(C.FIRST_SEEN_AT)) is None else from_us(us)) for row in rows]
    store.call(shop_users.put, told, at)


def _relation(found: dict[str, Any], asked: Asked) -> dict[str, Any]:
    if found[C.USER_ID] == found[C.OTHER_USER_ID]:
        raise UnfitError("another user", "the same user", C.OTHER_USER_ID)
    return found | {name: asked.parts.pseudonymise(found[name]) for name in (C.USER_ID, C.OTHER_USER_ID)}


def _keep_relations(rows: list[dict[str, Any]], asked: Asked) -> None:
    asked.parts.answering.store.call(shop_relations.put, pa.Table.from_pylist(rows, RELATIONS.schema), from_us(asked.at_us))


def _campaign(found: dict[str, Any], _asked: Asked) -> dict[str, Any]:
    if found[C.STARTS] >= found[C.ENDS]:
        raise UnfitError("a moment after starts", "an earlier moment", C.ENDS)
    return found | {C.ITEMS: json.dumps(found[C.ITEMS], ensure_ascii=False)}


def _keep_campaigns(rows: list[dict[str, Any]], asked: Asked) -> None:
    asked.parts.answering.store.call(shop_campaigns.put, pa.Table.from_pylist(rows, CAMPAIGNS.schema), from_us(asked.at_us))


ERASURE: Schema = {
    "title": "Erasure",
    **object_schema({"erasure_id": {"type": "string"}, "requested_at": {"type": "string", "format": "date-time"}}),
}


async def _erase(asked: Asked) -> Answer:
    user_id = asked.parts.pseudonymise(asked.path[C.USER_ID])
    # now, whatever a replay says: an erasure is the world's, not the log's
    record = await asked.in_thread(asked.parts.answering.store.call, erase_from_store, user_id, datetime.now(UTC))
    return answer({"erasure_id": record.erasure_id, "requested_at": record.requested_at.isoformat()}, 202)


ENDPOINTS = (
    Batch("items", ITEM, _item, _keep_items).endpoint("/v1/items", WRITE, "Tell of items; each replaces what was known of it"),
    Batch("users", USER, _user, _keep_users).endpoint("/v1/users", WRITE, "Tell of users: attributes, consent"),
    Batch("relations", RELATION, _relation, _keep_relations).endpoint("/v1/relations", WRITE, "Tell who belongs to whom"),
    Batch("campaigns", CAMPAIGN, _campaign, _keep_campaigns).endpoint("/v1/campaigns", WRITE, "Tell what is advertised, and when"),
    Endpoint(
        "DELETE",
        f"/v1/users/{{{C.USER_ID}}}",
        ADMIN,
        "Erase a user: gone from the live store at once, from files with the next retrain or `footfall erase --recorded`",
        _erase,
        {202: ("On record", ERASURE)},
        parameters={C.USER_ID: identifier(128)},
    ),
)
