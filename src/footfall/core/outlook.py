"""What is expected of a user next: the type of the next event, and when the next purchase comes.

Time to the next purchase is a hazard, constant within each span of EDGES_DAYS and counted from the moment of asking (the piecewise exponential
model: Friedman 1982, "Piecewise exponential models for survival data with covariates"). Who has not bought by the end of the data counts for the
time that was seen and no more, and the chance of a purchase within any number of days comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from footfall.core.sequences import Int64, Sequences

Float64 = npt.NDArray[np.float64]

EDGES_DAYS = (0.0, 1.0, 2.0, 4.0, 7.0, 14.0, 28.0, np.inf)
"""Ends of the spans within which a hazard is constant, in days from the moment of asking."""
SPANS = len(EDGES_DAYS) - 1


@dataclass(frozen=True)
class Outlook:
    """Of U users.

    Attributes:
        event_type: (U, 7) chance of each event type to be the next one.
        hazard: (U, SPANS) purchases a day within each span, given that none has come before.
    """

    event_type: Float64
    hazard: Float64

    def purchase_within(self, days: float) -> Float64:
        """(U,) chance of a purchase within so many days."""
        return np.asarray(1.0 - np.exp(-(self.hazard * exposure(np.full(len(self.hazard), days))).sum(axis=1)))


@runtime_checkable
class OutlookScorer(Protocol):
    """A scorer that also knows what comes next, and when."""

    def outlook(self, sequences: Sequences, at: int | Int64) -> Outlook | None:
        """What is expected after `at`; None where the model was never taught. Who has no history is not known: NaN."""
        ...


def exposure(days: Float64) -> Float64:
    """(Q, SPANS) how much of each span lies within the first `days` (Q,)."""
    edges = np.array(EDGES_DAYS)
    return np.asarray(np.clip(days[:, None], edges[:-1], edges[1:]) - edges[:-1])


def span_of(days: Float64) -> Int64:
    """(Q,) the span that a moment so many days ahead lies in."""
    return np.searchsorted(EDGES_DAYS[1:-1], days, side="right")
