"""The gate: what of a batch may go on, what goes to quarantine, and whether the whole batch is held.

Great Expectations runs on pandas here, so Arrow becomes pandas at this door and nowhere else. The rows that come out are
cut from the Arrow table that came in. An exception inside a check holds the batch too, but says that the check failed, not the data.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.rules import Rule, Suite, read_suite
from footfall.contracts import CONTRACTS, EVENT_TYPES, LIVE_ORIGIN, C
from footfall.documents import Verdict
from footfall.params import Ingest
from footfall.settings import TELEMETRY_OFF

if TYPE_CHECKING:
    import pandas as pd

PASS, HOLD = "pass", "hold"
EARLIEST = "1990-01-01T00:00:00+00:00"
"""Before any shop's first event: seconds or milliseconds taken for microseconds fall in 1970."""
CATALOGUE_ITEM_ID = "catalogue_item_id"
"""Joined at the door: the item as the product table has it, null when it does not. (A set of 92,000 ids as an argument costs 13 s a batch.)"""
LIVE_DELAY_S = "live_delay_s"
"""Made at the door: seconds from its occurrence to its receipt of an event that came in by HTTP, null for any other."""
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Judgement:
    """The verdict, the rows that may go on, and the bad rows (contract columns and `reason`)."""

    verdict: Verdict
    good: pa.Table
    bad: pa.Table

    @property
    def held(self) -> bool:
        """Whether the whole batch is held."""
        return self.verdict.outcome == HOLD


def judge(
    contract_name: str,
    table: pa.Table,
    *,
    subject: str,
    known_items: Collection[str] | None = None,
    until: datetime | None = None,
    arrival: Ingest | None = None,
) -> Judgement:
    """Hold `table` against the suite of its contract.

    Args:
        contract_name: events, catalogue or users.
        subject: what is judged, for the receipt: a batch id, or "canonical events".
        known_items: ids of the product table; without them no item is called unknown.
        until: the first moment that the batch may not contain.
        arrival: how late and how early a live event may come; only what enters is asked, so that narrower bounds leave the past alone.

    Raises:
        ContractError: the table has another shape (that is no matter for the gate), or there is no suite.
    """
    suite = read_suite(contract_name)
    table = CONTRACTS[contract_name].check(table, where=subject)
    given = {"known_items": known_items, "until": until, "arrival": arrival}
    rules = [rule for rule in suite.rules if rule.needs is None or given[rule.needs] is not None]
    parameters: dict[str, Any] = {"event_types": list(EVENT_TYPES), "earliest": EARLIEST, "until": until}
    if arrival is not None:
        parameters |= {"lateness_s": arrival.lateness_hours * 3600, "ahead_s": -arrival.ahead_minutes * 60}
    frame = _to_pandas(table, suite, known_items)
    results = _validate(frame, rules, parameters)
    reasons = _reasons(rules, results, table.num_rows)
    checks = [_check(rule, results[rule.key], table.num_rows) for rule in rules]
    checks.append(_share_check(suite, reasons, table.num_rows))
    verdict = _verdict(contract_name, subject, table.num_rows, reasons, checks)
    return Judgement(verdict, *_part(table, reasons))


def _part(table: pa.Table, reasons: dict[int, str]) -> tuple[pa.Table, pa.Table]:
    """(good rows, bad rows with their reasons), both in the order of `table`."""
    rows = np.array(sorted(reasons), np.int64)
    bad = table.take(pa.array(rows)).append_column(C.REASON, pa.array([reasons[row] for row in rows.tolist()], pa.string()))
    if not len(rows):
        return table, bad
    good = np.ones(table.num_rows, np.bool_)
    good[rows] = False
    return table.filter(pa.array(good)), bad


def _to_pandas(table: pa.Table, suite: Suite, known_items: Collection[str] | None) -> pd.DataFrame:
    needed = [name for name in table.column_names if name in {*suite.columns, C.EVENT_TYPE}]
    frame = table.select(needed)
    if CATALOGUE_ITEM_ID in suite.columns:
        items = table.column(C.ITEM_ID)
        known = pc.is_in(items, value_set=pa.array(sorted(known_items or ()), pa.string()))
        frame = frame.append_column(CATALOGUE_ITEM_ID, pc.if_else(known, items, pa.scalar(None, pa.string())))
    if LIVE_DELAY_S in suite.columns:
        frame = frame.append_column(LIVE_DELAY_S, _live_delay_s(table))
    rows: pd.DataFrame = frame.to_pandas()
    return rows


def _live_delay_s(table: pa.Table) -> pa.ChunkedArray:
    occurred, received = (table.column(name).cast(pa.int64()) for name in (C.OCCURRED_AT, C.RECEIVED_AT))
    seconds = pc.divide(pc.subtract(received, occurred).cast(pa.float64()), 1e6)
    return pc.if_else(pc.equal(table.column(C.ORIGIN), LIVE_ORIGIN), seconds, pa.scalar(None, pa.float64()))


