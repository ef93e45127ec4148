"""DuckDB, one SQL query: windows, a join for the codes, one list a user."""

from __future__ import annotations

import duckdb
import pyarrow.compute as pc

from benchmarks.contestants.task import CUT_US, GAP_US

VERSION = f"duckdb {duckdb.__version__}"
_QUERY = """
WITH clicks AS (SELECT user_id, item_id, occurred_at FROM read_parquet($clicks)),
codes AS (SELECT item_id, row_number() OVER (ORDER BY item_id) AS item FROM (SELECT DISTINCT item_id FROM clicks)),
marked AS (
  SELECT user_id, item, occurred_at,
    coalesce(occurred_at - lag(occurred_at) OVER (PARTITION BY user_id ORDER BY occurred_at) > $gap, true) AS starts
  FROM clicks JOIN codes USING (item_id))
SELECT user_id, list(item ORDER BY occurred_at) AS items, count(*) FILTER (WHERE starts) AS sessions,
  count(*) FILTER (WHERE occurred_at < $cut) AS train, count(*) AS events, max(item) AS last
FROM marked GROUP BY user_id
"""


def run(clicks: str, _folder: str) -> dict[str, int]:
    """Sessions, time split and lists; nothing is written."""
    found = duckdb.connect().execute(_QUERY, {"clicks": clicks, "gap": GAP_US, "cut": CUT_US}).to_arrow_table()
    items = pc.max(found.column("last")).as_py()
    return {"users": found.num_rows, "items": items} | {name: pc.sum(found.column(name)).as_py() for name in ("sessions", "train", "events")}
