"""Movement: a reference window of shop behaviour against the current one, by Evidently, and the verdict drawn from its tests.

`expectations/` asks whether a batch is right; this package asks whether the shop still moves as it did. Evidently is imported only when a
comparison is made, so that importing this package costs nothing.
"""

from __future__ import annotations

from footfall.documents import DRIFT, NO_DRIFT
from monitoring.archive import Reports, write_reports
from monitoring.report import OfflineHitRate, compare, compare_windows
from monitoring.verdict import Comparison, Measure, review_of
from monitoring.windows import Window, build_window

__all__ = [
    "DRIFT",
    "NO_DRIFT",
    "Comparison",
    "Measure",
    "OfflineHitRate",
    "Reports",
    "Window",
    "build_window",
    "compare",
    "compare_windows",
    "review_of",
    "write_reports",
]