def _validate(frame: pd.DataFrame, rules: list[Rule], parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Results by rule key, as plain dictionaries."""
    os.environ.update({name: os.environ.get(name, value) for name, value in TELEMETRY_OFF.items()})
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    # Great Expectations keeps its context in a global, so threads take turns.
    with _ONE_AT_A_TIME:
        # Without a documentation site, which would leave a folder in /tmp for each context.
        stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        quiet = ProgressBarsConfig(globally=False, metric_calculations=False)
        context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores, progress_bars=quiet))
        batch = (
            context.data_sources.add_pandas("door")
            .add_dataframe_asset("rows")
            .add_batch_definition_whole_dataframe("all")
            .get_batch({"dataframe": frame})
        )
        expectations = [{"type": rule.type, "kwargs": rule.kwargs, "severity": rule.severity, "meta": {"key": rule.key}} for rule in rules]
        suite = gx.ExpectationSuite(name="rules", expectations=expectations)
        # One call, because each hashes the whole frame. COMPLETE names every failing row.
        outcome = batch.validate(suite, result_format={"result_format": "COMPLETE"}, expectation_parameters=parameters)
    results = {}
    for result in outcome.results:
        config = result.expectation_config
        if config is None:
            raise RuntimeError("Great Expectations gave a result without its expectation")
        results[config.meta["key"]] = {"success": result.success, "result": result.result, "error": _error(result.exception_info)}
    return results


def _error(info: dict[str, Any] | None) -> str | None:
    """The message of an exception inside a check; Great Expectations nests it by metric, or not."""
    if not info:
        return None
    if "raised_exception" in info:
        return str(info["exception_message"]).strip().splitlines()[0] if info["raised_exception"] else None
    messages = [_error(inner) for inner in info.values() if isinstance(inner, dict)]
    return next((message for message in messages if message), None)


def _reasons(rules: list[Rule], results: dict[str, dict[str, Any]], rows: int) -> dict[int, str]:
    """Row number -> why it is bad; a row with several faults has the first in the suite's order."""
    reasons: dict[int, str] = {}
    for rule in rules:
        if rule.reason is not None:
            for row in results[rule.key]["result"].get("unexpected_index_list") or ():
                reasons.setdefault(int(row), rule.reason)
    if any(not 0 <= row < rows for row in reasons):
        raise RuntimeError("Great Expectations named a row that the batch does not have")
    return reasons


def _check(rule: Rule, outcome: dict[str, Any], rows: int) -> dict[str, Any]:
    result = outcome["result"]
    if "unexpected_count" in result:
        observed: object = f"{result['unexpected_count']} of {result.get('element_count', rows)} rows break it"
    else:
        observed = str(result["observed_value"]) if result.get("observed_value") is not None else None
    ok = bool(outcome["success"]) and outcome["error"] is None
    mostly = rule.kwargs.get("mostly")
    expected = rule.says if mostly is None else f"{rule.says} (at least {mostly:.0%})"
    return {"rule": rule.reason or rule.type, "severity": rule.level, "ok": ok, "expected": expected, "observed": observed, "error": outcome["error"]}


def _share_check(suite: Suite, reasons: dict[int, str], rows: int) -> dict[str, Any]:
    """A few bad rows are set aside; many mean that the batch itself is broken."""
    alone = {rule.reason for rule in suite.rules if rule.alone}
    bad = sum(reason not in alone for reason in reasons.values())
    ok = rows < suite.share_from_rows or bad <= suite.max_bad_share * rows
    expected = f"at most {suite.max_bad_share:.0%} of the rows are bad (asked from {suite.share_from_rows} rows)"
    return {"rule": "bad_row_share", "severity": "batch", "ok": ok, "expected": expected, "observed": f"{bad} of {rows} rows are bad", "error": None}


def _verdict(contract_name: str, subject: str, rows: int, reasons: dict[int, str], checks: list[dict[str, Any]]) -> Verdict:
    errors = [check for check in checks if check["error"] is not None]
    broken = [check for check in checks if check["severity"] == "batch" and not check["ok"]]
    outcome = HOLD if errors or broken else PASS
    quarantined = dict(sorted(Counter(reasons.values()).items()))
    next_step = None
    if errors:
        next_step = f"a check itself failed: mend rule '{errors[0]['rule']}' in expectations/suites/{contract_name}.json, then land the batch again"
    elif broken:
        next_step = f"look at data/quarantine/held/{contract_name}/{subject}, mend the source, then: footfall ingest"
    elif quarantined:
        next_step = f"footfall quarantine show {subject}"
    return Verdict(subject, contract_name, outcome, rows, quarantined, checks, next_step)
