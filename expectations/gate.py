"""The gate: what of a batch may go on, what goes to quarantine, and whether the whole batch is held.

Great Expectations runs on pandas here, so Arrow becomes pandas at this door and nowhere else. The rows that come out are
cut from the Arrow table that came in. An exception inside a check holds the batch too, but says that the check failed, not the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.history import Measure, Past, compare
from expectations.profile import profile
from expectations.receipt import HOLD, PASS, Check, check, measure_check, reasons_of, share_check, verdict
from expectations.rules import HISTORY, Suite, has_suite, read_suite
from expectations.validation import validate
from footfall.contracts import CONTRACTS, EVENT_TYPES, LIVE_ORIGIN, C
from footfall.documents import Verdict
from footfall.params import Ingest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HOLD", "PASS", "Judgement", "Past", "judge"]
EARLIEST = "1990-01-01T00:00:00+00:00"
"""Before any shop's first event: seconds or milliseconds taken for microseconds fall in 1970."""
CATALOGUE_ITEM_ID = "catalogue_item_id"
"""Joined at the door: the item as the product table has it, null when it does not. (A set of 92,000 ids as an argument costs 13 s a batch.)"""
LIVE_DELAY_S = "live_delay_s"
"""Made at the door: seconds from its occurrence to its receipt of an event that came in by HTTP, null for any other."""
FILE_DELAY_S = "file_delay_s"
"""The same of an event that came in any other way."""
ACCEPTED_BEFORE = "accepted_before"
"""Joined at the door: whether an accepted batch of the same days has the event."""


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
    past: Past | None = None,
) -> Judgement:
    """Hold `table` against the suite of its contract.

    Args:
        contract_name: events, catalogue or users.
        subject: what is judged, for the receipt: a batch id, or "canonical events".
        known_items: ids of the product table; without them no item is called unknown.
        until: the first moment that the batch may not contain.
        arrival: how late and how early a live event may come; only what enters is asked, so that narrower bounds leave the past alone.
        past: the accepted batches before this one; without it nothing is compared and the receipt has no profile.

    Raises:
        ContractError: the table has another shape (that is no matter for the gate), or there is no suite.
    """
    suite = read_suite(contract_name)
    past = past if has_suite(contract_name, HISTORY) else None
    table = CONTRACTS[contract_name].check(table, where=subject)
    given = {"known_items": known_items, "until": until, "arrival": arrival, "past": past, "covers": past and past.covers}
    rules = [rule for rule in suite.rules if rule.needs is None or given[rule.needs] is not None]
    results = validate(_to_pandas(table, suite, known_items, past), rules, _parameters(until, arrival, past))
    reasons = reasons_of(rules, results, table.num_rows)
    checks = [check(rule, results[rule.key], table) for rule in rules]
    checks.append(share_check(suite, reasons, table.num_rows))
    counted = measures = None
    if past is not None:
        counted = profile(contract_name, table, past.covers and (past.covers[0].isoformat(), past.covers[1].isoformat()))
        measured, compared = _against_history(contract_name, counted, past)
        measures = [measure.as_dict() for measure in measured]
        checks += compared
    final = {rule.says for rule in suite.rules if rule.final}
    said = verdict(contract_name, subject, table.num_rows, reasons, checks, final)
    return Judgement(dataclasses.replace(said, profile=counted, measures=measures), *_part(table, reasons))


def _against_history(contract_name: str, counted: dict[str, Any], past: Past) -> tuple[list[Measure], list[Check]]:
    """The batch's measures, and what the rules about them say."""
    suite = read_suite(contract_name, HISTORY)
    measures = compare(contract_name, counted, past, suite.limits)
    kinds = {measure.kind for measure in measures}
    asked = [rule for rule in suite.rules if rule.kind in kinds]
    results = validate(_measures_to_pandas(measures), asked, {}) if asked else {}
    return measures, [measure_check(rule, results.get(rule.key), measures) for rule in suite.rules]


def _parameters(until: datetime | None, arrival: Ingest | None, past: Past | None) -> dict[str, Any]:
    """What the suite's rules name by `$PARAMETER`."""
    parameters: dict[str, Any] = {"event_types": list(EVENT_TYPES), "earliest": EARLIEST, "until": until}
    if arrival is not None:
        parameters |= {"lateness_s": arrival.lateness_hours * 3600, "ahead_s": -arrival.ahead_minutes * 60}
    if past is not None and past.covers is not None:
        parameters["first_day"] = datetime.combine(past.covers[0], time(), UTC)
    return parameters


def _part(table: pa.Table, reasons: dict[int, str]) -> tuple[pa.Table, pa.Table]:
    """(good rows, bad rows with their reasons), both in the order of `table`."""
    rows = np.array(sorted(reasons), np.int64)
    bad = table.take(pa.array(rows)).append_column(C.REASON, pa.array([reasons[row] for row in rows.tolist()], pa.string()))
    if not len(rows):
        return table, bad
    good = np.ones(table.num_rows, np.bool_)
    good[rows] = False
    return table.filter(pa.array(good)), bad


def _to_pandas(table: pa.Table, suite: Suite, known_items: Collection[str] | None, past: Past | None) -> pd.DataFrame:
    needed = [name for name in table.column_names if name in {*suite.columns, C.EVENT_TYPE}]
    frame = table.select(needed)
    if CATALOGUE_ITEM_ID in suite.columns:
        items = table.column(C.ITEM_ID)
        known = pc.is_in(items, value_set=pa.array(sorted(known_items or ()), pa.string()))
        frame = frame.append_column(CATALOGUE_ITEM_ID, pc.if_else(known, items, pa.scalar(None, pa.string())))
    if ACCEPTED_BEFORE in suite.columns:
        ids = pa.array(sorted(past.accepted_ids) if past else [], pa.string())
        frame = frame.append_column(ACCEPTED_BEFORE, pc.is_in(table.column(C.EVENT_ID), value_set=ids))
    for name, live in ((LIVE_DELAY_S, True), (FILE_DELAY_S, False)):
        if name in suite.columns:
            frame = frame.append_column(name, _delay_s(table, live=live))
    rows: pd.DataFrame = frame.to_pandas()
    return rows


def _delay_s(table: pa.Table, *, live: bool) -> pa.ChunkedArray:
    occurred, received = (table.column(name).cast(pa.int64()) for name in (C.OCCURRED_AT, C.RECEIVED_AT))
    seconds = pc.divide(pc.subtract(received, occurred).cast(pa.float64()), 1e6)
    by_http = pc.equal(table.column(C.ORIGIN), LIVE_ORIGIN)
    return pc.if_else(by_http if live else pc.invert(by_http), seconds, pa.scalar(None, pa.float64()))


def _measures_to_pandas(measures: list[Measure]) -> pd.DataFrame:
    columns = {"kind": pa.string(), "value": pa.float64(), "low": pa.float64(), "high": pa.float64()}
    table = pa.table({name: pa.array([getattr(measure, name) for measure in measures], kind) for name, kind in columns.items()})
    rows: pd.DataFrame = table.to_pandas()
    return rows
