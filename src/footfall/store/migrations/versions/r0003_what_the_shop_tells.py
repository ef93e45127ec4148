"""What the shop tells: items, users, relations, campaigns, the merchant's rules and their changes; and the number of the last change of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footfall.store.tables import Id, Words

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _make_items()
    _make_people()
    _make_rules()


def downgrade() -> None:
    """Drop them."""
    for name in ("revisions", "rule_changes", "rules", "campaigns", "relations", "users", "items"):
        op.drop_table(f"footfall_{name}")


def _make_items() -> None:
    op.create_table(
        "footfall_items",
        sa.Column("item_id", Id(128), primary_key=True),
        sa.Column("title", Words, nullable=False),
        sa.Column("description", Words),
        sa.Column("brand", Id(128)),
        sa.Column("category_path", Id(512), nullable=False),
        sa.Column("price_minor", sa.BigInteger),
        sa.Column("currency", Id(8)),
        sa.Column("image", Words),
        sa.Column("attributes", Words, nullable=False),
        sa.Column("available_from", sa.BigInteger),
        sa.Column("available", sa.SmallInteger, nullable=False),
        sa.Column("recommendable", sa.SmallInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "footfall_campaigns",
        sa.Column("campaign_id", Id(128), primary_key=True),
        sa.Column("kind", Id(64), nullable=False),
        sa.Column("starts", sa.BigInteger, nullable=False),
        sa.Column("ends", sa.BigInteger, nullable=False),
        sa.Column("items", Words, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )


def _make_people() -> None:
    op.create_table(
        "footfall_users",
        sa.Column("user_id", Id(64), primary_key=True),
        sa.Column("attributes", Words, nullable=False),
        sa.Column("first_seen_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "footfall_relations",
        sa.Column("user_id", Id(64), primary_key=True),
        sa.Column("other_user_id", Id(64), primary_key=True),
        sa.Column("kind", Id(32), primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index("footfall_relations_by_other", "footfall_relations", ["other_user_id"])


def _make_rules() -> None:
    op.create_table(
        "footfall_rules",
        sa.Column("rule_id", Id(64), primary_key=True),
        sa.Column("document", Words, nullable=False),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "footfall_rule_changes",
        sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("rule_id", Id(64), nullable=False),
        sa.Column("who", Id(128), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("document_before", Words),
        sa.Column("document_after", Words),
    )
    op.create_index("footfall_rule_changes_by_rule", "footfall_rule_changes", ["rule_id", "seq"])
    op.create_table(
        "footfall_revisions",
        sa.Column("subject", Id(32), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
