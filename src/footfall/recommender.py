"""What answers a request, and what is evaluated: histories in, slates out, the same code for one user and for all.

A history is read up to its newest `history_events` events before the moment `at`; the model reads the newest of those that it has room for.
A user without any known item in that history gets the popularity slate, and the slate says so in `degraded`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from footfall.bundle import Bundle, open_bundle, open_scorer
from footfall.core.baselines import purchases
from footfall.core.chance_teller import ChanceTeller, Scored
from footfall.core.context import with_views
from footfall.core.explanations import EXPLAINED, Explanation, explain_slate
from footfall.core.histories import History, encode_histories
from footfall.core.item_facts import CatalogueFacts
from footfall.core.logistic import softmax
from footfall.core.metrics import Float64, top_k
from footfall.core.outlook import Outlook, OutlookScorer
from footfall.core.parts import PartReader, Parts, RememberingScorer, Scorer
from footfall.core.policies import BASELINES, FUSED, FUSED_WITHOUT_MODEL, POLICIES, POPULAR, POPULARITY, POPULARITY_IN_SEGMENT, Policies
from footfall.core.quantised import ITEM_TABLE
from footfall.core.related import Related
from footfall.core.sequences import Int64, Sequences
from footfall.core.slate_maker import SlateMaker
from footfall.core.slates import Line, Slate, Wishes
from footfall.core.vocabulary import Vocabulary
from footfall.documents import Manifest
from footfall.errors import ContractError
from footfall.signing import VerifyKeys

__all__ = ["BASELINES", "FUSED", "FUSED_WITHOUT_MODEL", "POLICIES", "POPULAR", "POPULARITY", "POPULARITY_IN_SEGMENT"]
__all__ += ["EXPLAINED", "Explanation", "History", "Line", "Ranking", "Recommender", "Scored", "Slate", "Wishes"]

_PLAIN = Wishes()
_USERS_A_CHUNK = 256


@dataclass(frozen=True)
class Ranking:
    """Slates of U users: policy -> (U, k) item indices, best first; `degraded` (U,) says who got the popularity slate and why."""

    slates: dict[str, Int64]
    degraded: list[str | None]


class Recommender:
    """A bundle, ready to answer. Holds no history and no clock; safe to share between threads as long as the scorer is."""

    def __init__(self, bundle: Bundle, scorer: Scorer) -> None:
        """Take a verified bundle and the scorer made of its weights."""
        self._bundle = bundle
        fusion = bundle.fusion
        self._reader = PartReader(scorer, bundle.item_to_item, fusion.half_life_days, fusion.history_events, fusion.temperature, bundle.habits)
        self._policies = Policies.of(fusion.weights, bundle.popularity)
        table = bundle.weights.get(ITEM_TABLE)
        related = Related.of(bundle.item_to_item, bundle.popularity, None if table is None else table[1:])
        self._maker = SlateMaker(bundle.vocabulary, self._policies, related)
        self._chances = ChanceTeller(bundle.chances.model if bundle.chances else None, bundle.vocabulary, fusion.history_events)

    @classmethod
    def open(cls, folder: Path, *, threads: int | None = 1, streaming: bool = False, verify_keys: VerifyKeys = ()) -> Recommender:
        """Verify the bundle in `folder` and make it ready.

        Args:
            folder: the bundle.
            threads: of the scorer; None leaves them as they are. More than one makes small matrices slower, ten times so on busy cores.
            streaming: score in numpy, a user at a time, going on where the same user's last request ended: for a service, which then needs no torch.
            verify_keys: public keys of which one must have signed it; none: it need not be signed.

        Raises:
            BundleError: the bundle is damaged or not signed, or its weights do not fit its configuration or vocabulary.
        """
        bundle = open_bundle(folder, verify_keys)
        return cls(bundle, open_scorer(bundle, folder, threads, streaming=streaming))

    @property
    def release_id(self) -> str:
        """The release that this bundle is."""
        return self._bundle.release_id

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._bundle.manifest

    @property
    def vocabulary(self) -> Vocabulary:
        """The items that can be recommended."""
        return self._bundle.vocabulary

    @property
    def bundle(self) -> Bundle:
        """The bundle in memory."""
        return self._bundle

    @property
    def history_events(self) -> int:
        """How many of a user's newest events are read; fetching more is waste, fetching fewer changes the slate."""
        return self._bundle.fusion.history_events

    @property
    def reads_signals(self) -> bool:
        """Whether queries and durations of a history are looked at; where not, fetching them is waste."""
        return self._bundle.queries is not None or bool(self._bundle.config.get("durations"))

    def forget(self) -> None:
        """Keep nothing of any history that has been read; what is answered stays the same."""
        if isinstance(self._reader.scorer, RememberingScorer):
            self._reader.scorer.forget()

    def encode(self, histories: Sequence[History]) -> Sequences:
        """Histories as model input: the one way in, for batches and requests alike. An unknown item or query gets index 0.

        Raises:
            ContractError: an event type that EVENTS does not know, or lists of different lengths.
        """
        durations = bool(self._bundle.config.get("durations"))
        return encode_histories(histories, self.vocabulary, self._bundle.queries, durations=durations)

    def parts(self, sequences: Sequences, at: int | Int64, needed: Collection[str]) -> Parts:
        """What the policies are made of, from what happened before `at` (microseconds; one for all or (U,) one a user)."""
        return self._reader.read(sequences, at, needed)

    def combine(self, parts: Parts, policy: str) -> Float64:
        """(U, V) scores of one policy; a user who cannot be scored has the popularity row."""
        return self._policies.combine(parts, policy)

    def needed(self, policy: str) -> set[str]:
        """Names of the parts that a policy reads."""
        return self._policies.needed(policy)

    def scores(self, sequences: Sequences, at: int | Int64, policy: str = FUSED) -> Float64:
        """(U, V) scores of one policy; column j is item_index j + 1."""
        return self.combine(self.parts(sequences, at, self.needed(policy)), policy)

    def outlook(self, sequences: Sequences, at: int | Int64) -> Outlook | None:
        """What each user does next and when the next purchase comes, from what happened before `at`; None where the model cannot tell."""
        history, scorer = sequences.before(at).last(self.history_events), self._reader.scorer
        return scorer.outlook(history, at) if isinstance(scorer, OutlookScorer) else None

    def item_chances(self, sequences: Sequences, at: int | Int64) -> Float64:
        """(U, V) the model's own chance that an item bought next is this one, from what happened before `at`: the ranking's softmax, undamped."""
        return softmax(self._reader.scorer.scores(sequences.before(at).last(self.history_events)).astype(np.float64))

    def purchase_chance(self, sequences: Sequences, at: int | Int64, rows: Float64, columns: Int64) -> Float64 | None:
        """(U, K) chance that each user buys each item of `columns` (U, K; item_index - 1) in the seven days from `at` on.

        Measured for the 100 best items of users with a history (`core.chances`). NaN for a user without one and for a score that is not finite;
        None where the bundle was made without chances.

        Args:
            sequences: U histories.
            at: the moment of asking.
            rows: (U, V) fused scores of the same, from `scores` or `combine`, before anything is taken out or moved.
            columns: which items.
        """
        return self._chances.of_columns(sequences, at, rows, columns)

    def explain(self, sequences: Sequences, at: int, columns: Int64) -> list[Explanation]:
        """What carried each item of `columns` (K; item_index - 1) under the fused policy, found by leaving events out (`core.explanations`).

        Raises:
            ContractError: histories of more users than one, or more than 20 items.
        """
        return explain_slate(self._reader, self._policies, self.vocabulary, sequences, at, columns)

    def rank(self, sequences: Sequences, at: int | Int64, k: int, policies: Collection[str]) -> Ranking:
        """Slates of many users under several policies at once: what `recommend` would show, as item indices."""
        needed = set[str]().union(*(self.needed(policy) for policy in policies))
        found: dict[str, list[Int64]] = {policy: [] for policy in policies}
        degraded: list[str | None] = []
        for first in range(0, len(sequences), _USERS_A_CHUNK):
            users = np.arange(first, min(first + _USERS_A_CHUNK, len(sequences)))
            parts = self.parts(sequences.take(users), at if isinstance(at, int) else at[users], needed)
            degraded += parts.degraded
            for policy, rows in found.items():
                rows.append(top_k(self.combine(parts, policy), k) + 1)
        return Ranking({policy: np.concatenate(rows) for policy, rows in found.items()}, degraded)

    def recommend(self, sequences: Sequences, at: int | Int64, wishes: Wishes | Sequence[Wishes] = _PLAIN, policy: str = FUSED) -> list[Slate]:
        """One slate a user, as long as was wished or as many items as may be shown; empty, and `degraded` says so, where nothing may.

        Args:
            sequences: U histories, from `encode`.
            at: the moment of asking; later events are not read.
            wishes: of each user, or the same of all.
            policy: one of POLICIES.

        Raises:
            ContractError: the policy is unknown, or the wishes do not fit the users or the vocabulary.
        """
        asked = self._maker.check(wishes, len(sequences))
        seen, carts = self._maker.looked_at(asked), self._maker.in_carts(sequences, at, asked)
        parts = self.parts(sequences if seen is None else with_views(sequences, at, seen), at, self.needed(policy))
        rows = self.combine(parts, policy)
        bought = purchases(sequences.before(at)) if any(wish.unbought for wish in asked) else None
        plain = rows.copy() if self._chances.model is not None and policy == FUSED else None  # wishes and rules change scores, not chances
        pages = [items for items in (seen, carts) if items is not None]
        slates = self._maker.of_users(rows, asked, parts, policy, pages=pages, bought=bought)
        return slates if plain is None else self._chances.on_slates(slates, sequences, at, plain)

    def similar(self, item_id: str, wishes: Wishes = _PLAIN, facts: CatalogueFacts | None = None) -> Slate:
        """What may be bought in the place of an item: of its category first, and bought with the same things. Belongs to no user.

        Args:
            item_id: the item; one that the release does not know gives the popular items, and `degraded` says so.
            wishes: k, exclude, allowed, diversity and context of it count.
            facts: what the shop says of its items; without them no category is preferred.
        """
        return self._maker.similar(item_id, wishes, facts)

    def complementary(self, item_ids: str | Collection[str], wishes: Wishes = _PLAIN, facts: CatalogueFacts | None = None) -> Slate:
        """What is bought with an item or with a basket, other categories first: a case after a phone. Belongs to no user.

        Args:
            item_ids: the item, or the basket; what the release does not know of it is left out, and where it knows nothing the popular
                items are shown, and `degraded` says so.
            wishes, facts: as in `similar`.
        """
        return self._maker.complementary([item_ids] if isinstance(item_ids, str) else list(item_ids), wishes, facts)

    def score(self, sequences: Sequences, at: int | Int64, item_ids: Sequence[Sequence[str]], policy: str = FUSED) -> list[Scored]:
        """The scores by which `recommend` would rank some items, without wishes, and under the fused policy the chance that each is bought.

        Beyond the user's 100 best items that chance was never measured; it goes on as it fell up to there.

        Args:
            sequences, at, policy: as in `recommend`.
            item_ids: of each user.

        Raises:
            ContractError: the policy is unknown, or there are not as many lists of items as users.
        """
        if len(item_ids) != len(sequences):
            raise ContractError("items do not fit the users", where="item_ids", expected=f"{len(sequences)} lists of item ids", found=len(item_ids))
        parts = self.parts(sequences, at, self.needed(policy))
        rows = self.combine(parts, policy)
        chances = self._chances.of_items(sequences, at, rows, item_ids) if policy == FUSED else [list[float | None]()] * len(rows)
        told = zip(rows, item_ids, parts.degraded, chances, strict=True)
        return [Scored(self.read_scores(row, wanted), degraded, chance) for row, wanted, degraded, chance in told]

    def read_scores(self, row: Float64, item_ids: Sequence[str]) -> list[float | None]:
        """The scores of some items in a row (V,), in their order; None for one that the release does not know."""
        return [float(row[index - 1]) if index else None for index in self.vocabulary.encode(list(item_ids))]
