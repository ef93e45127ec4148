"""What a slate must be, and who has a say in it: the shelf that was asked for, the catalogue, the merchant, and chance."""

from __future__ import annotations

from bentos.live.shop_window import Shop
from bentos.slates.asking import Shelf, Shopper
from footfall.core.rules import Ruling
from footfall.core.slates import Drawing, Wishes

_CART = "cart"


def wishes_of(shelf: Shelf, shop: Shop, shopper: Shopper, segments: frozenset[str], drawing: Drawing | None) -> Wishes:
    """As the ranker takes them.

    Args:
        shelf: where the slate stands.
        shop: facts and rules for the ranker's items.
        shopper: who asks; for nobody in particular nothing is drawn.
        segments: that the shopper belongs to.
        drawing: how positions are drawn by lot.
    """
    allowed = shop.facts.showable
    if shelf.filters is not None:
        passing = shelf.filters.passing(shop.facts, shopper.at_us)
        allowed = passing if allowed is None else passing & allowed
    drawn = drawing is not None and drawing.exploration.rate > 0 and shopper.user_id is not None
    return Wishes(
        shelf.k,
        shelf.exclude,
        allowed,
        unbought=shelf.unbought,
        diversity=shelf.diversity,
        context=shelf.context,
        cart=shelf.place == _CART,
        ruling=Ruling(shop.book, shelf.place, segments, shopper.at_us) if len(shop.book) else None,
        drawing=drawing if drawn else None,
    )
