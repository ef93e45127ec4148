"""Searches and view durations of the events: which there are, and which search texts enough users typed."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from footfall.contracts import C

NORMALISED = "normalised"
"""Column of a table beside `query`: the text as it is counted. Engines fold letters differently, so Python makes it (`core.signals`)."""


def query_texts(events: ir.Table) -> ir.Table:
    """Each text that was searched for, once, as it was typed: column query."""
    return events.filter(events[C.QUERY].notnull()).select(C.QUERY).distinct().order_by(C.QUERY)


def queries(events: ir.Table, texts: ir.Table, train_end: int, min_users: int) -> ir.Table:
    """Normalised texts that at least `min_users` users searched for before `train_end` (microseconds): query_index from 1, query in its own order.

    `texts` has the columns query and normalised.
    """
    searched = events.filter(events[C.QUERY].notnull() & (events[C.OCCURRED_AT] < train_end)).select(C.USER_ID, C.QUERY)
    users = searched.join(texts, C.QUERY).select(C.USER_ID, NORMALISED).distinct()
    counted = users.group_by(NORMALISED).aggregate(searchers=users.count())
    known = counted.filter(counted["searchers"] >= min_users)
    index = (ibis.row_number().over(order_by=known[NORMALISED]) + 1).cast("int32")
    return known.select(**{C.QUERY_INDEX: index, C.QUERY: known[NORMALISED]}).order_by(C.QUERY_INDEX)


def measured_durations(events: ir.Table, train_end: int) -> ir.Table:
    """One row, column duration_s: how many events before `train_end` say how long they lasted."""
    before = events.filter(events[C.OCCURRED_AT] < train_end)
    return before.aggregate(**{C.DURATION_S: before[C.DURATION_S].count()})
