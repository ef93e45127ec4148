from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from bentos.measures import Measures, forget_the_dead

COUNT = """
import os, sys
from bentos.measures import Measures
measures = Measures()
measures.note_in_flight(3)
measures.count_refusal(503)
measures.note_release("r1", None)
os._exit(1)
"""
READ = "from bentos.measures import Measures; print(Measures().page()[0].decode())"


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False).stdout


def test_what_a_killed_worker_said_of_the_present_is_forgotten_and_what_it_counted_is_kept(tmp_path: Path) -> None:
    run(COUNT, tmp_path)
    assert list(tmp_path.glob("gauge_livesum_*.db"))
    page = run(READ, tmp_path)
    assert 'footfall_http_refused_total{status="503"} 1.0' in page
    assert "footfall_http_in_flight 0.0" in page
    assert 'footfall_release{release="r1"}' not in page


def test_what_living_processes_say_stays(tmp_path: Path) -> None:
    mine, of_the_first = tmp_path / f"gauge_livesum_{os.getpid()}.db", tmp_path / "gauge_livemax_1.db"
    for path in (mine, of_the_first):
        path.touch()
    forget_the_dead(tmp_path)
    assert mine.exists()
    assert of_the_first.exists()


def test_requests_are_counted_and_timed_by_the_release_that_serves_at_that_moment() -> None:
    registry = CollectorRegistry()
    measures = Measures(registry)
    measures.count_request("recommend", 503, 0.5)
    measures.note_release("r1", None)
    measures.count_request("recommend", 200, 0.25)
    measures.note_refused_release("r2")
    measures.count_request("recommend", 200, 0.25)
    measures.note_release("r3", "r1")
    measures.count_request("recommend", 500, 0.125)
    found = {
        (sample.labels["release"], sample.labels["status"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "footfall_http_requests_total"
    }
    assert found == {("none", "503"): 1, ("r1", "200"): 2, ("r3", "500"): 1}
    seconds = {
        one: registry.get_sample_value("footfall_http_request_seconds_sum", {"route": "recommend", "release": one}) for one in ("none", "r1", "r3")
    }
    assert seconds == {"none": 0.5, "r1": 0.5, "r3": 0.125}


def test_rows_that_wait_and_the_time_to_write_are_told() -> None:
    registry = CollectorRegistry()
    measures = Measures(registry)
    measures.note_waiting(7, 2)
    measures.note_waiting(5, 0)
    measures.note_commit("failed", 0.3)
    assert [registry.get_sample_value("footfall_rows_waiting", {"kind": kind}) for kind in ("events", "exposures")] == [5, 0]
    assert registry.get_sample_value("footfall_commit_seconds_sum", {"outcome": "failed"}) == 0.3
