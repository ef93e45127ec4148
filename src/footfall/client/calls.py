"""What can be asked: the endpoint of each method, and how its arguments become a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

CALLS: Final = {
    "recommend": ("POST", "/v1/recommend"),
    "similar": ("POST", "/v1/similar"),
    "complementary": ("POST", "/v1/complementary"),
    "score": ("POST", "/v1/score"),
    "home": ("POST", "/v1/home"),
    "send_events": ("POST", "/v1/events"),
    "put_items": ("PUT", "/v1/items"),
    "put_users": ("PUT", "/v1/users"),
    "put_relations": ("PUT", "/v1/relations"),
    "put_campaigns": ("PUT", "/v1/campaigns"),
    "erase_user": ("DELETE", "/v1/users/{user_id}"),
    "rules": ("GET", "/v1/rules"),
    "put_rules": ("PUT", "/v1/rules"),
    "remove_rule": ("DELETE", "/v1/rules/{rule_id}"),
    "rule_changes": ("GET", "/v1/rules/changes"),
    "release": ("GET", "/v1/release"),
    "document": ("GET", "/v1/openapi.json"),
}
"""Each method, and the endpoint that it asks."""

Event = Mapping[str, Any]
Moment = datetime | str


@dataclass(frozen=True)
class Filters:
    """What the items of a slate must be, by what the shop has said of them; what is None does not narrow it.

    Attributes:
        categories: paths; an item lies in one of them or below.
        brands: an item is of one of them.
        price_from, price_to: in minor units of `currency`, both included.
        in_stock: only what can be had.
    """

    categories: Sequence[str] | None = None
    brands: Sequence[str] | None = None
    price_from: int | None = None
    price_to: int | None = None
    currency: str | None = None
    in_stock: bool | None = None


def body_of(**fields: Any) -> dict[str, Any]:
    """The fields that were given."""
    found = {name: value for name, value in fields.items() if value is not None}
    if isinstance(filters := found.get("filters"), Filters):
        found["filters"] = {name: value for name, value in asdict(filters).items() if value is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
