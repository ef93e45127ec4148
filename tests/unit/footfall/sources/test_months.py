"""How a span is cut into month batches."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from footfall.sources.months import month_batches, snapshot_id

MOMENTS = st.datetimes(datetime(2016, 1, 1), datetime(2018, 12, 31), timezones=st.just(UTC))


def ids(since: datetime, until: datetime) -> list[str]:
    """Batch ids of a span."""
    return [batch.batch_id for batch in month_batches("shop", since, until)]


def test_whole_months_have_plain_names() -> None:
    assert ids(datetime(2017, 11, 1, tzinfo=UTC), datetime(2018, 2, 1, tzinfo=UTC)) == ["shop-2017-11", "shop-2017-12", "shop-2018-01"]


def test_the_rest_of_a_month_is_another_batch_than_its_beginning() -> None:
    cut = datetime(2017, 10, 29, tzinfo=UTC)

    assert ids(datetime(2017, 10, 1, tzinfo=UTC), cut) == ["shop-2017-10-to-29"]
    assert ids(cut, datetime(2017, 11, 26, tzinfo=UTC)) == ["shop-2017-10-from-29", "shop-2017-11-to-26"]


def test_a_time_of_day_shows_in_the_name() -> None:
    assert ids(datetime(2017, 10, 1, tzinfo=UTC), datetime(2017, 10, 29, 8, 30, tzinfo=UTC)) == ["shop-2017-10-to-29t083000"]
    assert snapshot_id("shop", datetime(2017, 10, 29, tzinfo=UTC)) == "shop-2017-10-29"


def test_an_empty_span_has_no_batches() -> None:
    moment = datetime(2017, 10, 29, tzinfo=UTC)

    assert ids(moment, moment) == []


@given(MOMENTS, MOMENTS)
def test_batches_cover_the_span_once_without_gaps(first: datetime, second: datetime) -> None:
    since, until = sorted((first, second))
    batches = list(month_batches("shop", since, until))

    edges = [batch.start for batch in batches] + [until]
    assert edges[0] == since
    assert [batch.end for batch in batches] == edges[1:]
    assert len({batch.batch_id for batch in batches}) == len(batches)
