"""Cleaning: canonical events, and the interactions among them."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from footfall.contracts import EVENTS, C


def canonical_events(events: ir.Table, as_of: int) -> ir.Table:
    """One row an event_id, only what occurred before `as_of` (microseconds), in the order of EVENTS.

    Of several rows with one event_id (an event that came by two doors) the one received first stays; every other column decides between those
    that were received at once, so that neither the order of arrival nor the engine shows.
    """
    before = [C.RECEIVED_AT, C.ORIGIN, C.USER_ID, C.OCCURRED_AT]
    before += [name for name in EVENTS.schema.names if name not in {C.EVENT_ID, *before}]
    first = ibis.row_number().over(group_by=events[C.EVENT_ID], order_by=[events[name] for name in before])
    return (
        events.mutate(_rank=first)
        .filter(lambda rows: (rows["_rank"] == 0) & (rows[C.OCCURRED_AT] < as_of))
        .drop("_rank")
        .order_by(list(EVENTS.order))
    )


def without_users(events: ir.Table, users: ir.Table) -> ir.Table:
    """Events of all users but these (column user_id): who refuses a purpose is left out of it."""
    return events.anti_join(users, C.USER_ID)


def interactions(events: ir.Table, catalogue: ir.Table) -> ir.Table:
    """Events with an item that may be recommended."""
    recommendable = catalogue.filter(catalogue[C.RECOMMENDABLE]).select(C.ITEM_ID)
    return events.semi_join(recommendable, C.ITEM_ID)
