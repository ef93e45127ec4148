"""Moments as the store keeps them: microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware moment."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def from_us(moment: int) -> datetime:
    """The UTC moment of microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=moment)
