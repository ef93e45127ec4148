"""What the service counts, for Prometheus. Labels are releases, routes and fixed words: never a user, a query or a path from outside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
NO_RELEASE = "none"
"""Of requests that were answered before there was a first release."""
_TENTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Shown:
    """What is counted of one slate.

    Attributes:
        degraded: why it is less than it could be.
        reasons: reason -> positions; empty: an empty slate.
        ruled: whether a merchant rule touched it.
        drawn: positions that were drawn by lot.
        tail: positions that hold an item of the long tail.
        arm: whose slate it is.
    """

    degraded: str | None
    reasons: Mapping[str, int]
    ruled: bool
    drawn: int
    tail: int
    arm: str


class Measures:
    """The service's counters, histograms and gauges. What was counted of a release stays when it has gone: releases are few."""

    def __init__(self, registry: Any = None) -> None:
        """Make them; in a registry of their own in tests.

        `prometheus_client` is imported here, and not before: BentoML says by an environment variable, set when its worker starts,
        that several processes count together.
        """
        from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

        self._registry: CollectorRegistry = registry or REGISTRY
        own = self._registry
        self._serving = NO_RELEASE
        self._requests = Counter("footfall_http_requests", "Requests answered", ["route", "status", "release"], registry=own)
        self._seconds = Histogram("footfall_http_request_seconds", "Time to answer", ["route", "release"], buckets=_BUCKETS, registry=own)
        self._refused = Counter("footfall_http_refused", "Requests answered 400 and above, at the door or behind it", ["status"], registry=own)
        self._in_flight = Gauge("footfall_http_in_flight", "Requests inside now", multiprocess_mode="livesum", registry=own)
        self._slates = Counter("footfall_slates", "Slates returned", ["release", "degraded", "arm"], registry=own)
        self._empty = Counter("footfall_slates_empty", "Slates on which nothing stands", ["release"], registry=own)
        self._ruled = Counter("footfall_slates_ruled", "Slates that a merchant rule touched", ["release"], registry=own)
        self._positions = Counter("footfall_positions", "Positions shown, by why", ["release", "reason"], registry=own)
        self._drawn = Counter("footfall_positions_drawn", "Positions shown that were drawn by lot", ["release"], registry=own)
        self._tail = Counter("footfall_positions_tail", "Positions shown that hold an item of the long tail", ["release"], registry=own)
        self._slate_seconds = Histogram("footfall_slate_seconds", "Time to read a history and rank", ["release"], buckets=_BUCKETS, registry=own)
        self._events = Counter("footfall_events", "Events received", ["outcome"], registry=own)
        self._lost = Counter("footfall_exposures_lost", "Exposures that could not be written", registry=own)
        self._waiting = Gauge("footfall_rows_waiting", "Rows that wait to be written", ["kind"], multiprocess_mode="livesum", registry=own)
        self._commit = Histogram("footfall_commit_seconds", "Time to write what waited", ["outcome"], buckets=_BUCKETS, registry=own)
        self._changeovers = Counter("footfall_changeovers", "Changes of release", ["release", "outcome"], registry=own)
        self._release = Gauge("footfall_release", "1 for the release that serves", ["release"], multiprocess_mode="livemax", registry=own)
        self._arm = Gauge("footfall_arm", "1 while the release is open in its arm", ["arm", "release"], multiprocess_mode="livemax", registry=own)
        self._arm_changes = Counter("footfall_arm_changes", "Changes of shadow and canary", ["arm", "release", "outcome"], registry=own)
        self._canary_failures = Counter("footfall_canary_failures", "Requests on which the canary failed", ["release"], registry=own)
        self._shadow_slates = Counter("footfall_shadow_slates", "Slates that nobody sees", ["release", "outcome"], registry=own)
        self._shadow_seconds = Histogram("footfall_shadow_seconds", "Time to make one", ["release"], buckets=_BUCKETS, registry=own)
        self._shadow_overlap = Histogram(
            "footfall_shadow_overlap", "Share of the shown items that are on the shadow's slate", ["release"], buckets=_TENTHS, registry=own
        )
        self._away = Gauge("footfall_store_away", "1 while the live store does not answer", multiprocess_mode="livemax", registry=own)

    def count_request(self, route: str, status: int, seconds: float, release: str | None = None) -> None:
        """One request answered by a release; where none answered it, it counts for the champion that serves now."""
        whose = release or self._serving
        self._requests.labels(route, str(status), whose).inc()
        self._seconds.labels(route, whose).observe(seconds)

    def count_refusal(self, status: int) -> None:
        """One request refused, or failed."""
        self._refused.labels(str(status)).inc()

    def note_in_flight(self, change: int) -> None:
        """A request came (1) or went (-1)."""
        self._in_flight.inc(change)

    def count_slate(self, release: str, shown: Shown) -> None:
        """One slate returned."""
        self._slates.labels(release, shown.degraded or "no", shown.arm).inc()
        for reason, number in shown.reasons.items():
            self._positions.labels(release, reason).inc(number)
        # zeros too: a share of what nobody has counted yet would be no number
        for counter, number in (
            (self._empty, int(not shown.reasons)), (self._ruled, int(shown.ruled)), (self._drawn, shown.drawn), (self._tail, shown.tail),
        ):  # fmt: skip
            counter.labels(release).inc(number)

    def time_slate(self, release: str, seconds: float) -> None:
        """How long one slate took."""
        self._slate_seconds.labels(release).observe(seconds)

    def count_events(self, accepted: int, duplicates: int, rejected: int) -> None:
        """The events of one request."""
        for outcome, number in (("accepted", accepted), ("duplicate", duplicates), ("rejected", rejected)):
            if number:
                self._events.labels(outcome).inc(number)

    def count_lost_exposures(self, number: int) -> None:
        """Exposures that are lost."""
        self._lost.inc(number)

    def note_commit(self, outcome: str, seconds: float) -> None:
        """What waited was written ("done"), or not ("failed")."""
        self._commit.labels(outcome).observe(seconds)

    def note_waiting(self, events: int, exposures: int) -> None:
        """How many rows wait."""
        self._waiting.labels("events").set(events)
        self._waiting.labels("exposures").set(exposures)

    def note_release(self, release: str, before: str | None) -> None:
        """Another release serves."""
        self._serving = release
        if before is not None:
            self._release.labels(before).set(0)
        self._release.labels(release).set(1)
        self._changeovers.labels(release, "done").inc()

    def note_refused_release(self, release: str) -> None:
        """A champion could not be opened."""
        self._changeovers.labels(release, "failed").inc()

    def note_arm(self, arm: str, release: str, outcome: str) -> None:
        """A release was "opened" in an arm, could not be ("failed"), has another share ("changed"), or has "ended" there."""
        self._arm_changes.labels(arm, release, outcome).inc()
        if outcome in ("opened", "ended"):
            self._arm.labels(arm, release).set(1 if outcome == "opened" else 0)

    def count_canary_failure(self, release: str) -> None:
        """The champion answered in the canary's place."""
        self._canary_failures.labels(release).inc()

    def count_shadow(self, release: str, outcome: str) -> None:
        """The shadow's slate of one request: "done", "failed", or "dropped" because there was no time for it."""
        self._shadow_slates.labels(release, outcome).inc()

    def note_shadow(self, release: str, seconds: float, overlap: float) -> None:
        """How long it took, and the share of the shown items that it has too."""
        self._shadow_seconds.labels(release).observe(seconds)
        self._shadow_overlap.labels(release).observe(overlap)

    def note_store(self, *, away: bool) -> None:
        """Whether the store answers."""
        self._away.set(1 if away else 0)

    def page(self) -> tuple[bytes, str]:
        """The metrics page, of all worker processes together, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if not folder:
            return generate_latest(self._registry), CONTENT_TYPE_LATEST
        forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client types it in part
        return generate_latest(registry), CONTENT_TYPE_LATEST


def forget_the_dead(folder: Path) -> None:
    """Take away what killed processes said of the present: their requests are inside no more, their release serves no more. Counts stay."""
    for path in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
        except PermissionError:  # it lives, as somebody else
            continue
