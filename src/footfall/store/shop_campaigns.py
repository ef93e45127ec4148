"""Campaigns as the shop tells them: what is advertised, and when."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.contracts import CAMPAIGNS, C
from footfall.errors import ContractError
from footfall.store import revisions
from footfall.store.engine import reading, writing
from footfall.store.moments import to_us
from footfall.store.rows import check_text, to_rows, to_table
from footfall.store.tables import UPDATED_AT, campaigns
from footfall.store.upserts import subject_of, upsert

_NAMES = (*CAMPAIGNS.schema.names, UPDATED_AT)
_STARTS, _ENDS = (CAMPAIGNS.schema.names.index(name) for name in (C.STARTS, C.ENDS))


def put(engine: Engine, table: pa.Table, at: datetime) -> int:
    """Take campaigns as they are told now, each in the place of what was known of it; durable on return. Done again, it changes nothing.

    Args:
        engine: the store.
        table: CAMPAIGNS; of two rows of one campaign the later one counts.
        at: now, for `updated_at`.

    Returns:
        How many campaigns are new or have changed.

    Raises:
        ContractError: the table is no CAMPAIGNS table, or a campaign ends before it starts.
        StoreError: the store cannot be reached, or a value cannot be stored; nothing is changed.
    """
    table = CAMPAIGNS.check(table, where="store campaigns")
    check_text(table, campaigns)
    rows = [(*row, to_us(at)) for row in to_rows(table, _NAMES[:-1])]
    if any(row[_STARTS] >= row[_ENDS] for row in rows):
        raise ContractError(
            "campaign is over before it starts", where=f"campaigns.{C.ENDS}", expected="a moment after starts", found="an earlier one"
        )
    with writing(engine) as connection:
        return upsert(connection, campaigns, _NAMES, rows)


def running(engine: Engine, at: datetime) -> pa.Table:
    """CAMPAIGNS with starts <= at < ends, in the contract's order."""
    return _read(engine, campaigns.c.starts <= to_us(at), campaigns.c.ends > to_us(at))


def everything(engine: Engine) -> pa.Table:
    """All CAMPAIGNS, in the contract's order."""
    return _read(engine)


def revision(engine: Engine) -> int:
    """A number that is another after every change of any campaign; see `revisions`."""
    return revisions.current(engine, subject_of(campaigns))


def _read(engine: Engine, *where: sa.ColumnElement[bool]) -> pa.Table:
    query = sa.select(*[campaigns.c[name] for name in CAMPAIGNS.schema.names]).where(*where)
    with reading(engine) as connection:
        return to_table(CAMPAIGNS, connection.execute(query).all())
