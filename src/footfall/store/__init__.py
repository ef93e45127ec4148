"""The live store: events, exposures, releases, reviews, consent and what the shop tells, in SQL. SQLite by default, others by URL.

Every function takes the engine that `open_store` returns. Moments are BIGINT microseconds since the epoch, UTC.
A write is durable when its function returns. The store knows nothing of models, HTTP or files other than its own.
"""

from sqlalchemy.engine import Engine

from footfall.store.engine import open_store

__all__ = ["Engine", "open_store"]
