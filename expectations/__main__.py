"""`python -m expectations validate`: the DVC stage that judges the canonical tables.

Writes reports/validation.json without run ids or times, so that equal tables give equal bytes, and exits 1 on a hold: that exit
status is what stops `dvc repro`. A row that belongs in quarantine is a fault here, because landing should have set it aside.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from expectations.gate import HOLD, PASS, judge
from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.documents import Verdict
from footfall.errors import FootfallError, HoldError
from footfall.manifest import CACHE, check_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.tables import read_parquet, write_text

SCHEMA = "footfall.validation/1"


def validate(paths: Paths, params: Params) -> list[Verdict]:
    """Judge the three canonical tables and write the report. Returns the verdicts.

    Raises:
        SourceError: a table cannot be read.
    """
    check_manifest(paths.tables, next_step=f"{CACHE}, or dvc repro --force events")
    tables = {
        contract.name: read_parquet(paths.tables / f"{contract.name}.parquet", next_step="dvc repro events")
        for contract in (CATALOGUE, USERS, EVENTS)
    }
    known = frozenset(tables[CATALOGUE.name].column(C.ITEM_ID).to_pylist())
    verdicts = []
    for name, table in tables.items():
        verdict = judge(name, table, subject=f"canonical {name}", known_items=known, until=params.data.as_of).verdict
        verdicts.append(_without_bad_rows(verdict.without_samples()))  # the report is kept in git, and rows are not
    outcome = HOLD if any(verdict.outcome == HOLD for verdict in verdicts) else PASS
    report = {"schema": SCHEMA, "outcome": outcome, "tables": {verdict.contract: verdict.as_dict() for verdict in verdicts}}
    write_text(paths.validation_report, json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return verdicts


def _without_bad_rows(verdict: Verdict) -> Verdict:
    if verdict.outcome == HOLD or not verdict.quarantined:
        return verdict
    return dataclasses.replace(
        verdict, outcome=HOLD, next_step="these rows belong in quarantine: delete their batch below data/raw, then: footfall ingest"
    )


def require_pass(verdicts: list[Verdict], paths: Paths) -> None:
    """Raise `HoldError` naming the first rule that holds a table."""
    for verdict in verdicts:
        if verdict.outcome == HOLD:
            broken = [check for check in verdict.checks if not check["ok"]]
            first = next((check for check in broken if check["error"] or check["severity"] == "batch"), broken[0])
            raise HoldError(
                f"{verdict.subject} are held by rule {first['rule']}",
                where=paths.validation_report,
                expected=first["expected"],
                found=first["error"] or first["observed"],
                next_step=verdict.next_step,
            )


def main(arguments: list[str] | None = None) -> int:
    """Run one command below the current directory; 1 on a hold or an error."""
    parser = argparse.ArgumentParser(prog="python -m expectations", description="Judge the canonical tables.")
    parser.add_argument("command", choices=["validate"])
    parser.parse_args(arguments)
    paths = Paths.here()
    try:
        require_pass(validate(paths, load_params(paths.params)), paths)
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
