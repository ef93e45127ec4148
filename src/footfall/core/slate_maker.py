"""Slates of users and of items, from scores and wishes: the last step of every answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from footfall.core.context import in_cart
from footfall.core.item_facts import CatalogueFacts
from footfall.core.metrics import Float64
from footfall.core.parts import Parts
from footfall.core.policies import POPULAR, POPULARITY, POPULARITY_IN_SEGMENT, TOGETHER, Policies
from footfall.core.related import NOT_TOGETHER, Related, companions, substitutes
from footfall.core.sequences import Int32, Int64, Sequences
from footfall.core.slates import NOTHING_PASSES, Chosen, Line, Slate, Wishes, compose, lean
from footfall.core.vocabulary import Vocabulary
from footfall.errors import ContractError

SIMILAR, COMPLEMENTARY = "similar", "complementary"
"""Policies of slates that belong to an item and to no user."""
UNKNOWN_ITEM = "unknown_item"
"""Why what goes with an item is popularity alone: the release does not know the item."""
_NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True)
class SlateMaker:
    """What one release needs to make slates.

    Attributes:
        vocabulary: V items.
        policies: of the release; they say why an item stands where it stands.
        related: which items belong together.
    """

    vocabulary: Vocabulary
    policies: Policies
    related: Related

    def check(self, wishes: Wishes | Sequence[Wishes], users: int) -> list[Wishes]:
        """The wishes of each of so many users.

        Raises:
            ContractError: they are of another number of users, or allow items of another vocabulary.
        """
        asked = [wishes] * users if isinstance(wishes, Wishes) else list(wishes)
        if len(asked) != users:
            raise ContractError("wishes do not fit the users", where="wishes", expected=f"those of {users} users", found=len(asked))
        shape = (len(self.vocabulary),)
        for name in ("allowed", "popular"):
            rows = [row for wish in asked if (row := getattr(wish, name)) is not None]
            if wrong := [row.shape for row in rows if row.shape != shape]:
                raise ContractError("wishes do not fit the vocabulary", where=name, expected=shape, found=wrong[0])
        return asked

    def looked_at(self, asked: Sequence[Wishes]) -> list[Int32] | None:
        """(U,) indices of the known items that each user looks at; None where nobody's wishes say anything of it."""
        return [self._known(wish.context) for wish in asked] if any(wish.context for wish in asked) else None

    def in_carts(self, sequences: Sequences, at: int | Int64, asked: Sequence[Wishes]) -> list[Int32] | None:
        """(U,) indices of what lies in each user's cart, for those who wish that it counts; None where nobody does."""
        if not any(wish.cart for wish in asked):
            return None
        return [cart if wish.cart else _NOTHING for wish, cart in zip(asked, in_cart(sequences, at), strict=True)]

    def of_users(
        self, rows: Float64, asked: Sequence[Wishes], parts: Parts, policy: str, *, pages: Sequence[Sequence[Int32]], bought: Sequences | None
    ) -> list[Slate]:
        """The slates of U users.

        Args:
            rows: (U, V) scores under the policy; what may not be shown becomes -inf in them.
            asked: the wishes of each.
            parts: of all of them.
            policy: what made the scores.
            pages: arrays of U: what stands on each user's page already, as in `of_user`.
            bought: purchases of all of them; None where nobody's wishes leave it out.
        """
        return [
            self.of_user(
                rows[user],
                wish,
                parts.of(user),
                policy,
                page=[items[user] for items in pages],
                bought=None if bought is None else bought.items_of(user),
            )
            for user, wish in enumerate(asked)
        ]

    def of_user(self, row: Float64, wish: Wishes, parts: Parts, policy: str, *, page: Sequence[Int32], bought: Int32 | None) -> Slate:
        """The slate of one user.

        Args:
            row: (V,) the user's scores under the policy; what may not be shown becomes -inf in it.
            wish: what is wanted.
            parts: the user's own.
            policy: what made the scores.
            page: indices of items that stand on the page already, in arrays: none of them is shown, and the slate leans to what goes with them.
            bought: indices of items that the user has bought, 0 for none; left out where the wish says so.
        """
        if wish.popular is not None and (parts.degraded[0] or policy == POPULARITY):
            row, policy = wish.popular.copy(), POPULARITY_IN_SEGMENT
        there = np.unique(np.concatenate(page)) if page else _NOTHING
        gained = lean(row, self.related.together(there - 1)) if len(there) else None
        scores = row if gained is None else row + gained
        plain = scores.copy() if gained is not None and wish.ruling is not None else scores
        chosen = self._choose(scores, wish, there, bought if wish.unbought else None)
        reasons = self.policies.reasons(0, chosen.columns, parts, policy)
        if gained is not None:
            reasons = [TOGETHER if 2 * gained[column] > plain[column] else reason for column, reason in zip(chosen.columns, reasons, strict=True)]
        return self._slate(chosen, scores, reasons, policy, parts.degraded[0])

    def similar(self, item_id: str, wish: Wishes, facts: CatalogueFacts | None) -> Slate:
        """What may be bought in the place of an item; the popular items for one that is unknown."""
        return self._of_items([item_id], wish, SIMILAR, SIMILAR, lambda columns: substitutes(self.related, int(columns[0]), facts))

    def complementary(self, item_ids: Sequence[str], wish: Wishes, facts: CatalogueFacts | None) -> Slate:
        """What is bought with some items; the popular items where all of them are unknown."""
        return self._of_items(item_ids, wish, COMPLEMENTARY, TOGETHER, lambda columns: companions(self.related, columns, facts))

    def _of_items(self, item_ids: Sequence[str], wish: Wishes, policy: str, reason: str, score: Callable[[Int32], Float64]) -> Slate:
        self.check(wish, 1)
        own, there = self._known(item_ids), self._known(wish.context)
        scores = score(own - 1) if len(own) else self.policies.popular[0].copy()
        plain = scores.copy() if wish.ruling is not None else scores
        chosen = self._choose(scores, wish, own, there)
        if not len(own):
            return self._slate(chosen, scores, [POPULAR] * len(chosen.columns), POPULARITY, UNKNOWN_ITEM)
        reasons = [reason if plain[column] > NOT_TOGETHER else POPULAR for column in chosen.columns]
        return self._slate(chosen, scores, reasons, policy, None)

    def _known(self, item_ids: Collection[str]) -> Int32:
        """Indices of the known ones of these items, ascending, each once."""
        found: Int32 = np.unique(self.vocabulary.encode(list(item_ids)))
        return found[found > 0]

    def _choose(self, scores: Float64, wish: Wishes, *closed: Int32 | None) -> Chosen:
        """What stands on a slate; what the wish or `closed` (indices, 0 for none) leaves out becomes -inf in `scores`."""
        for index in (self.vocabulary.encode(list(wish.exclude)) if wish.exclude else None, *closed):
            if index is not None:
                scores[index[index > 0] - 1] = -np.inf
        if wish.allowed is not None:
            scores[~wish.allowed] = -np.inf
        return compose(scores, wish, self.related.near)

    def _slate(self, chosen: Chosen, scores: Float64, reasons: Sequence[str], policy: str, degraded: str | None) -> Slate:
        item_ids = self.vocabulary.decode((chosen.columns + 1).tolist())
        told = zip(item_ids, scores[chosen.columns].tolist(), reasons, chosen.propensities.tolist(), chosen.touched, strict=True)
        lines = [Line(position, *line) for position, line in enumerate(told, 1)]
        return Slate(lines, policy, degraded if lines else NOTHING_PASSES, chosen.kept_out)
