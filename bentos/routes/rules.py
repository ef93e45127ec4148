"""Merchant rules: what holds, who changed it. A change holds from the next request on; other workers hear of it within a second."""

from __future__ import annotations

from typing import Any

from bentos.routes.batches import Batch
from bentos.web.endpoints import ADMIN, Asked, Endpoint
from bentos.web.fields import Record, Schema, UnfitError, identifier, integer, list_of, moment, number, object_schema, one_of, text, truth
from bentos.web.problems import Answer, Problem, answer
from footfall.errors import ContractError
from footfall.rules import KINDS, MAX_FACTOR, MAX_POSITION, MAX_PRIORITY, MAX_WORDS, PLACES, Rule
from footfall.store import rules
from footfall.store.moments import from_us

MAX_CHANGES = 100
_RULE_ID = identifier(64)

RULE = Record(
    "Rule",
    {
        "rule_id": _RULE_ID,
        "kind": one_of(KINDS),
        "items": list_of(identifier(128), MAX_WORDS).said("Matches these; an item must fit all that is named. A pin names one item"),
        "brands": list_of(identifier(128), MAX_WORDS).said("Matches items of these"),
        "categories": list_of(identifier(512), MAX_WORDS).said("Matches items at or below these paths"),
        "position": integer(1, MAX_POSITION).said("Of a pin; 1 is the top"),
        "factor": number(0, MAX_FACTOR).said("Of a boost, above 1; of a bury, below 1 (without one, to the end)"),
        "places": list_of(one_of(PLACES), len(PLACES)).said("Holds for slates there; none: anywhere"),
        "segments": list_of(identifier(256), MAX_WORDS).said("Holds for users with one of these attributes, like tier=gold; none: for everybody"),
        "starts": moment().then(lambda us: from_us(us).isoformat()),
        "ends": moment().then(lambda us: from_us(us).isoformat()),
        "priority": integer(-MAX_PRIORITY, MAX_PRIORITY).said("Higher goes first", default=0),
        "enabled": truth().said("A rule that is not is kept, and does nothing", default=True),
        "note": text(1000).said("Why, for people"),
    },
    ("rule_id", "kind"),
)

_RULES: Schema = {"title": "Rules", **object_schema({"rules": {"type": "array", "maxItems": rules.MAX_RULES, "items": RULE.schema()}})}
_RULE_OR_NOT: Schema = {"anyOf": [RULE.schema(), {"type": "null"}]}
_CHANGE: Schema = object_schema(
    {
        "number": {"type": "integer", "minimum": 1},
        "rule_id": {"type": "string"},
        "who": {"type": "string"},
        "changed_at": {"type": "string", "format": "date-time"},
        "before": _RULE_OR_NOT,
        "after": _RULE_OR_NOT,
    }
)
_CHANGES: Schema = {"title": "RuleChanges", **object_schema({"changes": {"type": "array", "maxItems": MAX_CHANGES, "items": _CHANGE}})}
_REMOVED: Schema = {"title": "RuleRemoved", **object_schema({"removed": {"type": "boolean"}})}


def _rule(found: dict[str, Any], _asked: Asked) -> Rule:
    try:
        return Rule(**found)
    except ContractError as error:
        raise UnfitError(str(error.expected), str(error.found), str(error.where).removeprefix("rule.")) from error


def _keep(told: list[Rule], asked: Asked) -> None:
    try:
        asked.parts.answering.store.call(rules.put, told, who=asked.who, at=from_us(asked.at_us))
        asked.parts.answering.shop_window.look()
    except ContractError as error:
        raise Problem(
            400, "invalid", error.what, where=error.where, expected=error.expected, found=error.found, next_step="DELETE /v1/rules/{rule_id}"
        ) from error


def _as_json(rule: Rule) -> dict[str, Any]:
    """As it was put: what is null may be left out."""
    return {name: value for name, value in rule.as_dict().items() if name != "schema"}


async def _list(asked: Asked) -> Answer:
    found = await asked.in_thread(asked.parts.answering.store.call, rules.list_all)
    return answer({"rules": [_as_json(rule) for rule in found]})


async def _changes(asked: Asked) -> Answer:
    found = await asked.in_thread(asked.parts.answering.store.call, rules.changes, MAX_CHANGES)
    told = [
        {
            "number": one.number,
            "rule_id": one.rule_id,
            "who": one.who,
            "changed_at": one.changed_at.isoformat(),
            "before": None if one.before is None else _as_json(one.before),
            "after": None if one.after is None else _as_json(one.after),
        }
        for one in found
    ]
    return answer({"changes": told})


def _remove_from(asked: Asked) -> bool:
    removed = asked.parts.answering.store.call(rules.remove, asked.path["rule_id"], who=asked.who, at=from_us(asked.at_us))
    asked.parts.answering.shop_window.look()
    return removed


async def _remove(asked: Asked) -> Answer:
    return answer({"removed": await asked.in_thread(_remove_from, asked)})


ENDPOINTS = (
    Endpoint("GET", "/v1/rules", ADMIN, "All rules on record", _list, {200: ("The rules, by id", _RULES)}),
    Batch("rules", RULE, _rule, _keep).endpoint("/v1/rules", ADMIN, "Put rules; each replaces the one with its id"),
    Endpoint(
        "GET",
        "/v1/rules/changes",
        ADMIN,
        f"Who changed which rule: the newest {MAX_CHANGES}",
        _changes,
        {200: ("The changes, newest first", _CHANGES)},
    ),
    Endpoint(
        "DELETE",
        "/v1/rules/{rule_id}",
        ADMIN,
        "Take a rule away",
        _remove,
        {200: ("Whether there was one", _REMOVED)},
        parameters={"rule_id": _RULE_ID},
    ),
)
