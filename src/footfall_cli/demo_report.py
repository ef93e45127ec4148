"""What the demo says at its end: `reports/demo.json` for programs, tables for people; both from the same facts, absent where a step did not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footfall.documents import Metrics
from footfall.paths import Paths
from footfall_cli.console import interval, say, say_table

if TYPE_CHECKING:
    from footfall_cli.demo_loop import Facts, Plan
    from footfall_cli.production import Ports


def document(facts: Facts) -> dict[str, Any]:
    """`reports/demo.json`: every value read from what its step left behind."""
    found: dict[str, Any] = {}
    if facts.ingested is not None:
        found |= {"events_landed": facts.ingested["events_landed"], "rows_quarantined": facts.ingested["rows_quarantined"]}
    if facts.training is not None:
        found["training"] = {name: facts.training[name] for name in ("events_seen", "epochs")}
    if facts.metrics is not None:
        found["metrics"] = {name: _figures(policy) for name, policy in facts.metrics.policies.items()}
    if facts.releases:
        found["releases"] = [release.release_id for release in facts.releases]
    if facts.review is not None:
        found["drift"] = {"verdict": facts.review.verdict, "reasons": facts.review.reasons}
    if facts.retrain is not None and facts.challenger is not None:
        found["retrain"] = {
            "triggered_by": " ".join(facts.retrain.created_by or ()),
            "decision": {name: (facts.challenger.decision or {}).get(name) for name in ("outcome", "reasons")},
            "promoted": facts.challenger.state == "champion",
        }
    sent = [traffic for traffic in (facts.replayed, facts.changeover) if traffic is not None]
    if sent:
        found["requests"] = {"sent": sum(traffic.sent for traffic in sent), "failed": sum(traffic.failed for traffic in sent)}
    found["seconds"] = dict(facts.seconds)
    return found


def write(path: Path, facts: Facts) -> None:
    """Replace `reports/demo.json` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(document(facts), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def _figures(policy: dict[str, Any]) -> dict[str, Any]:
    """`interval` is that of ndcg@10, on which the release gate decides."""
    return {"recall@10": policy["recall@10"], "ndcg@10": policy["ndcg@10"], "interval": policy["interval"]["ndcg@10"]}


def summarise(facts: Facts, plan: Plan, root: Path, *, peak_bytes: int, total_s: float) -> None:
    """Say what was done, for people."""
    say("\n" + "=" * 60)
    if facts.ingested is not None:
        say(f"{facts.ingested['events_landed']:,} rows of events landed in {facts.ingested['batches']} batches")
        say_table("quarantine", ["reason", "rows"], [(reason, f"{rows:,}") for reason, rows in facts.ingested["rows_quarantined"].items()])
    for title, metrics in ((f"as_of {plan.as_of:%Y-%m-%d}", facts.metrics), (f"as_of {plan.then:%Y-%m-%d}", facts.second_metrics)):
        if metrics is not None:
            _say_metrics(title, metrics)
    if facts.training is not None:
        say(f"training saw {facts.training['events_seen']:,} events in {facts.training['epochs']} epochs")
    if facts.review is not None:
        say_table("drift", ["what", "value"], [("verdict", facts.review.verdict), *(("because", reason) for reason in facts.review.reasons)])
    _say_retrain(facts)
    say_table("seconds", list(facts.seconds), [[f"{seconds:.1f}" for seconds in facts.seconds.values()]])
    say(f"{total_s:.0f} s in all; at most {peak_bytes / 2**30:.2f} GiB by all processes together")
    paths = Paths(root)
    say(f"reports: {paths.metrics_report}\n         {paths.monitoring_reports}")
    if facts.review is not None and facts.review.report_html:
        say(f"         {root / facts.review.report_html}")


def _say_metrics(title: str, metrics: Metrics) -> None:
    rows = [(name, *(cell for figure in ("recall@10", "ndcg@10") for cell in _cells(policy, figure))) for name, policy in metrics.policies.items()]
    say_table(
        f"policies, {title}: {metrics.protocol['users']:,} users, {metrics.protocol['items']:,} items",
        ["policy", "recall@10", "95%", "ndcg@10", "95%"],
        rows,
    )
    for difference in metrics.differences.values():
        say(f"{difference['minuend']} minus {difference['subtrahend']}: ndcg@10 {difference['ndcg@10']:+.4f} {interval(difference['interval'])}")
    if "all" in metrics.purchase_chance:
        lines, days = metrics.purchase_chance["all"], metrics.purchase_chance["days"]
        said, came, error = (lines[name] for name in ("said", "base_rate", "calibration"))
        say(f"purchase within {days} days: said {said:.4f} of a line, came {came:.4f}; calibration error {error['error']:.4f}")
    if "share" in metrics.explanations:
        told = metrics.explanations
        say(f"explanations: {told['share']:.1%} pass {interval(told['interval'])}, {told['asked']:.0%} asked; {told['cited']:.1%} of lines have any")


def _cells(policy: dict[str, Any], figure: str) -> tuple[str, str]:
    low, high = policy["interval"][figure]
    return f"{policy[figure]:.4f}", f"{low:.4f} to {high:.4f}"


def _say_retrain(facts: Facts) -> None:
    if facts.releases:
        say_table(
            "releases",
            ["release", "state", "as_of", "parent"],
            [(r.release_id, r.state, f"{r.as_of:%Y-%m-%d}", r.parent) for r in _as_they_stand(facts)],
        )
    if facts.retrain is not None and facts.challenger is not None:
        decision = facts.challenger.decision or {}
        rows = [("triggered by", " ".join(facts.retrain.created_by or ())), ("decision", decision.get("outcome"))]
        say_table("retrain", ["what", "value"], [*rows, *(("because", reason) for reason in decision.get("reasons", []))])
    if facts.changeover is not None:
        summary = facts.changeover.summary()
        say_table(
            "load through the changeover",
            ["what", "value"],
            [(name, summary[name]) for name in ("sent", "failed", "requests_per_second", "releases", "latency_ms")],
        )


def _as_they_stand(facts: Facts) -> list[Any]:
    """The releases; the first one retired when the second took its place."""
    from dataclasses import replace

    if facts.challenger is None or facts.challenger.state != "champion":
        return facts.releases
    return [replace(facts.releases[0], state="retired"), *facts.releases[1:]]


def say_next(root: Path, ports: Ports | None, user: str) -> None:
    """How to start the services, and three requests to try."""
    url = "http://127.0.0.1:3000" if ports is None else ports.url("service")
    header = "-H 'content-type: application/json'"
    event = f'{{"events":[{{"event_id":"try-1","user_id":"{user}","event_type":"view","item_id":"1","occurred_at":"2017-12-01T12:00:00Z"}}]}}'
    say(f"\nstart the services: make up  (in {root})" if ports is None else "\nstill running (--keep); stop them: footfall demo --stop")
    say(f"""curl -s {url}/readyz""")
    say(f"""curl -s {url}/v1/recommend {header} -d '{{"user_id":"{user}","k":5}}'""")
    say(f"""curl -s {url}/v1/events {header} -d '{event}'""")
