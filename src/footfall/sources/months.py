"""Month batches: how a span of time is cut, and what the pieces are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MONTH = re.compile(r"[^-]+-(\d{4})-(\d\d)(?:-from-(\d\d)(?:t(\d{6}))?)?(?:-to-(\d\d)(?:t(\d{6}))?)?")
_DAY = re.compile(r"[^-]+-(\d{4})-(\d\d)-(\d\d)(?:-\d+)?")


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


def claimed_span(batch_id: str) -> tuple[datetime, datetime] | None:
    """The span of time that an event batch's id claims, to the second; None where the id says nothing of time.

    >>> claimed_span("shop-2017-10-from-29-to-30t120000")
    (datetime.datetime(2017, 10, 29, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2017, 10, 30, 12, 0, tzinfo=datetime.timezone.utc))
    >>> [moment.day for moment in claimed_span("live-2017-11-03-2")]
    [3, 4]
    """
    try:
        if found := _DAY.fullmatch(batch_id):
            year, month, day = (int(part) for part in found.groups())
            return datetime(year, month, day, tzinfo=UTC), datetime(year, month, day, tzinfo=UTC) + timedelta(days=1)
        if found := _MONTH.fullmatch(batch_id):
            year, month = int(found[1]), int(found[2])
            after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            start = _moment(year, month, found[3], found[4]) if found[3] else datetime(year, month, 1, tzinfo=UTC)
            return start, _moment(year, month, found[5], found[6]) if found[5] else after
    except ValueError:
        pass  # no date of the calendar
    return None


def _moment(year: int, month: int, day: str, clock: str | None) -> datetime:
    return datetime.strptime(f"{year:04d}{month:02d}{day}{clock or '000000'}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def snapshot_id(source: str, until: datetime) -> str:
    """Batch id of a catalogue or users snapshot; of two snapshots the later id wins."""
    return f"{source}-{until:%Y-%m-}{_day(until)}"


def _day(moment: datetime) -> str:
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return moment.strftime("%d" if midnight else "%dt%H%M%S")
