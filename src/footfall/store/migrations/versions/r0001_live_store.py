"""The live store: events, withdrawals, exports, exposures, releases, reviews, consents.

A revision is frozen once released: it spells its tables out, and does not read `tables.py`, which moves on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footfall.store.tables import Id, Words

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables."""
    _make_events()
    _make_exposures()
    _make_records()


def downgrade() -> None:
    """Drop all tables."""
    for name in ("consents", "reviews", "releases", "exposures", "exports", "withdrawals", "events"):
        op.drop_table(f"footfall_{name}")


def _make_events() -> None:
    op.create_table(
        "footfall_events",
        sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("event_id", Id(128), nullable=False, unique=True),
        sa.Column("user_id", Id(64), nullable=False),
        sa.Column("session_id", Id(128)),
        sa.Column("item_id", Id(128)),
        sa.Column("event_type", Id(16), nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("quantity", sa.BigInteger),
        sa.Column("price_minor", sa.BigInteger),
        sa.Column("currency", Id(8)),
        sa.Column("query", Words),
        sa.Column("rating", sa.Double),
        sa.Column("text", Words),
        sa.Column("duration_s", sa.Double),
        sa.Column("place", Id(128)),
        sa.Column("device", Id(64)),
        sa.Column("campaign_id", Id(128)),
        sa.Column("request_id", Id(64)),
        sa.Column("position", sa.Integer),
        sa.Column("origin", Id(64), nullable=False),
        sa.Column("append_id", sa.BigInteger, nullable=False),
        sa.Column("withdrawn", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("export_batch", Id(64)),
    )
    op.create_index("footfall_events_by_user", "footfall_events", ["user_id", "occurred_at", "event_id", "withdrawn", "event_type", "item_id"])
    op.create_index("footfall_events_by_time", "footfall_events", ["occurred_at"])
    op.create_index("footfall_events_by_export", "footfall_events", ["export_batch"])
    op.create_table(
        "footfall_withdrawals",
        sa.Column("event_id", Id(128), primary_key=True),
        sa.Column("reason", Id(128), nullable=False),
    )
    op.create_table(
        "footfall_exports",
        sa.Column("batch_id", Id(64), primary_key=True),
        sa.Column("day", Id(10), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("exported", sa.SmallInteger, nullable=False, server_default="0"),
    )
    op.create_index("footfall_exports_by_day", "footfall_exports", ["day"])


def _make_exposures() -> None:
    op.create_table(
        "footfall_exposures",
        sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("request_id", Id(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("item_id", Id(128), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("propensity", sa.Double, nullable=False),
        sa.Column("policy", Id(64), nullable=False),
        sa.Column("reason", Id(64), nullable=False),
        sa.Column("user_id", Id(64)),
        sa.Column("shown_at", sa.BigInteger, nullable=False),
        sa.Column("release", Id(64), nullable=False),
        sa.Column("arm", Id(32), nullable=False),
        sa.UniqueConstraint("request_id", "position", name="footfall_exposures_once"),
    )
    op.create_index("footfall_exposures_by_time", "footfall_exposures", ["shown_at"])


def _make_records() -> None:
    op.create_table(
        "footfall_releases",
        sa.Column("release_id", Id(64), primary_key=True),
        sa.Column("model_tag", Id(160), nullable=False),
        sa.Column("state", Id(16), nullable=False),
        sa.Column("champion_slot", sa.SmallInteger, unique=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("git_revision", Id(64)),
        sa.Column("dvc_lock_digest", Id(64)),
        sa.Column("metrics", Words, nullable=False),
        sa.Column("decision", Words),
        sa.Column("parent", Id(64)),
        sa.Column("bento_tag", Id(160)),
    )
    op.create_table(
        "footfall_reviews",
        sa.Column("review_id", Id(64), primary_key=True),
        sa.Column("created_at", Id(40), nullable=False),
        sa.Column("state", Id(16), nullable=False),
        sa.Column("document", Words, nullable=False),
    )
    op.create_table(
        "footfall_consents",
        sa.Column("user_id", Id(64), primary_key=True),
        sa.Column("purpose", Id(32), primary_key=True),
        sa.Column("granted", sa.SmallInteger, nullable=False),
    )
