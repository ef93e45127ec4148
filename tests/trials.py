"""Trials: tests that are worth more the oftener they run. Small counts in `make test`, the stated ones in `make soak`.

    @pytest.mark.trial
    def test_no_acknowledged_event_is_lost(trial: Trial) -> None:
        kills = trial.count(small=2, stated=50)
        ...
        trial.note(kills=kills, lost=0)

What a trial notes goes to reports/bench/soak.json when FOOTFALL_SOAK=1.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

SOAK = os.environ.get("FOOTFALL_SOAK") == "1"


@dataclass
class Trial:
    """One trial's counts and figures."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict)

    def count(self, *, small: int, stated: int) -> int:
        """How many rounds to run."""
        return stated if SOAK else small

    def note(self, **figures: Any) -> None:
        """Keep figures for the report, as JSON has them: numpy's numbers do not travel between test processes."""
        self.figures.update(json.loads(json.dumps(figures, default=float)))
