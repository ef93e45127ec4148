"""What a comparison says: the measures, the verdict drawn from Evidently's tests, the reasons as sentences, and the review record.

Knows nothing of how a measure is computed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

from footfall.documents import DRIFT, NO_DRIFT, Review
from monitoring.windows import Window

OVER, WITHIN, SILENT = "over the limit", "within the limit", "does not vote"


@dataclass(frozen=True)
class Measure:
    """One number of a comparison.

    Attributes:
        name: the key of its limit in params.yaml, `monitor.limits`.
        title: what is measured, for sentences.
        value: the distance or change that is held against the limit; None when a window has no data for it.
        limit: the largest value that is still quiet; None when the measure does not vote.
        reference, current: the plain figures behind `value`, where there are such.
        outcome: OVER, WITHIN or SILENT, as Evidently's test said.
        note: why it does not vote, or what a reader must know.
    """

    name: str
    title: str
    value: float | None
    limit: float | None
    reference: float | None
    current: float | None
    outcome: str
    note: str | None = None

    @property
    def sentence(self) -> str:
        """The measure in words: what, observed, limit."""
        if self.outcome == SILENT:
            observed = "" if self.value is None else f" ({self.value:.4f})"
            return f"{self.title}{observed} does not vote: {self.note}."
        figures = "" if self.reference is None or self.current is None else f" (reference {self.reference:.4g}, current {self.current:.4g})"
        return f"{self.title} is {self.value:.4f}, {self.outcome} of {self.limit:.4f}{figures}."


@dataclass(frozen=True)
class Comparison:
    """A reference window against the current one.

    Attributes:
        verdict: DRIFT when any voting measure is over its limit, else NO_DRIFT.
        reasons: sentences; for DRIFT the measures over their limits, for NO_DRIFT all that voted.
        measures: every measure, also those that did not vote.
        reference, current: names of the windows and their ends in ISO 8601.
        snapshot: Evidently's own result, from which the reports are written.
    """

    verdict: str
    reasons: list[str]
    measures: list[Measure]
    reference: Window
    current: Window
    snapshot: Any

    def as_dict(self) -> dict[str, Any]:
        """The comparison without Evidently's snapshot, JSON-ready and free of clocks."""
        return {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "reference": ends(self.reference),
            "current": ends(self.current),
            "measures": [dataclasses.asdict(measure) for measure in self.measures],
        }


def draw_verdict(measures: list[Measure]) -> tuple[str, list[str]]:
    """DRIFT or NO_DRIFT, with its reasons as sentences; the measures furthest over their limits come first."""
    over = sorted((m for m in measures if m.outcome == OVER), key=lambda m: -(m.value or 0.0) / max(m.limit or 0.0, 1e-9))
    if over:
        return DRIFT, [measure.sentence for measure in over]
    return NO_DRIFT, [measure.sentence for measure in measures if measure.outcome == WITHIN]


def ends(window: Window) -> list[str]:
    """Start and end of a window in ISO 8601."""
    return [window.start.isoformat(), window.end.isoformat()]


def review_of(
    comparison: Comparison,
    *,
    release: str | None,
    created_at: str,
    report_html: str | None = None,
    report_json: str | None = None,
) -> Review:
    """The open review record of a comparison.

    The id depends on the two windows and the release only: the same comparison made again is the same review.

    Args:
        comparison: what was compared.
        release: the champion's release id, None before the first.
        created_at: ISO 8601 UTC, from the caller's clock.
        report_html, report_json: where the reports lie, relative to the root.
    """
    reference, current = ends(comparison.reference), ends(comparison.current)
    digest = hashlib.sha256("\n".join([*reference, *current, release or ""]).encode()).hexdigest()
    return Review(
        review_id="w" + digest[:12],
        created_at=created_at,
        release=release,
        reference=reference,
        current=current,
        verdict=comparison.verdict,
        reasons=comparison.reasons,
        measures=[dataclasses.asdict(measure) for measure in comparison.measures],
        report_html=report_html,
        report_json=report_json,
    )
