"""A home page: rows of slates, each with its own idea, in the order in which this shopper will care for them. No item stands in two rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from footfall.contracts import EVENT_TYPES
from footfall.core.baselines import purchases
from footfall.core.item_facts import CatalogueFacts
from footfall.core.metrics import Bools, Float64
from footfall.core.sequences import Int32, Sequences
from footfall.core.slates import Slate, Wishes
from footfall.recommender import FUSED, POPULARITY, Recommender

FOR_YOU, BUY_AGAIN, BECAUSE, CATEGORY, POPULAR = "for_you", "buy_again", "because_you_looked_at", "category", "popular"
_TITLES = {FOR_YOU: "For you", BUY_AGAIN: "Buy it again", BECAUSE: "Because you looked at {}", CATEGORY: "More in {}", POPULAR: "Popular now"}
_LEAST = 3
"""Items without which a row says nothing."""
_CATEGORIES = 3
_LOOKS = [EVENT_TYPES.index(name) for name in ("view", "cart", "purchase")]


@dataclass(frozen=True)
class Row:
    """One row of the page.

    Attributes:
        request_id: of its slate; what is left to chance in it is drawn by this.
        kind: which idea; for shops that say it in words of their own.
        about: the item id or the category that it is about; None: neither.
        title: in English.
        slate: what stands in it.
    """

    request_id: str
    kind: str
    about: str | None
    title: str
    slate: Slate


def popular_row(request_id: str, slate: Slate) -> Row:
    """A row of what many buy."""
    return Row(request_id, POPULAR, None, _TITLES[POPULAR], slate)


def home_page(
    recommender: Recommender, history: Sequences, at: int, wishes: Wishes, facts: CatalogueFacts, rows: int, new_id: Callable[[], str]
) -> list[Row]:
    """At most so many rows for one user, the most promising first.

    A row is worth what the user's own scores say of its best items, so that who buys the same again sees that row first and who looks around
    does not. "For you" and "popular" are always among the candidates: a page is empty only where nothing may be shown.
    Where wishes leave something to chance each row is drawn for itself, and a propensity is the chance given the rows above.

    Args:
        recommender: of one release.
        history: of one user, from `encode`.
        at: the moment of asking, microseconds.
        wishes: of every row; k is the length of a row, and the request id of a drawing is not read.
        facts: what the shop says of its items.
        rows: the most that are wanted.
        new_id: gives the request id of a row.
    """
    found: list[Row] = []
    shown = list(wishes.exclude)
    ideas = _ideas(recommender, history, at, facts)
    for idea in sorted(ideas, key=lambda one: -one.worth):  # a stable sort: of equals the one that stands first
        if len(found) == rows:
            break
        request_id = new_id()
        drawing = None if wishes.drawing is None else replace(wishes.drawing, request_id=request_id)
        mine = replace(wishes, exclude=shown, allowed=_both(wishes.allowed, idea.allowed), drawing=drawing)
        if idea.kind == BECAUSE and idea.about is not None:
            slate = recommender.similar(idea.about, mine, facts)
        else:
            slate = recommender.recommend(history, at, mine, idea.policy)[0]
        if len(slate.items) >= (1 if idea.kind in (FOR_YOU, POPULAR) else _LEAST):
            shown = [*shown, *(line.item_id for line in slate.items)]
            found.append(Row(request_id, idea.kind, idea.about, _title(recommender, idea.kind, idea.about, facts), slate))
    return found


@dataclass(frozen=True)
class _Idea:
    """What a row could be: which items may stand in it, which policy orders them, and what it is worth to this user."""

    kind: str
    about: str | None
    allowed: Bools | None
    policy: str
    worth: float


def _ideas(recommender: Recommender, history: Sequences, at: int, facts: CatalogueFacts) -> list[_Idea]:
    scores, popular = (recommender.scores(history, at, policy)[0] for policy in (FUSED, POPULARITY))
    history = history.before(at)
    found = [_Idea(FOR_YOU, None, None, FUSED, _worth(scores))]
    bought = np.unique(purchases(history).item_index) - 1
    if len(bought):
        allowed = np.zeros(len(scores), np.bool_)
        allowed[bought] = True
        found.append(_Idea(BUY_AGAIN, None, allowed, FUSED, _worth(scores[bought])))
    looked = history.item_index[np.isin(history.event_type, _LOOKS) & (history.item_index > 0)]
    if len(looked):
        newest = int(looked[-1]) - 1
        found.append(_Idea(BECAUSE, recommender.vocabulary.item_ids[newest], None, FUSED, float(scores[newest])))
    for path in _favourites(looked, facts):
        allowed = facts.in_category(path)
        found.append(_Idea(CATEGORY, path, allowed, FUSED, _worth(scores[allowed])))
    return [*found, _Idea(POPULAR, None, None, POPULARITY, float(scores[np.argsort(-popular, kind="stable")[:_LEAST]].mean()))]


def _favourites(looked: Int32, facts: CatalogueFacts) -> list[str]:
    """The widest categories that the user looks at most."""
    codes = facts.category[looked - 1, 0]
    counts = np.bincount(codes, minlength=1)
    counts[0] = 0
    best = np.argsort(-counts, kind="stable")[:_CATEGORIES]
    return [facts.categories[code - 1] for code in best.tolist() if counts[code]]


def _worth(scores: Float64) -> float:
    """The mean of the best of some scores."""
    return float(np.sort(scores)[-_LEAST:].mean()) if len(scores) else -np.inf


def _both(one: Bools | None, other: Bools | None) -> Bools | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _title(recommender: Recommender, kind: str, about: str | None, facts: CatalogueFacts) -> str:
    if kind == BECAUSE and about is not None:
        index = int(recommender.vocabulary.encode([about])[0])
        return _TITLES[kind].format(facts.titles[index - 1] or about)
    return _TITLES[kind].format(about)
