"""What a shop asks for: slates for somebody, slates that belong to items, scores, a home page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from bentos.live.segments import LONGEST_WORD
from bentos.routes.events import EVENT_FIELDS, masked
from bentos.slates.asking import HomeRequest, ItemsRequest, ScoreRequest, Shelf, Shopper, SlateRequest
from bentos.slates.shoppers import HISTORY_UNAVAILABLE, NO_CONSENT
from bentos.slates.slating import MODEL_FAILED
from bentos.tracing import note
from bentos.web.endpoints import READ, Asked, Endpoint
from bentos.web.fields import INT64, Field, Record, Schema, identifier, integer, list_of, number, object_schema, pattern, text, truth
from bentos.web.problems import Answer, answer
from footfall.contracts import C
from footfall.core.explanations import CITED, EXPLAINED
from footfall.core.parts import NO_HISTORY, SCORES_NOT_FINITE
from footfall.core.slate_maker import UNKNOWN_ITEM
from footfall.core.slates import MAX_K, NOTHING_PASSES, Filters
from footfall.home import BECAUSE, BUY_AGAIN, CATEGORY, FOR_YOU, POPULAR
from footfall.rules import PLACES
from footfall.store.arms import CANARY, CHAMPION

T = TypeVar("T")

MAX_INLINE_EVENTS = 200
MAX_ITEMS = 1000
MAX_WORDS = 100
MAX_ROWS = 12

DEGRADED = (NO_HISTORY, HISTORY_UNAVAILABLE, NO_CONSENT, MODEL_FAILED, SCORES_NOT_FINITE, NOTHING_PASSES, UNKNOWN_ITEM)
"""Why a slate may not be what was asked for."""

_ITEM = identifier(128)

INLINE_EVENT = Record(
    "InlineEvent", {name: EVENT_FIELDS[name] for name in (C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.QUERY, C.DURATION_S)}, (C.EVENT_TYPE,)
)
FILTERS = Record(
    "Filters",
    {
        "categories": list_of(text(512), MAX_WORDS).said("Paths; an item lies in one of them or below"),
        "brands": list_of(_ITEM, MAX_WORDS).said("An item is of one of them"),
        "price_from": integer(0, INT64).said("In minor units, included"),
        "price_to": integer(0, INT64).said("In minor units, included"),
        C.CURRENCY: pattern(r"[A-Z]{3}", "three capital letters, like USD").said("Of the prices"),
        "in_stock": truth().said("Only what can be had"),
    },
)

_SHOPPER: dict[str, Field] = {
    C.USER_ID: identifier(128),
    "events": list_of(INLINE_EVENT.field().then(masked), MAX_INLINE_EVENTS).said("Read together with the stored history"),
    "segments": list_of(text(LONGEST_WORD), MAX_WORDS).said("Segments that the shopper is in, beside those of the user's attributes"),
}
_SHELF: dict[str, Field] = {
    "k": integer(1, MAX_K).said("Positions", default=10),
    C.PLACE: identifier(128).said(f"Where the slate stands, for merchant rules: {', '.join(PLACES)}; in the cart, what lies there is context"),
    "exclude": list_of(_ITEM, MAX_ITEMS).said("Items that must not be shown"),
    "filters": FILTERS.field().then(lambda found: Filters(**found)).said("By what the shop has said of its items"),
    "diversity": number(0, 1).said("0: the ranking as it is; 1: as unlike as the best candidates allow", default=0),
}

RECOMMEND = Record(
    "RecommendRequest",
    {
        **_SHOPPER,
        **_SHELF,
        "context_item_id": _ITEM.said("The item that stands on the page: the slate leans to what goes with it"),
        "explain": truth().said(f"Say which events carried each of the first {EXPLAINED} items", default=False),
        "exclude_bought": truth().said("Leave out what the user bought before", default=False),
    },
    dated=True,
)
SIMILAR = Record("SimilarRequest", {C.ITEM_ID: _ITEM, **_SHELF}, (C.ITEM_ID,), dated=True)
COMPLEMENTARY = Record(
    "ComplementaryRequest",
    {"item_ids": list_of(_ITEM, MAX_WORDS, shortest=1).said("An item, or a basket"), **_SHELF},
    ("item_ids",),
    dated=True,
)
SCORE = Record("ScoreRequest", {**_SHOPPER, "item_ids": list_of(_ITEM, MAX_ITEMS, shortest=1)}, ("item_ids",), dated=True)
HOME = Record(
    "HomeRequest",
    {
        **_SHOPPER,
        **{name: field for name, field in _SHELF.items() if name != C.PLACE},
        "rows": integer(1, MAX_ROWS).said("The most that are wanted", default=6),
    },
    dated=True,
)

_REQUEST_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_WORDS: Schema = {"type": "array", "items": {"type": "string"}}
_DEGRADED: Schema = {"enum": [None, *DEGRADED]}
_PROBABILITY: Schema = {
    "type": ["number", "null"],
    "minimum": 0,
    "maximum": 1,
    "description": "That the user buys it within seven days; null where that cannot be told",
}
LINE: Schema = {
    "title": "Line",
    **object_schema(
        {
            C.POSITION: {"type": "integer", "minimum": 1, "maximum": MAX_K},
            C.ITEM_ID: {"type": "string"},
            C.SCORE: {"type": "number"},
            C.PROPENSITY: {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "The chance of this item to stand here; 1: nothing was drawn",
            },
            "probability": _PROBABILITY,
            C.REASON: {"type": "string"},
            "rules": {**_WORDS, "description": "Merchant rules that touched it"},
        }
    ),
}
_SLATE: dict[str, Schema] = {
    C.POLICY: {"type": "string"},
    "degraded": _DEGRADED,
    "rules_excluding": {**_WORDS, "description": "Merchant rules that kept an item off the slate"},
    "items": {"type": "array", "maxItems": MAX_K, "items": LINE},
}
_RELEASE: dict[str, Schema] = {C.RELEASE: {"type": "string"}}
_ARM: dict[str, Schema] = {C.ARM: {"enum": [CHAMPION, CANARY], "description": "Whose slate: a canary answers always the same users"}}
_CITED: Schema = object_schema(
    {
        C.ITEM_ID: {"type": ["string", "null"]},
        C.EVENT_TYPE: {"type": "string"},
        C.OCCURRED_AT: {"type": "string", "format": "date-time"},
        "share": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Of the fused score that the history alone gives the item, without context, rules and diversity: what goes with the event",
        },
    }
)
_BECAUSE: Schema = object_schema({C.ITEM_ID: {"type": "string"}, "events": {"type": "array", "maxItems": CITED, "items": _CITED}})
_ANSWERED: dict[str, Schema] = {C.REQUEST_ID: _REQUEST_ID, **_RELEASE, **_ARM, **_SLATE}
SLATE: Schema = {
    "title": "RecommendAnswer",
    **object_schema({**_ANSWERED, "because": {"type": "array", "maxItems": EXPLAINED, "items": _BECAUSE}}, tuple(_ANSWERED)),
}
ITEM_SLATE: Schema = {"title": "ItemSlate", **object_schema({**_RELEASE, **_SLATE})}
_SCORED: Schema = object_schema(
    {
        C.ITEM_ID: {"type": "string"},
        C.SCORE: {"type": ["number", "null"], "description": "null: the release does not know it"},
        "probability": _PROBABILITY,
    }
)
SCORES: Schema = {
    "title": "ScoreAnswer",
    **object_schema({**_RELEASE, "degraded": _DEGRADED, "items": {"type": "array", "maxItems": MAX_ITEMS, "items": _SCORED}}),
}
_ROW: Schema = object_schema(
    {
        C.REQUEST_ID: _REQUEST_ID,
        "kind": {"enum": [FOR_YOU, BUY_AGAIN, BECAUSE, CATEGORY, POPULAR]},
        "about": {"type": ["string", "null"], "description": "The item or the category that the row is about"},
        "title": {"type": "string"},
        **_SLATE,
    }
)
PAGE: Schema = {
    "title": "HomeAnswer",
    **object_schema({**_RELEASE, **_ARM, "degraded": _DEGRADED, "rows": {"type": "array", "maxItems": MAX_ROWS, "items": _ROW}}),
}


def slate_request(asked: Asked) -> SlateRequest:
    """From the fields of RECOMMEND."""
    context = asked.body.get("context_item_id")
    return SlateRequest(_shopper(asked), _shelf(asked.body, [] if context is None else [context]), asked.body.get("explain", False))


def _shopper(asked: Asked) -> Shopper:
    user_id = asked.body.get(C.USER_ID)
    pseudonym = None if user_id is None else asked.parts.pseudonymise(user_id)
    return Shopper(pseudonym, asked.at_us, asked.body.get("events", []), frozenset(asked.body.get("segments", [])))


def _shelf(body: dict[str, Any], context: list[str]) -> Shelf:
    return Shelf(
        k=body.get("k", 10),
        place=body.get(C.PLACE),
        exclude=body.get("exclude", []),
        filters=body.get("filters"),
        unbought=body.get("exclude_bought", False),
        diversity=body.get("diversity", 0.0),
        context=context,
    )


async def _answer(asked: Asked, function: Callable[[T], dict[str, Any]], wanted: T) -> Answer:
    return _said(await asked.in_thread(function, wanted))


def _said(found: dict[str, Any]) -> Answer:
    note(release=found["release"], arm=found.get("arm"), degraded=found["degraded"])
    return answer(found, release=found["release"])


async def _recommend(asked: Asked) -> Answer:
    request, answering = slate_request(asked), asked.parts.answering
    return _said(answering.recommend(request)) if answering.at_once(request) else await _answer(asked, answering.recommend, request)


async def _similar(asked: Asked) -> Answer:
    wanted = ItemsRequest([asked.body[C.ITEM_ID]], asked.at_us, _shelf(asked.body, []))
    return await _answer(asked, asked.parts.answering.similar, wanted)


async def _complementary(asked: Asked) -> Answer:
    wanted = ItemsRequest(asked.body["item_ids"], asked.at_us, _shelf(asked.body, []))
    return await _answer(asked, asked.parts.answering.complementary, wanted)


async def _score(asked: Asked) -> Answer:
    return await _answer(asked, asked.parts.answering.score, ScoreRequest(_shopper(asked), asked.body["item_ids"]))


async def _home(asked: Asked) -> Answer:
    wanted = HomeRequest(_shopper(asked), _shelf({**asked.body, C.PLACE: "home"}, []), asked.body.get("rows", 6))
    return await _answer(asked, asked.parts.answering.home, wanted)


_SAYS = "`degraded` says when it is not what was asked for"
ENDPOINTS = (
    Endpoint(
        "POST", "/v1/recommend", READ, "A slate for a user, or for nobody in particular", _recommend, {200: (f"A slate; {_SAYS}", SLATE)}, RECOMMEND
    ),
    Endpoint("POST", "/v1/similar", READ, "What may be bought in the place of an item", _similar, {200: (f"A slate; {_SAYS}", ITEM_SLATE)}, SIMILAR),
    Endpoint(
        "POST",
        "/v1/complementary",
        READ,
        "What is bought with an item or a basket",
        _complementary,
        {200: (f"A slate; {_SAYS}", ITEM_SLATE)},
        COMPLEMENTARY,
    ),
    Endpoint("POST", "/v1/score", READ, "How some items stand with a user", _score, {200: ("In the order that was asked", SCORES)}, SCORE),
    Endpoint("POST", "/v1/home", READ, "A home page: titled rows, the most promising first", _home, {200: ("The rows", PAGE)}, HOME),
)
