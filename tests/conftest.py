"""What all rings share: no telemetry, no setting of the person who runs the tests, a marker per ring."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from footfall.settings import TELEMETRY_OFF
from tests.trials import SOAK, Trial

pytest_plugins = ["tests.databases", "tests.engines"]
RINGS = {"flow": "flow", "service": "service", "end_to_end": "end_to_end"}

# Set before any framework is imported: most of them read it once, at import.
os.environ.update(TELEMETRY_OFF)
for name in list(os.environ):
    if name.startswith(("FOOTFALL_", "PREFECT_", "BENTOML_")) and name not in {*TELEMETRY_OFF, "FOOTFALL_DATA", "FOOTFALL_SOAK"}:
        del os.environ[name]

# The same examples in every run: a red test must be red again. Two busy cores make a deadline a coin toss.
hypothesis_settings.register_profile("footfall", deadline=None, derandomize=True, database=None, max_examples=50)
hypothesis_settings.load_profile("footfall")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its ring, which is the folder it lies in; `pytest -m 'not end_to_end'` leaves one out."""
    tests = Path(__file__).parent
    for item in items:
        ring = RINGS.get(item.path.relative_to(tests).parts[0])
        if ring is not None:
            item.add_marker(ring)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout under test."""
    return Path(__file__).resolve().parent.parent


_trials: dict[str, dict[str, Any]] = {}


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    """The counts of this trial, and the place for its figures."""
    one = Trial(request.node.nodeid)
    request.node.user_properties.append(("trial", one.figures))  # travels with the report, from a worker of xdist too
    return one


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each trial ended, with its figures."""
    figures = dict(report.user_properties).get("trial")
    if figures is not None and (report.when == "call" or report.outcome != "passed"):
        _trials[report.nodeid] = {"trial": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 1), **figures}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what the trials at their stated counts gave."""
    if SOAK and _trials and not hasattr(session.config, "workerinput"):
        path = Path(__file__).parent.parent / "reports" / "bench" / "soak.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": "soak", "rows": [_trials[name] for name in sorted(_trials)]}, indent=1) + "\n", encoding="utf-8")
