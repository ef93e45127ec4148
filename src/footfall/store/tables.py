"""The store's tables as SQLAlchemy Core: one place for names, types and indexes; `migrations/` brings a database to them.

All names begin with `footfall_`, so that the store may share a database with others.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from footfall.contracts import C

SCHEMA_REVISION: Final = "0004"
"""The newest revision in `migrations/versions`; a test holds the two together."""

VERSION_TABLE: Final = "footfall_schema"
UPDATED_AT: Final = "updated_at"


class Id(sa.String):
    """Text that is compared byte by byte. MySQL and MariaDB would otherwise take `a`, `A` and `a ` for the same id."""

    inherit_cache = True


@compiles(Id, "mysql", "mariadb")
def _id_on_mysql(kind: Id, compiler: Any, **_: Any) -> str:
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    return f"VARCHAR({kind.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


class Words(sa.Text):
    """Free text of any script and length."""

    inherit_cache = True


@compiles(Words, "mysql", "mariadb")
def _words_on_mysql(_kind: Words, _compiler: Any, **__: Any) -> str:
    return "MEDIUMTEXT CHARACTER SET utf8mb4"


metadata: Final = sa.MetaData()

# SQLite gives only INTEGER PRIMARY KEY a row number of its own
_ROW_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


events: Final = sa.Table(
    "footfall_events",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column(C.EVENT_ID, Id(128), nullable=False, unique=True),
    sa.Column(C.USER_ID, Id(64), nullable=False),
    sa.Column(C.SESSION_ID, Id(128)),
    sa.Column(C.ITEM_ID, Id(128)),
    sa.Column(C.EVENT_TYPE, Id(16), nullable=False),
    _moment(C.OCCURRED_AT),
    _moment(C.RECEIVED_AT),
    sa.Column(C.QUANTITY, sa.BigInteger),
    sa.Column(C.PRICE_MINOR, sa.BigInteger),
    sa.Column(C.CURRENCY, Id(8)),
    sa.Column(C.QUERY, Words),
    sa.Column(C.RATING, sa.Double),
    sa.Column(C.TEXT, Words),
    sa.Column(C.DURATION_S, sa.Double),
    sa.Column(C.PLACE, Id(128)),
    sa.Column(C.DEVICE, Id(64)),
    sa.Column(C.CAMPAIGN_ID, Id(128)),
    sa.Column(C.REQUEST_ID, Id(64)),
    sa.Column(C.POSITION, sa.Integer),
    sa.Column(C.ORIGIN, Id(64), nullable=False),
    sa.Column("append_id", sa.BigInteger, nullable=False, comment="which call of append wrote the row: tells new rows from duplicates"),
    sa.Column("withdrawn", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("export_batch", Id(64), comment="NULL: not for export; empty: waiting; else the batch that holds it"),
    # covers `history`: without its last three columns a history of 200 events costs four times as much
    sa.Index("footfall_events_by_user", C.USER_ID, C.OCCURRED_AT, C.EVENT_ID, "withdrawn", C.EVENT_TYPE, C.ITEM_ID),
    sa.Index("footfall_events_by_time", C.OCCURRED_AT),
    sa.Index("footfall_events_by_export", "export_batch"),
)

withdrawals: Final = sa.Table(
    "footfall_withdrawals",
    metadata,
    sa.Column(C.EVENT_ID, Id(128), primary_key=True),
    sa.Column(C.REASON, Id(128), nullable=False),
)

exports: Final = sa.Table(
    "footfall_exports",
    metadata,
    sa.Column("batch_id", Id(64), primary_key=True),
    sa.Column("day", Id(10), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("exported", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index("footfall_exports_by_day", "day"),
)

exposures: Final = sa.Table(
    "footfall_exposures",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column(C.REQUEST_ID, Id(64), nullable=False),
    sa.Column(C.POSITION, sa.Integer, nullable=False),
    sa.Column(C.ITEM_ID, Id(128), nullable=False),
    sa.Column(C.SCORE, sa.Double, nullable=False),
    sa.Column(C.PROPENSITY, sa.Double, nullable=False),
    sa.Column(C.POLICY, Id(64), nullable=False),
    sa.Column(C.REASON, Id(64), nullable=False),
    sa.Column(C.USER_ID, Id(64)),
    _moment(C.SHOWN_AT),
    sa.Column(C.RELEASE, Id(64), nullable=False),
    sa.Column(C.ARM, Id(32), nullable=False),
    sa.UniqueConstraint(C.REQUEST_ID, C.POSITION, name="footfall_exposures_once"),
    sa.Index("footfall_exposures_by_time", C.SHOWN_AT),
)

releases: Final = sa.Table(
    "footfall_releases",
    metadata,
    sa.Column("release_id", Id(64), primary_key=True),
    sa.Column("model_tag", Id(160), nullable=False),
    sa.Column("state", Id(16), nullable=False),
    # 1 for the champion and NULL for all others: the unique index lets no database hold two champions
    sa.Column("champion_slot", sa.SmallInteger, unique=True),
    _moment("created_at"),
    _moment("as_of"),
    sa.Column("git_revision", Id(64)),
    sa.Column("dvc_lock_digest", Id(64)),
    sa.Column("metrics", Words, nullable=False),
    sa.Column("decision", Words),
    sa.Column("parent", Id(64)),
    sa.Column("bento_tag", Id(160)),
)

# shadow and canary, one of each at most; no release is both
arms: Final = sa.Table(
    "footfall_arms",
    metadata,
    sa.Column("arm", Id(32), primary_key=True),
    sa.Column("release_id", Id(64), nullable=False, unique=True),
    sa.Column("share", sa.Double, nullable=False),
    _moment("since"),
)

reviews: Final = sa.Table(
    "footfall_reviews",
    metadata,
    sa.Column("review_id", Id(64), primary_key=True),
    sa.Column("created_at", Id(40), nullable=False),
    sa.Column("state", Id(16), nullable=False),
    sa.Column("document", Words, nullable=False),
)

consents: Final = sa.Table(
    "footfall_consents",
    metadata,
    sa.Column(C.USER_ID, Id(64), primary_key=True),
    sa.Column("purpose", Id(32), primary_key=True),
    sa.Column("granted", sa.SmallInteger, nullable=False),
    _moment("recorded_at", nullable=True),
    sa.Column("source", Id(64)),
)

erasures: Final = sa.Table(
    "footfall_erasures",
    metadata,
    sa.Column("erasure_id", Id(64), primary_key=True),
    # a digest of the pseudonym: enough to keep the user from coming back by an old batch, useless for finding who it was
    sa.Column("subject", Id(64), nullable=False),
    _moment("requested_at"),
    _moment("finished_at", nullable=True),
    sa.Column("certificate", Words),
    sa.Index("footfall_erasures_by_subject", "subject"),
)

items: Final = sa.Table(
    "footfall_items",
    metadata,
    sa.Column(C.ITEM_ID, Id(128), primary_key=True),
    sa.Column(C.TITLE, Words, nullable=False),
    sa.Column(C.DESCRIPTION, Words),
    sa.Column(C.BRAND, Id(128)),
    sa.Column(C.CATEGORY_PATH, Id(512), nullable=False),
    sa.Column(C.PRICE_MINOR, sa.BigInteger),
    sa.Column(C.CURRENCY, Id(8)),
    sa.Column(C.IMAGE, Words),
    sa.Column(C.ATTRIBUTES, Words, nullable=False),
    _moment(C.AVAILABLE_FROM, nullable=True),
    sa.Column(C.AVAILABLE, sa.SmallInteger, nullable=False),
    sa.Column(C.RECOMMENDABLE, sa.SmallInteger, nullable=False),
    _moment(UPDATED_AT),
)

users: Final = sa.Table(
    "footfall_users",
    metadata,
    sa.Column(C.USER_ID, Id(64), primary_key=True),
    sa.Column(C.ATTRIBUTES, Words, nullable=False),
    _moment(C.FIRST_SEEN_AT),
    _moment(UPDATED_AT),
)

relations: Final = sa.Table(
    "footfall_relations",
    metadata,
    sa.Column(C.USER_ID, Id(64), primary_key=True),
    sa.Column(C.OTHER_USER_ID, Id(64), primary_key=True),
    sa.Column(C.KIND, Id(32), primary_key=True),
    _moment(C.SINCE),
    _moment(UPDATED_AT),
    sa.Index("footfall_relations_by_other", C.OTHER_USER_ID),
)

campaigns: Final = sa.Table(
    "footfall_campaigns",
    metadata,
    sa.Column(C.CAMPAIGN_ID, Id(128), primary_key=True),
    sa.Column(C.KIND, Id(64), nullable=False),
    _moment(C.STARTS),
    _moment(C.ENDS),
    sa.Column(C.ITEMS, Words, nullable=False),
    _moment(UPDATED_AT),
)

rules: Final = sa.Table(
    "footfall_rules",
    metadata,
    sa.Column("rule_id", Id(64), primary_key=True),
    sa.Column("document", Words, nullable=False),
    sa.Column("enabled", sa.SmallInteger, nullable=False),
    _moment(UPDATED_AT),
)

rule_changes: Final = sa.Table(
    "footfall_rule_changes",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("rule_id", Id(64), nullable=False),
    sa.Column("who", Id(128), nullable=False),
    _moment("changed_at"),
    sa.Column("document_before", Words, comment="NULL: the rule is new"),
    sa.Column("document_after", Words, comment="NULL: the rule was removed"),
    sa.Index("footfall_rule_changes_by_rule", "rule_id", "seq"),
)

revisions: Final = sa.Table(
    "footfall_revisions",
    metadata,
    sa.Column("subject", Id(32), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False, comment="another number after every change: 0 until the first"),
)
