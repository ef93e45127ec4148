"""Month batches: how a span of time is cut, and what the pieces are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class MonthBatch:
    """Events with start <= occurred_at < end belong to the batch `batch_id`."""

    batch_id: str
    start: datetime
    end: datetime


def month_batches(source: str, since: datetime, until: datetime) -> Iterator[MonthBatch]:
    """Cut since <= t < until at the borders of calendar months (UTC).

    A month that is cut off has a name of its own, because landing the rest later must be another batch:

    >>> october, november = datetime(2017, 10, 29, tzinfo=UTC), datetime(2017, 11, 26, tzinfo=UTC)
    >>> [batch.batch_id for batch in month_batches("shop", october, november)]
    ['shop-2017-10-from-29', 'shop-2017-11-to-26']
    """
    start = since
    while start < until:
        first = datetime(start.year, start.month, 1, tzinfo=UTC)
        after = datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
        end = min(after, until)
        name = f"{source}-{first:%Y-%m}"
        name += f"-from-{_day(start)}" if start > first else ""
        name += f"-to-{_day(end)}" if end < after else ""
        yield MonthBatch(name, start, end)
        start = end


def snapshot_id(source: str, until: datetime) -> str:
    """Batch id of a catalogue or users snapshot; of two snapshots the later id wins."""
    return f"{source}-{until:%Y-%m-}{_day(until)}"


def _day(moment: datetime) -> str:
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return moment.strftime("%d" if midnight else "%dt%H%M%S")
