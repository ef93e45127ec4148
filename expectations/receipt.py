"""The gate's word, written out: each rule with what was expected, observed and up to five of the rows at fault, and what to type next.

Samples name rows by their ids and the one value at fault. No user id and no free text is ever among them, because receipts outlive rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from expectations.history import Measure
from expectations.rules import Rule, Suite
from expectations.validation import Results
from footfall.contracts import C
from footfall.documents import Verdict

PASS, HOLD = "pass", "hold"
SAMPLES = 5
_NAMES = (C.EVENT_ID, C.ITEM_ID, C.EVENT_TYPE)
_NEVER = {C.USER_ID, C.QUERY, C.TEXT, C.DESCRIPTION, C.ATTRIBUTES, C.CONSENT, C.SESSION_ID, C.PLACE, C.DEVICE}
"""Columns whose values stay out of receipts: they may name a user or hold what one has typed."""

Check = dict[str, Any]


def check(rule: Rule, outcome: dict[str, Any], table: pa.Table) -> Check:
    """What one rule about rows said."""
    result = outcome["result"]
    if "unexpected_count" in result:
        observed: object = f"{result['unexpected_count']} of {result.get('element_count', table.num_rows)} rows break it"
    else:
        observed = str(result["observed_value"]) if result.get("observed_value") is not None else None
    ok = bool(outcome["success"]) and outcome["error"] is None
    expected = _expected(rule)
    # A rule of rows that sets a few aside is ok as a rule about the batch would be; its samples are wanted all the same.
    samples = _rows(table, rule.kwargs.get("column"), result.get("unexpected_index_list") or ())
    return _line(rule.reason or rule.type, rule.level, ok, expected, observed, outcome["error"], samples)


def _rows(table: pa.Table, column: object, numbers: Sequence[int]) -> list[dict[str, Any]]:
    named = [name for name in _NAMES if name in table.column_names]
    if isinstance(column, str) and column in table.column_names and column not in {*_NEVER, *named}:
        named.append(column)
    first = [int(number) for number in numbers[:SAMPLES]]
    rows = table.select(named).take(pa.array(first, pa.int64())).to_pylist() if named else [{} for _ in first]
    return [{"row": number, **{name: _plain(value) for name, value in row.items()}} for number, row in zip(first, rows, strict=True)]


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value[:80]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def share_check(suite: Suite, reasons: Mapping[int, str], rows: int) -> Check:
    """A few bad rows are set aside; many mean that the batch itself is broken."""
    alone = {rule.reason for rule in suite.rules if rule.alone}
    bad = sum(reason not in alone for reason in reasons.values())
    ok = rows < suite.share_from_rows or bad <= suite.max_bad_share * rows
    expected = f"at most {suite.max_bad_share:.0%} of the rows are bad (asked from {suite.share_from_rows} rows)"
    return _line("bad_row_share", "batch", ok, expected, f"{bad} of {rows} rows are bad", None, [])


def measure_check(rule: Rule, outcome: dict[str, Any] | None, measures: Sequence[Measure]) -> Check:
    """What one rule about measures said; without any of its kind it was not asked."""
    if outcome is None:
        return _line(str(rule.kind), rule.level, True, rule.says, "not asked: too little history, or too few rows", None, [])
    at_fault = [measures[int(number)] for number in outcome["result"].get("unexpected_index_list") or ()]
    mine = [measure for measure in measures if measure.kind == rule.kind]
    shown = "; ".join(_said(measure) for measure in (at_fault or mine)[:SAMPLES] if at_fault or len(mine) == 1)
    observed = f"{len(at_fault)} of {len(mine)} break it" + (f": {shown}" if shown else "")
    ok = bool(outcome["success"]) and outcome["error"] is None
    return _line(str(rule.kind), rule.level, ok, _expected(rule), observed, outcome["error"], [measure.as_dict() for measure in at_fault[:SAMPLES]])


def _expected(rule: Rule) -> str:
    mostly = rule.kwargs.get("mostly")
    return rule.says if mostly is None else f"{rule.says} (at least {mostly:.0%})"


def _said(measure: Measure) -> str:
    allowed = " ".join(f"{word} {bound:,}" for word, bound in (("from", measure.low), ("to", measure.high)) if bound is not None)
    return f"{measure.of}: {measure.value:,} (usually {measure.usual:,}; allowed {allowed})"


def _line(rule: str, level: str, ok: bool, expected: str, observed: object, error: str | None, samples: list[dict[str, Any]]) -> Check:
    return {"rule": rule, "severity": level, "ok": ok, "expected": expected, "observed": observed, "error": error, "samples": samples}


def verdict(contract_name: str, subject: str, rows: int, reasons: Mapping[int, str], checks: list[Check], final: set[str]) -> Verdict:
    """All checks of one batch as its receipt. `final` names what a rule expects that no person may waive."""
    errors = [check for check in checks if check["error"] is not None]
    broken = [check for check in checks if check["severity"] == "batch" and not check["ok"]]
    quarantined = dict(sorted(Counter(reasons.values()).items()))
    next_step = None
    if errors:
        next_step = f"a check itself failed: mend rule '{errors[0]['rule']}' in expectations/suites/{contract_name}.json, then land the batch again"
    elif broken:
        waived = not any(check["expected"] in final for check in broken)
        next_step = (
            f"look at data/quarantine/held/{contract_name}/{subject} (footfall quarantine show {subject}), mend the source, then: footfall ingest"
            f"; or mend its rows: footfall quarantine replay {subject} --mend FILE"
            + (f"; or let it in as it is: footfall quarantine release {subject} --note WHY" if waived else "")
            + f"; or reject it: footfall quarantine drop {subject}"
        )
    elif quarantined:
        next_step = f"footfall quarantine show {subject}, then: footfall quarantine replay {subject} or footfall quarantine drop {subject}"
    return Verdict(subject, contract_name, HOLD if errors or broken else PASS, rows, quarantined, checks, next_step)


def reasons_of(rules: Sequence[Rule], results: Results, rows: int) -> dict[int, str]:
    """Row number -> why it is bad; a row with several faults has the first in the suite's order."""
    reasons: dict[int, str] = {}
    for rule in rules:
        if rule.reason is not None:
            for row in results[rule.key]["result"].get("unexpected_index_list") or ():
                reasons.setdefault(int(row), rule.reason)
    if any(not 0 <= row < rows for row in reasons):
        raise RuntimeError("Great Expectations named a row that the batch does not have")
    return reasons
