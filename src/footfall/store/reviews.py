"""Reviews: drift reports that a person may decide on."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.documents import Review
from footfall.errors import StoreError
from footfall.store.engine import reading, writing
from footfall.store.tables import reviews

DECISIONS = ("retrain", "snoozed", "dismissed")


def add(engine: Engine, review: Review) -> Review:
    """Keep a review. One whose id is known stays as it is, decisions included, and is returned."""
    with writing(engine) as connection:
        known = _find(connection, review.review_id)
        if known is not None:
            return known
        connection.execute(sa.insert(reviews).values(**_values(review)))
    return review


def get(engine: Engine, review_id: str) -> Review:
    """One review.

    Raises:
        StoreError: it is unknown.
    """
    with reading(engine) as connection:
        return _get(connection, review_id)


def list_all(engine: Engine) -> list[Review]:
    """All reviews, oldest first."""
    query = sa.select(reviews.c.document).order_by(reviews.c.created_at, reviews.c.review_id)
    with reading(engine) as connection:
        return [Review.from_json(text, where="store reviews") for text in connection.execute(query).scalars()]


def decide(engine: Engine, review_id: str, state: str, decided_by: str, note: str | None = None) -> Review:
    """Write down what somebody decided: "retrain", "snoozed" or "dismissed". A snoozed review may be decided again.

    Raises:
        StoreError: the review or the state is unknown, or it was decided before.
    """
    if state not in DECISIONS:
        raise StoreError("decision is unknown", where=review_id, expected=", ".join(DECISIONS), found=state)
    with writing(engine) as connection:
        review = _get(connection, review_id)
        if review.state not in ("open", "snoozed"):
            raise StoreError("review was decided before", where=review_id, expected="open or snoozed", found=review.state)
        decided = replace(review, state=state, decided_by=decided_by, note=note)
        connection.execute(sa.update(reviews).where(reviews.c.review_id == review_id).values(**_values(decided)))
        return decided


def _find(connection: Connection, review_id: str) -> Review | None:
    text = connection.execute(sa.select(reviews.c.document).where(reviews.c.review_id == review_id)).scalar()
    return None if text is None else Review.from_json(text, where="store reviews")


def _get(connection: Connection, review_id: str) -> Review:
    review = _find(connection, review_id)
    if review is None:
        raise StoreError(
            "review is unknown", where="store", expected="an id from `footfall review list`", found=review_id, next_step="footfall review list"
        )
    return review


def _values(review: Review) -> dict[str, str]:
    return {"review_id": review.review_id, "created_at": review.created_at, "state": review.state, "document": review.to_json()}
