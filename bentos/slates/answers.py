"""Slates and what carried them, as the JSON that `bentos.routes.slates` describes."""

from __future__ import annotations

from typing import Any

from footfall.home import Row
from footfall.recommender import POPULARITY, POPULARITY_IN_SEGMENT, Explanation, Scored, Slate
from footfall.store.moments import from_us


def policy_of(slate: Slate) -> str:
    """What ordered the items: a degraded slate's are the popular ones, of the user's segments or of everybody."""
    return slate.policy if slate.degraded is None or slate.policy == POPULARITY_IN_SEGMENT else POPULARITY


def slate_json(slate: Slate, degraded: str | None = None) -> dict[str, Any]:
    """A slate; `degraded` is what was wrong before it was made."""
    items = [
        {
            "position": line.position,
            "item_id": line.item_id,
            "score": line.score,
            "propensity": line.propensity,
            "probability": line.probability,
            "reason": line.reason,
            "rules": list(line.rules),
        }
        for line in slate.items
    ]
    return {"policy": policy_of(slate), "degraded": degraded or slate.degraded, "rules_excluding": list(slate.kept_out), "items": items}


def because_json(explanations: list[Explanation]) -> list[dict[str, Any]]:
    """The events that carried each of the first items."""
    return [
        {
            "item_id": one.item_id,
            "events": [
                {
                    "item_id": event.item_id,
                    "event_type": event.event_type,
                    "occurred_at": from_us(event.occurred_at_us).isoformat(),
                    "share": event.share,
                }
                for event in one.events
            ],
        }
        for one in explanations
    ]


def score_json(item_ids: list[str], scored: Scored) -> list[dict[str, Any]]:
    """The items that were asked for, in their order."""
    chances = scored.chances or [None] * len(item_ids)
    told = zip(item_ids, scored.scores, chances, strict=True)
    return [{"item_id": item_id, "score": score, "probability": chance} for item_id, score, chance in told]


def row_json(row: Row) -> dict[str, Any]:
    """A row of the home page, a slate of its own."""
    return {"request_id": row.request_id, "kind": row.kind, "about": row.about, "title": row.title, **slate_json(row.slate)}
