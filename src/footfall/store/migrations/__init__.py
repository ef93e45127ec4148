"""Alembic's folder: `env.py` runs it on the connection that `footfall.store.schema` hands over."""
