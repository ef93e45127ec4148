"""What a session on a database server is asked for: commits that are on disk before they are answered, and no lock held by the dead."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, Connection

ORPHAN_S = 60
"""After so long inside a transaction without a word, a client is taken for gone: its machine or its network was lost without a goodbye.

Until the server lets go of its rows, whoever sends the same events again waits behind it. Servers themselves would wait for hours.
"""

_POSTGRESQL_WIRE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""The same the other way round: seconds (the last: milliseconds) until a server that vanished is noticed."""


def connect_arguments(url: URL) -> dict[str, Any]:
    """What the driver is told when it connects."""
    if url.get_backend_name() in ("mysql", "mariadb"):
        return {"connect_timeout": 3, "charset": "utf8mb4", "read_timeout": 60, "write_timeout": 60}
    return {"connect_timeout": 3, **_POSTGRESQL_WIRE}


def prepare_session(connection: Any, _record: object = None) -> None:
    """Ask a new connection of a driver for durable commits and an end of orphaned transactions."""
    with connection.cursor() as cursor:
        if hasattr(connection, "pgconn"):
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{ORPHAN_S}s'")
            cursor.execute("SHOW synchronous_commit")
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
        elif "MariaDB" in connection.get_server_info():  # MySQL has no such limit
            cursor.execute(f"SET SESSION idle_transaction_timeout = {ORPHAN_S}")
    connection.commit()


def weakness(connection: Connection) -> str | None:
    """What keeps a commit from surviving a power cut, as `setting = value`; None when nothing does. Only MariaDB's and MySQL's is not ours to set."""
    if connection.dialect.name not in ("mysql", "mariadb"):
        return None
    flushed: int = connection.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar_one()
    return None if flushed == 1 else f"innodb_flush_log_at_trx_commit = {flushed}"
