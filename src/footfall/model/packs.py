"""Histories of many users as flat tensors. How they are made is `batches`' business.

Events of one user that share a time form one *moment* (a basket, a click): the order inside it says nothing, so the model reads it as a set and
the transformer's positions are moments. Users with equally many moments stand next to each other as a *stack*, so that what needs a rectangle
(attention, repeats) runs over all of them at once. Everything that the network would otherwise look up per pair of moments is prepared here once.

Shape suffixes: E events, M moments, U users; of a stack: B users, T moments each, D distinct items a user ("candidates": what the user ever touched
in this window; who has fewer than the stack's most has "no item" in front). Flat "pair" arrays hold a T x T square a user, flat "grid" positions
a T x D rectangle a user, user after user.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stack:
    """Where the parts of B users with T moments each lie in a `Pack`."""

    users: int
    moments: int
    distinct: int
    first_row: int
    first_pair: int
    first_candidate: int
    first_cell: int
    first_label: int
    labels: int

    @property
    def rows(self) -> slice:
        """B x T rows."""
        return slice(self.first_row, self.first_row + self.users * self.moments)

    @property
    def pairs(self) -> slice:
        """B x T x T pairs."""
        return slice(self.first_pair, self.first_pair + self.users * self.moments**2)

    @property
    def candidates(self) -> slice:
        """B x D candidates."""
        return slice(self.first_candidate, self.first_candidate + self.users * self.distinct)

    @property
    def grid(self) -> slice:
        """B x T x D cells."""
        return slice(self.first_cell, self.first_cell + self.users * self.moments * self.distinct)

    def part(self, first: int, users: int) -> Stack:
        """`users` of them, from position `first` on."""
        return Stack(
            users,
            self.moments,
            self.distinct,
            self.first_row + first * self.moments,
            self.first_pair + first * self.moments**2,
            self.first_candidate + first * self.distinct,
            self.first_cell + first * self.moments * self.distinct,
            self.first_label,
            self.labels,
        )


@dataclass(frozen=True)
class Pack:
    """Some users, packed back to back, those with fewer moments first; on a CPU without a position that is not needed (see `batches.pack_users`).

    Attributes:
        order: (U,) which of the given users each packed one is.
        item_index, event_type, moment: (E,) item, kind and packed row (moment) of each event.
        share: (E,) one over the events in its moment, so that a sum over a moment is a mean.
        gap_before: (M,) time-gap bucket since the user's previous moment.
        distance, gap: (pairs,) buckets of the relation "row moment looks at column moment"; distance 0 means "the future: must not look".
        candidates: (sum B*D,) item_index of each user's distinct items, ascending, after as many 0 as the user lacks.
        event_cell: (E',) grid position (moment, candidate) of the events with an item; `cell_type` (E',) their event type.
        target_row, target_item, target_cell: (L,) packed row, item_index and grid position (moment, candidate) of what comes next.
        target_weight: (L,) sums to 1 over a moment's targets.
        label_row: (R,) the rows that have targets, ascending.
        moment_weight: (M,) what a moment's prediction counts in the loss; 0 without targets.
        stacks: where the users' parts lie.
        query, duration: (E,) what was searched for, and the code of how long it lasted; None where the histories do not say.
    """

    order: Tensor
    item_index: Tensor
    event_type: Tensor
    moment: Tensor
    share: Tensor
    gap_before: Tensor
    distance: Tensor
    gap: Tensor
    candidates: Tensor
    event_cell: Tensor
    cell_type: Tensor
    target_row: Tensor
    target_item: Tensor
    target_cell: Tensor
    target_weight: Tensor
    label_row: Tensor
    moment_weight: Tensor
    stacks: tuple[Stack, ...]
    query: Tensor | None = None
    duration: Tensor | None = None

    @property
    def events(self) -> int:
        """Events in the pack."""
        return len(self.item_index)

    @property
    def targets(self) -> int:
        """Targets in the pack."""
        return len(self.target_cell)

    @property
    def cells(self) -> int:
        """Grid positions in the pack."""
        last = self.stacks[-1]
        return last.first_cell + last.users * last.moments * last.distinct

    @property
    def last_rows(self) -> Tensor:
        """(U,) row of each packed user's newest moment."""
        return torch.cat([self._numbers(stack.rows)[stack.moments - 1 :: stack.moments] for stack in self.stacks])

    @property
    def last_pairs(self) -> Tensor:
        """Pairs in which each packed user's newest moment looks back: T of each user."""
        return torch.cat([self._numbers(stack.pairs).view(stack.users, -1)[:, -stack.moments :].reshape(-1) for stack in self.stacks])

    def _numbers(self, span: slice) -> Tensor:
        return torch.arange(span.start, span.stop, device=self.moment.device)
