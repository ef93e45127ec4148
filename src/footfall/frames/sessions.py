"""Sessions by the gap rule: what a user does without a pause longer than the gap is one session."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from footfall.contracts import C

SESSION = "session"
"""Number of the session among its user's, from 1."""
GAP_US = 30 * 60 * 1_000_000


def sessionize(events: ir.Table, gap_us: int = GAP_US) -> ir.Table:
    """Events with a column `session`; a pause of exactly `gap_us` microseconds does not yet end one."""
    order = [events[C.OCCURRED_AT], events[C.EVENT_ID]]
    previous = events[C.OCCURRED_AT].lag().over(group_by=events[C.USER_ID], order_by=order)
    starts = events.mutate(_starts=previous.isnull() | (events[C.OCCURRED_AT] - previous > gap_us))
    order = [starts[C.OCCURRED_AT], starts[C.EVENT_ID]]
    until_now = ibis.cumulative_window(group_by=starts[C.USER_ID], order_by=order)
    number = starts.count(where=starts["_starts"]).over(until_now).cast("int32")
    return starts.mutate(**{SESSION: number}).drop("_starts")
