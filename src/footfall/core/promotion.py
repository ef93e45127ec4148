"""The release gate's decision: from evidence to "promote" or "refuse", with every reason a sentence.

Evidence is the JSON-ready dictionary that `footfall.judging.judge` gathers:

    window      {"start", "end"}: ISO moments of the labels that both were judged on
    challenger  {"release_id", "as_of", "train_end", "validation_end"}, what its manifest says; champion the same, or None
    checks      [{"name", "ok", "sentence"}]: hard checks, each of which refuses on its own
    overall     {"users", "challenger", "champion", "difference", "interval": [low, high]} of ndcg@k, or None when a hard check made it impossible
    slices      {name: the same}
    baselines   {"best", "means", "difference", "interval"}: what is served minus the best baseline of its own bundle; `checks` judges it

This module knows nothing of bundles and files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from footfall.params import Release

PROMOTE = "promote"
REFUSE = "refuse"


def decide(evidence: Mapping[str, Any], limits: Release) -> tuple[str, list[str]]:
    """("promote" or "refuse", reasons).

    Promoted when no hard check fails, the lower end of the paired interval keeps the limit overall and on each slice of enough users,
    and the challenger is better (the whole interval above 0) or fresher (a later `as_of`). The first release has no champion to be compared with:
    its hard checks, of which one holds it against its own baselines, are all there is.
    """
    against = [check["sentence"] for check in evidence["checks"] if not check["ok"]]
    if evidence["champion"] is None:
        if against:
            return REFUSE, against
        return PROMOTE, ["There is no champion yet, and every hard check holds.", _own_figure(evidence)]
    overall = evidence["overall"]
    if overall is None:
        return REFUSE, against or ["The two could not be compared."]
    in_favour: list[str] = []
    _weigh("All users", overall, limits.min_difference, in_favour, against)
    for name, measured in sorted(evidence["slices"].items()):
        if measured["users"] >= limits.min_slice_users:
            _weigh(f"Slice {name}", measured, limits.min_slice_difference, in_favour, against)
        else:
            in_favour.append(f"Slice {name} has {measured['users']} users, fewer than {limits.min_slice_users}, and has no vote.")
    _worth_it(evidence, in_favour, against)
    return (REFUSE, against) if against else (PROMOTE, in_favour)


def explained(explanations: Mapping[str, Any], limit: float) -> dict[str, Any] | None:
    """The hard check of section `explanations` of METRICS; None where it has no share. What is surely too little is refused."""
    share = explanations.get("share")
    if share is None:
        return None
    low, high = explanations.get("interval") or (share, share)
    figure = f"Of its explanations {share:.1%} pass their test, 95% interval {low:.1%} to {high:.1%}"
    verdict = f"its upper end reaches the limit of {limit:.1%}." if high >= limit else f"and its upper end is below the limit of {limit:.1%}."
    return {"name": "explanations", "ok": high >= limit, "sentence": f"{figure}, {verdict}"}


def _weigh(who: str, measured: Mapping[str, Any], limit: float, in_favour: list[str], against: list[str]) -> None:
    low, high = measured["interval"]
    figure = f"{who} ({measured['users']}): challenger minus champion is {measured['difference']:+.4f}, 95% interval {low:+.4f} to {high:+.4f}"
    if low >= limit:
        in_favour.append(f"{figure}, not below the limit of {limit:+.4f}.")
    else:
        against.append(f"{figure}, and its lower end is below the limit of {limit:+.4f}.")


def _worth_it(evidence: Mapping[str, Any], in_favour: list[str], against: list[str]) -> None:
    challenger, champion = evidence["challenger"]["as_of"], evidence["champion"]["as_of"]
    better, fresher = evidence["overall"]["interval"][0] > 0, evidence["fresher"]
    if better:
        in_favour.append("The challenger is better: the whole interval lies above 0.")
    if fresher:
        in_favour.append(f"The challenger is fresher: its data end at {challenger}, the champion's at {champion}.")
    if not better and not fresher:
        against.append(
            f"The challenger is neither better (the interval reaches 0) nor fresher (data end at {challenger}, the champion's at {champion})."
        )


def _own_figure(evidence: Mapping[str, Any]) -> str:
    overall = evidence["overall"]
    return f"Its own ndcg@{evidence['k']} on {overall['users']} users is {overall['challenger']:.4f}."
