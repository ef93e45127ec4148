"""What becomes of a held batch, each step fit to be done again after a kill: judged once more, let in by a person, or rejected."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from expectations import gate
from expectations.rules import read_suite
from flows.gating import Ingested, judge, settle
from footfall.contracts import EVENTS, C
from footfall.documents import Verdict
from footfall.errors import HoldError
from footfall.paths import Paths
from footfall.sources import held, landing, live
from footfall.store import amendments

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


def let_in(paths: Paths, engine: Engine, folder: Path, rows: pa.Table, released: dict[str, str] | None = None, *, mended: bool = False) -> Verdict:
    """Judge `rows` as the held batch in `folder`, and accept them under its id; bad rows go to quarantine.

    Args:
        released: who waives the rules about the batch, when and why; None waives nothing.
        mended: the rows are not what came in; the store is told, where it has them already.

    Raises:
        HoldError: the gate holds the batch still, or by a rule that nobody can waive. It stays as it was.
    """
    contract, batch_id = folder.parent.name, folder.name
    if rows.num_rows and C.REASON in rows.column_names:
        rows = rows.drop_columns([C.REASON])
    batch = landing.land(paths, contract, batch_id, rows, origin=origin_of(contract, batch_id, rows))
    if batch.landed:  # killed after it was accepted, before its hold was lifted
        verdict = landing.read_receipt(batch.path)
        landing.accept(paths, batch, rows, verdict)
        return verdict
    now = datetime.now(UTC)
    judgement = judge(paths, batch, now)
    if judgement.held:
        try:
            _require_waivable(judgement.verdict, waived=released is not None)
        except HoldError:
            shutil.rmtree(batch.path)  # the candidate: what is held stays where it is
            raise
        judgement = replace(judgement, verdict=replace(judgement.verdict, outcome=gate.PASS, released=released, next_step=None))
    if mended and batch.origin == live.ORIGIN:
        amendments.amend(engine, judgement.good)
    settle(paths, engine, batch, judgement, Ingested(), now)
    return judgement.verdict


def _require_waivable(verdict: Verdict, *, waived: bool) -> None:
    """Raise where the rules of a batch stand: nobody waives them, or these cannot be waived."""
    final = {rule.says for rule in read_suite(verdict.contract).rules if rule.final}
    broken = [check for check in verdict.checks if check["error"] or (check["severity"] == "batch" and not check["ok"])]
    stands = [check for check in broken if check["error"] or check["expected"] in final] if waived else broken
    if stands:
        first = stands[0]
        what = (
            "a check itself failed"
            if first["error"]
            else "the batch breaks a rule that nobody can waive"
            if waived
            else "the gate holds the batch still"
        )
        found = first["error"] or first["observed"]
        raise HoldError(
            what, where=f"batch {verdict.subject}, rule {first['rule']}", expected=first["expected"], found=found, next_step=verdict.next_step
        )


def origin_of(contract: str, batch_id: str, rows: pa.Table) -> str:
    """The source that a batch's rows came from: what they say, else the first part of the id."""
    if contract == EVENTS.name and rows.num_rows:
        return str(rows.column(C.ORIGIN)[0].as_py())
    return live.ORIGIN if batch_id.startswith("live-") else batch_id.split("-", 1)[0]


def event_ids(folder: Path) -> list[str]:
    """Event ids of a held batch that came in by HTTP, which are in histories already; none of any other batch."""
    if folder.parent.name != EVENTS.name:
        return []
    rows = held.read(folder)
    ids: list[str] = rows.column(C.EVENT_ID).to_pylist()
    return ids if origin_of(EVENTS.name, folder.name, rows) == live.ORIGIN else []
