"""When and from where a consent came; erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footfall.store.tables import Id, Words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns of consents, and the table of erasures."""
    op.add_column("footfall_consents", sa.Column("recorded_at", sa.BigInteger))
    op.add_column("footfall_consents", sa.Column("source", Id(64)))
    op.create_table(
        "footfall_erasures",
        sa.Column("erasure_id", Id(64), primary_key=True),
        sa.Column("subject", Id(64), nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("certificate", Words),
    )
    op.create_index("footfall_erasures_by_subject", "footfall_erasures", ["subject"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("footfall_erasures")
    with op.batch_alter_table("footfall_consents") as consents:
        consents.drop_column("source")
        consents.drop_column("recorded_at")
