"""Rules in the store, and the audit that says who changed what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from footfall.errors import ContractError, StoreError
from footfall.rules import Rule
from footfall.store import Engine, rules
from footfall.store import tables as declared
from tests.unit.footfall.store.store_rows import NOON

HIDE = Rule("hide", "exclude", brands=["Acme"])
PIN = Rule("Pin", "pin", items=["牛奶"], position=1, starts="2017-11-01T00:00:00+00:00", note='it\'s for "spring"')
LATER = NOON + timedelta(hours=1)


def test_rules_come_back_as_they_were_put(engine: Engine) -> None:
    assert rules.put(engine, [HIDE, PIN], who="anna", at=NOON) == 2
    assert rules.list_all(engine) == rules.active(engine) == [PIN, HIDE]


def test_a_disabled_rule_is_kept_and_not_active(engine: Engine) -> None:
    rules.put(engine, [HIDE, replace(PIN, enabled=False)], who="anna", at=NOON)
    assert rules.active(engine) == [HIDE]
    assert len(rules.list_all(engine)) == 2


def test_every_change_leaves_a_line_and_nothing_else_does(engine: Engine) -> None:
    rules.put(engine, [HIDE], who="anna", at=NOON)
    changed = replace(HIDE, brands=["Bell"])
    assert rules.put(engine, [PIN, HIDE, changed], who="bert", at=LATER) == 2
    assert rules.put(engine, [changed, PIN], who="carl", at=LATER) == 0
    assert rules.remove(engine, "hide", who="dora", at=LATER)
    assert not rules.remove(engine, "hide", who="emil", at=LATER)

    told = [(one.rule_id, one.who, one.changed_at, one.before, one.after) for one in rules.changes(engine, 10)]

    assert told == [
        ("hide", "dora", LATER, changed, None),
        ("hide", "bert", LATER, HIDE, changed),
        ("Pin", "bert", LATER, None, PIN),
        ("hide", "anna", NOON, None, HIDE),
    ]
    assert [one.who for one in rules.changes(engine, 2, rule_id="hide")] == ["dora", "bert"]
    assert rules.list_all(engine) == [PIN]


def test_the_number_of_the_last_change_is_another_after_each_and_only_then(engine: Engine) -> None:
    seen = [rules.revision(engine)]
    for step in (lambda: rules.put(engine, [HIDE], who="a", at=NOON), lambda: rules.remove(engine, "hide", who="a", at=NOON)) * 2:
        step()
        seen.append(rules.revision(engine))
    assert len(set(seen)) == 5
    rules.remove(engine, "hide", who="a", at=NOON)
    assert rules.revision(engine) == seen[-1]
    assert seen[0] == 0


def test_more_rules_than_a_slate_can_ask_are_refused_whole(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_RULES", 2)
    rules.put(sqlite, [HIDE, PIN], who="a", at=NOON)
    with pytest.raises(ContractError, match="too many rules"):
        rules.put(sqlite, [replace(HIDE, priority=3), replace(HIDE, rule_id="third")], who="a", at=NOON)
    assert rules.list_all(sqlite) == [PIN, HIDE]
    assert len(rules.changes(sqlite, 10)) == 2


def test_a_damaged_rule_is_an_error_of_the_store(sqlite: Engine) -> None:
    rules.put(sqlite, [HIDE], who="a", at=NOON)
    with sqlite.begin() as connection:
        connection.execute(sa.update(declared.rules).values(document=HIDE.to_json().replace("exclude", "explode")))
    with pytest.raises(StoreError, match="damaged") as caught:
        rules.active(sqlite)
    assert caught.value.where == "rule.kind"
