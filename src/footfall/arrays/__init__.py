"""Reading and writing data/sequences: the arrays, the vocabulary, the users, the split and the targets.

    item_index.npy event_type.npy occurred_at.npy offsets.npy   Sequences
    query_index.npy duration.npy   likewise, each where the shop has it
    analysed.npy         which users do not refuse to be analysed
    users.parquet        user_id in the order of the user positions 0..U-1
    vocabulary.parquet   VOCABULARY contract
    queries.parquet      QUERIES contract, beside query_index.npy
    split.json           as_of, test_start, train_end: ISO and microseconds
    targets_validation.parquet targets_test.parquet   user (position), item_id, item_index (0: outside the vocabulary)

Needs numpy and pyarrow only, because the training stage reads through it.
"""

from footfall.manifest import CACHE

REMAKE = f"{CACHE}, or dvc repro --force sequences"
"""What mends a damaged file."""
