"""replay-rec's SequenceTokenizer on polars; sorting and sessions, which it does not do on polars, by hand in polars."""

from __future__ import annotations

import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # it says that it is deprecated; there is no successor in this version

import polars as pl  # noqa: E402
from replay.data import Dataset, FeatureHint, FeatureInfo, FeatureSchema, FeatureSource, FeatureType  # noqa: E402
from replay.data.nn import SequenceTokenizer, TensorFeatureInfo, TensorFeatureSource, TensorSchema  # noqa: E402

from benchmarks.contestants.task import CUT_US, GAP_US  # noqa: E402

VERSION = f"replay-rec {version('replay-rec')}"


def run(clicks: str, _folder: str) -> dict[str, int]:
    """Sessions, time split and tokenised sequences; nothing is written."""
    user, moment = pl.col("user_id"), pl.col("occurred_at")
    events = pl.read_parquet(clicks, columns=["user_id", "item_id", "occurred_at"]).sort("user_id", "occurred_at", maintain_order=True)
    starts = (user.diff().fill_null(1) != 0) | (moment.diff().fill_null(0) > GAP_US)
    counted = events.select(sessions=starts.sum(), train=(moment < CUT_US).sum()).row(0, named=True)
    features = [
        FeatureInfo("user_id", FeatureType.CATEGORICAL, FeatureHint.QUERY_ID),
        FeatureInfo("item_id", FeatureType.CATEGORICAL, FeatureHint.ITEM_ID),
        FeatureInfo("occurred_at", FeatureType.NUMERICAL, FeatureHint.TIMESTAMP),
    ]
    dataset = Dataset(FeatureSchema(features), interactions=events, check_consistency=False)
    source = TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")
    item = TensorFeatureInfo("item_id", is_seq=True, feature_type=FeatureType.CATEGORICAL, feature_hint=FeatureHint.ITEM_ID, feature_sources=[source])
    tokenizer = SequenceTokenizer(TensorSchema(item), allow_collect_to_master=True)
    sequences = tokenizer.fit_transform(dataset)
    items = len(tokenizer.item_id_encoder.mapping["item_id"])
    return {"events": len(events), "users": len(sequences), "items": items, "sessions": int(counted["sessions"]), "train": int(counted["train"])}
