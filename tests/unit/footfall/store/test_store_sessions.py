"""Sessions on a server: a commit is on disk before it is answered, and whoever vanished inside a transaction is not waited for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import MagicMock

import pytest
import sqlalchemy as sa

from footfall.errors import StoreError
from footfall.store import Engine, events, open_store, sessions
from footfall.store.engine import reading, writing
from footfall.store.sessions import weakness
from tests.unit.footfall.store.store_rows import event, events_table
from tests.wire import Wire


def test_who_vanished_inside_a_transaction_is_not_waited_for(server_url: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ORPHAN_S", 1)
    vanishing = open_store(sa.make_url(server_url).set(host="127.0.0.1", port=wire.port).render_as_string(hide_password=False))
    other, rows = open_store(server_url), events_table(event("e1"))

    def vanish(thread: ThreadPoolExecutor) -> None:
        with writing(vanishing) as connection:
            assert events.append_in(connection, rows).accepted == 1
            wire.hold()
            assert thread.submit(events.append, other, rows).result(30).accepted == 1
            wire.mend()

    with ThreadPoolExecutor(1) as thread, pytest.raises(StoreError):
        vanish(thread)
    vanishing.dispose()
    other.dispose()


def test_postgresql_commits_to_disk_even_where_its_administrator_turned_that_off(postgresql_url: str) -> None:
    name = sa.make_url(postgresql_url).database
    plain = sa.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with plain.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        engine = open_store(postgresql_url)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        engine.dispose()
    finally:
        with plain.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} RESET synchronous_commit")
        plain.dispose()


def test_a_store_that_a_power_cut_can_rob_of_events_is_named(engine: Engine) -> None:
    with reading(engine) as connection:
        assert weakness(connection) is None
    lazy = MagicMock()
    lazy.dialect.name = "mariadb"
    lazy.exec_driver_sql.return_value.scalar_one.return_value = 2
    assert weakness(lazy) == "innodb_flush_log_at_trx_commit = 2"
