"""Run by Alembic. The connection, its transaction and its lock belong to `footfall.store.schema.migrate`."""

from __future__ import annotations

from alembic import context

from footfall.store.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
