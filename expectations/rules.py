"""Reading the suites: JSON in Great Expectations' own form, with a few words of ours in each rule's `meta`.

`level` is "row" (its failing rows go to quarantine with `reason`) or "batch" (a failure holds the whole batch);
`needs` names an argument of `judge` without which the rule is not asked. `alone` keeps its rows out of the share of bad rows:
they say something of their sender, not of the batch. `final` is a rule that nobody can waive: what breaks it would break what comes after the gate.
`kind` names the measures that a rule of history is about. `says` is the rule in words, for receipts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from footfall.errors import ContractError

FOLDER = Path(__file__).parent / "suites"
HISTORY = FOLDER / "history"
"""Suites about measures: a batch against the accepted ones before it."""


@dataclass(frozen=True)
class Rule:
    """One expectation, as it stands in the file."""

    type: str
    kwargs: dict[str, Any]
    severity: str
    level: str
    says: str
    reason: str | None
    needs: str | None
    alone: bool = False
    final: bool = False
    kind: str | None = None

    @property
    def key(self) -> str:
        """What tells this rule from the others of its suite; it travels through Great Expectations as `meta`."""
        return f"{self.level}: {self.says}"


@dataclass(frozen=True)
class Suite:
    """The rules of one contract, and the share of bad rows above which a batch of at least `share_from_rows` rows is held.

    `limits` of a suite of history say by kind of measure what is allowed (`expectations.history`).
    """

    name: str
    rules: tuple[Rule, ...]
    max_bad_share: float
    share_from_rows: int
    limits: dict[str, dict[str, int]]

    @property
    def columns(self) -> list[str]:
        """Columns that the rules look at."""
        return sorted({rule.kwargs["column"] for rule in self.rules if "column" in rule.kwargs})


@lru_cache(maxsize=16)
def read_suite(contract_name: str, folder: Path = FOLDER) -> Suite:
    """The suite of one contract.

    Raises:
        ContractError: there is no suite of that name.
    """
    path = folder / f"{contract_name}.json"
    if not path.exists():
        names = ", ".join(sorted(file.stem for file in folder.glob("*.json")))
        raise ContractError("no suite for this contract", where=path, expected=names, found=contract_name)
    document = json.loads(path.read_text(encoding="utf-8"))
    rules = tuple(_rule(entry) for entry in document["expectations"])
    meta = document["meta"]
    return Suite(document["name"], rules, meta.get("max_bad_share", 1.0), meta.get("max_bad_share_from_rows", 0), meta.get("limits", {}))


def has_suite(contract_name: str, folder: Path = FOLDER) -> bool:
    """Whether there is a suite of one contract."""
    return (folder / f"{contract_name}.json").exists()


def _rule(entry: dict[str, Any]) -> Rule:
    meta = entry["meta"]
    return Rule(
        entry["type"],
        entry["kwargs"],
        entry["severity"],
        meta["level"],
        meta["says"],
        meta.get("reason"),
        meta.get("needs"),
        meta.get("alone", False),
        meta.get("final", False),
        meta.get("kind"),
    )
