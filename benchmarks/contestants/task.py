"""What every contestant is asked for: the sessions of the clicks by the gap rule, the split at one moment, codes of the items, a sequence a user.

The clicks: a Parquet file of int64 columns user_id, item_id, occurred_at (microseconds) and event_id, in the order of time. A peer gives one list of
item codes a user in memory and need not write anything; ours writes its arrays to disk: items, moments, kinds, session starts, users and offsets.
"""

from __future__ import annotations

DAY_US = 86_400_000_000
START_US = 1_700_006_400_000_000
DAYS = 90
CUT_US = START_US + 80 * DAY_US
"""Events before it are for training."""
GAP_US = 30 * 60 * 1_000_000
"""A longer pause ends a session."""
