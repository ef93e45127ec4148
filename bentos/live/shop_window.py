"""What the shop says of its items and the merchant's rules, as one worker knows them: read again within a second of any change, anywhere."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from bentos.live.live_store import LiveStore
from bentos.live.poller import Poller
from footfall.contracts import C
from footfall.core.item_facts import CatalogueFacts, catalogue_facts
from footfall.core.rules import RuleBook
from footfall.core.vocabulary import Vocabulary
from footfall.errors import FootfallError
from footfall.rules import Rule
from footfall.store import rules, shop_items

logger = logging.getLogger("footfall.service")

MOST = 3
"""Vocabularies at once: the champion's, the shadow's, the canary's."""
_LATELY_S = 600.0
_COLUMNS = [*shop_items.FACTS, C.TITLE]


@dataclass(frozen=True)
class Shop:
    """Facts and rules for the items of one release."""

    vocabulary: Vocabulary
    facts: CatalogueFacts
    book: RuleBook


@dataclass
class _Kept:
    """A shop, and when it was last asked for on the monotonic clock."""

    shop: Shop
    asked: float = field(default_factory=time.monotonic)


class ShopWindow:
    """Facts and rules for the vocabularies that serve; while the store is away, those that were read last."""

    def __init__(self, store: LiveStore) -> None:
        """Nothing is read yet."""
        self._store = store
        self._revisions: tuple[int, int] | None = None
        self._rows: list[dict[str, object]] = []
        self._rules: list[Rule] = []
        self._kept: tuple[_Kept, ...] = ()
        self._turn = threading.Lock()
        self._poller = Poller("shop-window", self.look, purpose="look for changes of items and rules")

    @property
    def known(self) -> bool:
        """Whether items and rules have been read at all; until then no rule holds."""
        return self._revisions is not None

    def start(self) -> None:
        """Look each second."""
        self._poller.start()

    def close(self) -> None:
        """Stop looking."""
        self._poller.close()

    def of(self, vocabulary: Vocabulary) -> Shop:
        """The shop for a vocabulary; of those that were asked for last the shops are kept."""
        kept = self._find(vocabulary)
        if kept is None:
            with self._turn:
                kept = self._find(vocabulary)
                if kept is None:
                    kept = _Kept(self._made(vocabulary))
                    self._kept = (kept, *self._newest_first()[: MOST - 1])
        kept.asked = time.monotonic()
        return kept.shop

    def look(self) -> None:
        """Read what has changed; what cannot be read stays as it was, and is tried again."""
        with self._turn:
            try:
                found = (self._store.call(shop_items.revision), self._store.call(rules.revision))
                if found == self._revisions:
                    return
                if self._revisions is None or found[0] != self._revisions[0]:
                    self._rows = self._store.call(shop_items.catalogue, _COLUMNS).to_pylist()
                self._rules = self._store.call(rules.active)
                self._revisions = found
            except FootfallError as error:
                logger.warning("items and rules stay as they were: %s", error.what)
                return
            # a shop that nobody asks for any more is that of a release that has gone; one that somebody does ask for is made then
            lately = time.monotonic() - _LATELY_S
            again = [kept for number, kept in enumerate(self._newest_first()) if number == 0 or kept.asked > lately]
            self._kept = tuple(_Kept(self._made(kept.shop.vocabulary), kept.asked) for kept in again)

    def _find(self, vocabulary: Vocabulary) -> _Kept | None:
        return next((kept for kept in self._kept if kept.shop.vocabulary is vocabulary), None)

    def _newest_first(self) -> list[_Kept]:
        return sorted(self._kept, key=lambda kept: -kept.asked)

    def _made(self, vocabulary: Vocabulary) -> Shop:
        facts = catalogue_facts(vocabulary, self._rows)
        return Shop(vocabulary, facts, RuleBook(self._rules, vocabulary, facts))
