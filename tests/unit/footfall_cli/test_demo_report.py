from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from footfall.documents import Metrics, Review
from footfall.store.releases import Release
from footfall_cli import demo_report
from footfall_cli.demo_loop import Facts, Plan
from footfall_cli.orchestrator import Run
from footfall_cli.traffic import Traffic

OCTOBER, NOVEMBER = datetime(2017, 10, 29, tzinfo=UTC), datetime(2017, 11, 26, tzinfo=UTC)


def policy(recall: float, ndcg: float) -> dict[str, Any]:
    return {"recall@10": recall, "ndcg@10": ndcg, "interval": {"recall@10": [recall - 0.01, recall + 0.01], "ndcg@10": [ndcg - 0.01, ndcg + 0.01]}}


def metrics() -> Metrics:
    difference = {"minuend": "fused", "subtrahend": "personal_frequency_90d", "ndcg@10": 0.004, "interval": [0.001, 0.007]}
    policies = {"fused": policy(0.21, 0.22), "personal_frequency_90d": policy(0.2, 0.21)}
    chance = {"days": 7, "all": {"said": 0.0349, "base_rate": 0.0326, "calibration": {"error": 0.0024, "table": []}}}
    explanations = {"share": 0.9725, "interval": [0.9575, 0.985], "asked": 0.9, "cited": 1.0}
    protocol = {"users": 1681, "items": 10813}
    return Metrics(protocol, policies, {}, {"fused_minus_best_baseline": difference}, purchase_chance=chance, explanations=explanations)


def everything() -> Facts:
    """Facts of a loop that ran to its end."""
    first = Release("r1", "footfall:r1", "champion", OCTOBER, OCTOBER)
    second = Release(
        "r2", "footfall:r2", "champion", NOVEMBER, NOVEMBER, decision={"outcome": "promote", "reasons": ["fresher"], "evidence": {}}, parent="r1"
    )
    review = Review("w1", "2017-11-26", "r1", ["a", "b"], ["c", "d"], "drift", ["categories moved"], [], ".footfall/monitoring/latest.html", None)
    return Facts(
        ingested={"batches": 10, "events_landed": 1_200_000, "rows_quarantined": {"quantity_not_positive": 7}, "held": []},
        training={"events_seen": 900, "epochs": 1, "losses": []},
        metrics=metrics(),
        releases=[first, second],
        replayed=Traffic(sent=200, slates=100),
        slates_logged=100,
        review=review,
        retrain=Run("run-1", "busy-otter", "COMPLETED", "", ("AUTOMATION", "retrain-on-drift"), NOVEMBER, NOVEMBER, {}),
        challenger=second,
        changeover=Traffic(sent=50, failed=1),
        seconds={"ingest": 12.5},
    )


def test_the_report_has_exactly_the_agreed_keys_when_every_step_ran() -> None:
    document = demo_report.document(everything())
    assert document == {
        "events_landed": 1_200_000,
        "rows_quarantined": {"quantity_not_positive": 7},
        "training": {"events_seen": 900, "epochs": 1},
        "metrics": {
            "fused": {"recall@10": 0.21, "ndcg@10": 0.22, "interval": pytest.approx([0.21, 0.23])},
            "personal_frequency_90d": {"recall@10": 0.2, "ndcg@10": 0.21, "interval": pytest.approx([0.2, 0.22])},
        },
        "releases": ["r1", "r2"],
        "drift": {"verdict": "drift", "reasons": ["categories moved"]},
        "retrain": {"triggered_by": "AUTOMATION retrain-on-drift", "decision": {"outcome": "promote", "reasons": ["fresher"]}, "promoted": True},
        "requests": {"sent": 250, "failed": 1},
        "seconds": {"ingest": 12.5},
    }


def test_a_step_that_did_not_run_is_absent(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "demo.json"
    demo_report.write(report, Facts(seconds={"start": 9.0}))
    assert json.loads(report.read_text()) == {"seconds": {"start": 9.0}}
    assert [path.name for path in report.parent.iterdir()] == ["demo.json"]


def test_the_summary_names_policies_differences_decision_and_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo_report.summarise(everything(), Plan("complete_journey", OCTOBER, NOVEMBER), tmp_path, peak_bytes=2**30, total_s=60)
    said = capsys.readouterr().out
    for part in (
        "1,200,000",
        "quantity_not_positive",
        "0.2100",
        "+0.0040",
        "[+0.0010, +0.0070]",
        "said 0.0349 of a line, came 0.0326; calibration error 0.0024",
        "97.2% pass [+0.9575, +0.9850], 90% asked",
        "categories moved",
        "retrain-on-drift",
        "fresher",
        "retired",
        "1.00 GiB",
    ):
        assert part in said


def test_three_requests_to_try_are_printed_with_the_running_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo_report.say_next(tmp_path, None, "900")
    said = capsys.readouterr().out
    assert said.count("curl -s http://127.0.0.1:3000") == 3
    assert "make up" in said
