"""Vocabulary, sequences and targets: what the model learns from and is asked for."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from footfall.contracts import EVENT_TYPES, PURCHASE, C

_BASKET = "basket"


def vocabulary(interactions: ir.Table, train_end: int, min_count: int, offered: ir.Table | None = None) -> ir.Table:
    """Items bought at least `min_count` times before `train_end` (microseconds): item_index from 1, item_id in its own order.

    Items `offered` (column item_id) are in as well, whether or not anybody bought them.
    """
    bought = interactions.filter((interactions[C.EVENT_TYPE] == PURCHASE) & (interactions[C.OCCURRED_AT] < train_end))
    counted = bought.group_by(C.ITEM_ID).aggregate(bought_times=bought.count())
    known = counted.filter(counted["bought_times"] >= min_count).select(C.ITEM_ID)
    if offered is not None:
        known = known.union(offered.select(C.ITEM_ID), distinct=True)
    index = (ibis.row_number().over(order_by=known[C.ITEM_ID]) + 1).cast("int32")
    return known.select(**{C.ITEM_INDEX: index, C.ITEM_ID: known[C.ITEM_ID]}).order_by(C.ITEM_INDEX)


def sequences(events: ir.Table, known: ir.Table, texts: ir.Table | None = None, *, durations: bool = False) -> ir.Table:
    """Every event as user_id, item_index (0 outside the vocabulary `known`), event_type (its code) and occurred_at, user after user in time.

    With `texts` (query as it was typed, query_index) also query_index, 0 for other texts; with `durations` also duration_s.
    """
    indexed = events.left_join(known, C.ITEM_ID)
    signals = {}
    if texts is not None:
        indexed = indexed.left_join(texts, C.QUERY)
        signals[C.QUERY_INDEX] = indexed[C.QUERY_INDEX].fill_null(0).cast("int32")
    if durations:
        signals[C.DURATION_S] = indexed[C.DURATION_S]
    codes = [(name, ibis.literal(code, "int8")) for code, name in enumerate(EVENT_TYPES)]
    rows = indexed.select(
        **{
            C.USER_ID: indexed[C.USER_ID],
            C.ITEM_INDEX: indexed[C.ITEM_INDEX].fill_null(0).cast("int32"),
            C.EVENT_TYPE: indexed[C.EVENT_TYPE].cases(*codes).cast("int8"),
            C.OCCURRED_AT: indexed[C.OCCURRED_AT],
            C.EVENT_ID: indexed[C.EVENT_ID],
        }
        | signals
    )
    return rows.order_by([C.USER_ID, C.OCCURRED_AT, C.EVENT_ID]).drop(C.EVENT_ID)


def first_basket_targets(interactions: ir.Table, known: ir.Table, start: int, end: int) -> ir.Table:
    """Distinct items of each user's first basket with start <= occurred_at < end: user_id, item_id, item_index (0 outside `known`).

    Only users with an interaction before `start`. A basket is the purchases of one session; without a session, of one moment.
    """
    history = interactions.filter(interactions[C.OCCURRED_AT] < start).select(C.USER_ID).distinct()
    inside = (interactions[C.EVENT_TYPE] == PURCHASE) & (interactions[C.OCCURRED_AT] >= start) & (interactions[C.OCCURRED_AT] < end)
    bought = interactions.filter(inside).semi_join(history, C.USER_ID)
    bought = bought.mutate(**{_BASKET: ibis.coalesce(bought[C.SESSION_ID], bought[C.OCCURRED_AT].cast("string"))})
    rank = ibis.row_number().over(group_by=bought[C.USER_ID], order_by=[bought[C.OCCURRED_AT], bought[C.EVENT_ID]])
    first = bought.mutate(_rank=rank).filter(lambda rows: rows["_rank"] == 0).select(C.USER_ID, _BASKET)
    items = bought.semi_join(first, [C.USER_ID, _BASKET]).select(C.USER_ID, C.ITEM_ID).distinct()
    indexed = items.left_join(known, C.ITEM_ID)
    rows = indexed.select(
        **{C.USER_ID: indexed[C.USER_ID], C.ITEM_ID: indexed[C.ITEM_ID], C.ITEM_INDEX: indexed[C.ITEM_INDEX].fill_null(0).cast("int32")}
    )
    return rows.order_by([C.USER_ID, C.ITEM_ID])
