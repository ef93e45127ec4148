"""Merchant rules in the store, and who changed which of them when: every change leaves a line that stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.errors import ContractError, StoreError
from footfall.rules import Rule
from footfall.store import revisions
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.tables import UPDATED_AT, rule_changes, rules
from footfall.store.upserts import subject_of, upsert

MAX_RULES = 1000
"""On record at once: every slate asks each of them."""
_NAMES = ("rule_id", "document", "enabled", UPDATED_AT)


@dataclass(frozen=True)
class Change:
    """One line of the audit.

    Attributes:
        number: rises with every change.
        rule_id: of which rule.
        who: the name or the role of the key that asked.
        changed_at: UTC.
        before, after: the rule; None before the first change, and after its removal.
    """

    number: int
    rule_id: str
    who: str
    changed_at: datetime
    before: Rule | None
    after: Rule | None


def put(engine: Engine, told: Sequence[Rule], *, who: str, at: datetime) -> int:
    """Keep rules, each in the place of the one with its id; durable on return, with a line of audit for each that has changed.

    Of two rules of one id the later one counts. A rule that is known as it is changes nothing and leaves no line.

    Returns:
        How many rules are new or have changed.

    Raises:
        ContractError: more than MAX_RULES would be on record; nothing is changed.
        StoreError: the store cannot be reached; nothing is changed.
    """
    newest = {rule.rule_id: rule for rule in told}
    with writing(engine) as connection:
        revisions.take_turn(connection, subject_of(rules))
        known = _documents(connection)
        if (found := len(known.keys() | newest.keys())) > MAX_RULES:
            raise ContractError("too many rules", where="rules", expected=f"at most {MAX_RULES}", found=found, next_step="remove some")
        fresh = [rule for _, rule in sorted(newest.items()) if known.get(rule.rule_id) != rule.to_json()]
        for rule in fresh:
            _note(connection, rule.rule_id, who, at, known.get(rule.rule_id), rule.to_json())
        return upsert(connection, rules, _NAMES, [(rule.rule_id, rule.to_json(), int(rule.enabled), to_us(at)) for rule in fresh])


def remove(engine: Engine, rule_id: str, *, who: str, at: datetime) -> bool:
    """Take a rule away, with a line of audit; returns whether there was one.

    Raises:
        StoreError: the store cannot be reached.
    """
    with writing(engine) as connection:
        revisions.take_turn(connection, subject_of(rules))
        before = connection.execute(sa.select(rules.c.document).where(rules.c.rule_id == rule_id)).scalar()
        if before is None:
            return False
        connection.execute(sa.delete(rules).where(rules.c.rule_id == rule_id))
        _note(connection, rule_id, who, at, before, None)
        revisions.renew(connection, subject_of(rules))
        return True


def active(engine: Engine) -> list[Rule]:
    """The enabled rules, by id; places, segments and windows are asked at the request."""
    with reading(engine) as connection:
        return _rules(connection, rules.c.enabled == 1)


def list_all(engine: Engine) -> list[Rule]:
    """All rules on record, by id."""
    with reading(engine) as connection:
        return _rules(connection)


def revision(engine: Engine) -> int:
    """A number that is another after every change of any rule; see `revisions`."""
    return revisions.current(engine, subject_of(rules))


def changes(engine: Engine, limit: int, *, rule_id: str | None = None) -> list[Change]:
    """The newest lines of the audit, newest first; of one rule when it is given."""
    query = sa.select(rule_changes).order_by(rule_changes.c.seq.desc()).limit(limit)
    if rule_id is not None:
        query = query.where(rule_changes.c.rule_id == rule_id)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [
        Change(row.seq, row.rule_id, row.who, from_us(row.changed_at), _rule_of(row.document_before), _rule_of(row.document_after)) for row in rows
    ]


def _rules(connection: Connection, *where: sa.ColumnElement[bool]) -> list[Rule]:
    found = connection.execute(sa.select(rules.c.document).where(*where).order_by(rules.c.rule_id)).scalars()
    return sorted((_read(text) for text in found), key=lambda rule: rule.rule_id)  # databases order text by rules of their own


def _documents(connection: Connection) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(sa.select(rules.c.rule_id, rules.c.document))}


def _note(connection: Connection, rule_id: str, who: str, at: datetime, before: str | None, after: str | None) -> None:
    values = {"rule_id": rule_id, "who": who, "changed_at": to_us(at), "document_before": before, "document_after": after}
    connection.execute(sa.insert(rule_changes).values(**values))


def _rule_of(text: str | None) -> Rule | None:
    return None if text is None else _read(text)


def _read(text: str) -> Rule:
    try:
        return Rule.from_json(text, where="store rules")
    except ContractError as error:
        raise StoreError("a rule in the store is damaged", where=error.where, expected=error.expected, found=error.found) from error
