"""The suites as they are committed."""

from __future__ import annotations

import pytest

from expectations.gate import ACCEPTED_BEFORE, CATALOGUE_ITEM_ID, FILE_DELAY_S, LIVE_DELAY_S
from expectations.rules import FOLDER, read_suite
from footfall.contracts import CONTRACTS
from footfall.errors import ContractError

NAMES = [path.stem for path in sorted(FOLDER.glob("*.json"))]


def test_there_is_a_suite_for_each_contract_that_is_landed() -> None:
    assert NAMES == ["catalogue", "events", "exposures", "users"]


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_looks_at_a_column_of_its_contract(name: str) -> None:
    assert set(read_suite(name).columns) <= {*CONTRACTS[name].schema.names, CATALOGUE_ITEM_ID, LIVE_DELAY_S, FILE_DELAY_S, ACCEPTED_BEFORE}


@pytest.mark.parametrize("name", NAMES)
def test_a_row_rule_has_a_reason_and_a_batch_rule_has_none(name: str) -> None:
    suite = read_suite(name)

    assert all((rule.reason is not None) == (rule.level == "row") for rule in suite.rules)
    assert all((rule.severity == "critical") == (rule.level == "batch") for rule in suite.rules)


@pytest.mark.parametrize("name", NAMES)
def test_rules_of_a_suite_can_be_told_apart(name: str) -> None:
    keys = [rule.key for rule in read_suite(name).rules]

    assert len(set(keys)) == len(keys)


def test_a_contract_without_a_suite_is_an_error_that_names_the_suites() -> None:
    with pytest.raises(ContractError, match="catalogue, events, exposures, users"):
        read_suite("vocabulary")
