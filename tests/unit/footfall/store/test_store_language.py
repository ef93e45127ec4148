"""A PostgreSQL whose language puts `a` before `B`: histories are still in the order in which the model learnt them, which is that of the bytes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from footfall.store import Engine, events, open_store
from footfall.store.moments import to_us
from tests.databases import SERVERS
from tests.unit.footfall.store.store_rows import NOON, event, events_table

LATER = to_us(NOON + timedelta(days=1))


@pytest.fixture
def english() -> Iterator[Engine]:
    admin = sa.create_engine(SERVERS["postgresql"], isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    name = f"footfall_test_{uuid.uuid4().hex[:12]}"
    try:
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"))
    except sa.exc.OperationalError:
        admin.dispose()
        if os.environ.get("CI"):
            pytest.fail("postgresql does not answer")
        pytest.skip("postgresql does not answer")
    engine = open_store(sa.make_url(SERVERS["postgresql"]).set(database=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    admin.dispose()


@pytest.mark.parametrize("signals", [False, True])
def test_a_basket_is_cut_where_training_cuts_it(english: Engine, signals: bool) -> None:
    names = ["a-1", "B-2", "a2", "b1", "C", "_"]
    events.append(english, events_table(*[event(name) for name in names]))
    with english.connect() as connection:
        history = events.history_on(connection, "u1", LATER, 4, signals=signals)
        assert list(connection.execute(sa.text("SELECT event_id FROM footfall_events ORDER BY event_id")).scalars()) != sorted(names)
    assert history.item_ids == [f"item-{name}" for name in sorted(names)[-4:]]
