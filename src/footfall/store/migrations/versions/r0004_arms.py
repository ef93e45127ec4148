"""Shadow and canary: which releases stand beside the champion."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footfall.store.tables import Id

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "footfall_arms",
        sa.Column("arm", Id(32), primary_key=True),
        sa.Column("release_id", Id(64), nullable=False, unique=True),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("footfall_arms")
