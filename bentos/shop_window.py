"""What the shop says of its items and the merchant's rules, as one worker knows them: read again within a second of any change, anywhere."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from bentos.live_store import LiveStore
from footfall.contracts import C
from footfall.core.item_facts import CatalogueFacts, catalogue_facts
from footfall.core.rules import RuleBook
from footfall.core.vocabulary import Vocabulary
from footfall.errors import FootfallError
from footfall.rules import Rule
from footfall.store import rules, shop_items

logger = logging.getLogger("footfall.service")

POLL_S = 1.0
_COLUMNS = [*shop_items.FACTS, C.TITLE]


@dataclass(frozen=True)
class Shop:
    """Facts and rules for the items of one release."""

    vocabulary: Vocabulary
    facts: CatalogueFacts
    book: RuleBook


class ShopWindow:
    """Facts and rules for the vocabulary that serves; while the store is away, those that were read last."""

    def __init__(self, store: LiveStore) -> None:
        """Nothing is read yet."""
        self._store = store
        self._revisions: tuple[int, int] | None = None
        self._rows: list[dict[str, object]] = []
        self._rules: list[Rule] = []
        self._shop: Shop | None = None
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="footfall-shop-window", daemon=True)

    @property
    def known(self) -> bool:
        """Whether items and rules have been read at all; until then no rule holds."""
        return self._revisions is not None

    def start(self) -> None:
        """Look each second."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def has(self, vocabulary: Vocabulary) -> bool:
        """Whether the shop for a vocabulary is there, and need not be made."""
        return self._shop is not None and self._shop.vocabulary is vocabulary

    def of(self, vocabulary: Vocabulary) -> Shop:
        """The shop for a vocabulary."""
        shop = self._shop
        if shop is None or shop.vocabulary is not vocabulary:
            with self._turn:
                shop = self._made(vocabulary)
        return shop

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
            if self._shop is not None:
                self._made(self._shop.vocabulary)

    def _made(self, vocabulary: Vocabulary) -> Shop:
        facts = catalogue_facts(vocabulary, self._rows)
        self._shop = Shop(vocabulary, facts, RuleBook(self._rules, vocabulary, facts))
        return self._shop

    def _poll(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.look()
            except Exception:  # the thread must outlive whatever one look meets; it is logged, and the next second looks again
                logger.exception("could not look for changes of items and rules")
