"""Stage `sequences` on a shop with searches and durations: who counts, what is kept, and that requests are encoded as the arrays are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from footfall.arrays.histories import ARRAYS, SIGNALS, read_sequences, write_sequences
from footfall.arrays.vocabularies import QUERIES_FILE, read_queries, read_vocabulary, write_queries
from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.core.sequences import Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import SourceError
from footfall.judging import read_labels
from footfall.manifest import write_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.recommender import Recommender
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet
from tests.unit.footfall.small_shop import make_bundle_by_hand, use_table_scorer
from tests.unit.rows import catalogue, day, events, user, users

ANN, BOB, CY, DAN = sorted(user(name) for name in ("ann", "bob", "cy", "dan"))


@pytest.fixture
def params(checkout: Path) -> Params:
    """as_of is day 100: train | day 72 | validation | day 86 | test; two users make a query."""
    params = load_params(checkout / "params.yaml")
    return replace(params, data=replace(params.data, as_of=day(100)), split=replace(params.split, vocabulary_min_count=1, query_min_users=2))


def search(who: str, text: str | None, when: float) -> dict[str, Any]:
    return {C.USER_ID: who, C.ITEM_ID: None, C.EVENT_TYPE: "search", C.OCCURRED_AT: day(when), C.QUERY: text}


def view(who: str, seconds: float | None, when: float) -> dict[str, Any]:
    return {C.USER_ID: who, C.EVENT_TYPE: "view", C.OCCURRED_AT: day(when), C.DURATION_S: seconds}


def buy(who: str, when: float, item: str = "apple") -> dict[str, Any]:
    return {C.USER_ID: who, C.OCCURRED_AT: day(when), C.ITEM_ID: item}


def make(root: Path, params: Params, *rows: dict[str, Any], refusing: tuple[str, ...] = ()) -> Paths:
    paths = Paths(root)
    tables = {EVENTS: events(*rows), CATALOGUE: catalogue("apple", "pear"), USERS: users(ANN, BOB, CY, DAN, refusing=refusing)}
    for contract, table in tables.items():
        write_parquet(paths.tables / f"{contract.name}.parquet", contract.sort(table))
    write_manifest(paths.tables)
    make_sequences(paths, params)
    return paths


def test_a_query_is_known_when_enough_users_typed_it_before_the_cut(tmp_path: Path, params: Params) -> None:
    rows = [search(ANN, "Green  TEA", 1), search(BOB, "green tea", 2), search(BOB, "soap", 3), search(BOB, "Soap", 4), search(ANN, "soap", 72)]
    rows += [search(ANN, "pears", 5), search(DAN, "pears", 6), search(BOB, "  ", 7), search(ANN, " ", 8), buy(ANN, 9), buy(BOB, 90)]
    paths = make(tmp_path, params, *rows, refusing=(DAN,))

    assert read_queries(paths.sequences) == Vocabulary(("green tea",))  # soap: one user before the cut; pears: one who does not refuse
    sequences = read_sequences(paths.sequences)
    assert sequences.query_index is not None
    assert sequences.take(np.array([0])).query_index.tolist() == [1, 0, 0, 0, 0]  # type: ignore[union-attr]
    assert sequences.item_index.tolist().count(1) == 2


def test_durations_become_codes(tmp_path: Path, params: Params) -> None:
    paths = make(tmp_path, params, view(ANN, 0.5, 1), view(ANN, 5.0, 2), view(ANN, None, 3), buy(ANN, 4), view(BOB, 1e6, 90))

    sequences = read_sequences(paths.sequences)
    assert sequences.duration is not None
    assert sequences.duration.tolist() == [1, 4, 0, 0, 15]
    assert sequences.query_index is None


def test_a_shop_without_either_before_the_cut_has_no_file_for_it(tmp_path: Path, params: Params) -> None:
    paths = make(tmp_path, params, buy(ANN, 1), search(ANN, "tea", 73), search(BOB, "tea", 2), search(BOB, None, 3), view(ANN, 4.0, 80))

    sequences = read_sequences(paths.sequences)
    assert sequences.query_index is None
    assert sequences.duration is None
    assert read_queries(paths.sequences) is None
    assert not {path.stem for path in paths.sequences.iterdir()} & {*SIGNALS, "queries"}


def test_a_request_is_encoded_as_the_arrays_are(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's histories come from the tables by item id and text, as the service's come from the store."""
    rows = [
        search(ANN, "Tea ", 1),
        view(ANN, 2.0, 1),
        search(BOB, "tea", 2),
        buy(BOB, 2),
        buy(BOB, 3, "pear"),
        search(BOB, "rare", 4),
        view(BOB, 0.1, 5),
    ]
    rows += [buy(ANN, 6), view(ANN, None, 7), buy(ANN, 87), buy(BOB, 88), search(ANN, "tea", 99)]
    paths = make(tmp_path, params, *rows)
    use_table_scorer(monkeypatch)
    recommender = Recommender.open(make_bundle_by_hand(tmp_path / "bundle", items=2, queries=("tea",)))
    vocabulary = read_vocabulary(paths.sequences)
    labels = read_labels(paths.tables, params, vocabulary)
    offline = read_sequences(paths.sequences).before(labels.start)

    online = recommender.encode(labels.histories)
    np.testing.assert_array_equal(online.query_index, offline.query_index)
    np.testing.assert_array_equal(online.duration, offline.duration)
    np.testing.assert_array_equal(online.occurred_at, offline.occurred_at)
    assert online.query_index is not None
    assert online.query_index.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 0]


def test_arrays_round_trip_with_signals_and_name_what_is_missing(tmp_path: Path) -> None:
    offsets = np.array([0, 1, 3], np.int64)
    written = Sequences(np.array([0, 2, 1], np.int32), np.array([0, 2, 4], np.int8), np.arange(3), offsets, np.array([1, 0, 0]), np.array([0, 5, 0]))  # type: ignore[arg-type]
    write_sequences(tmp_path, written)
    write_queries(tmp_path, Vocabulary(("tea",)))

    read = read_sequences(tmp_path)
    for name in (*ARRAYS, *SIGNALS):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    (tmp_path / "query_index.npy").unlink()
    with pytest.raises(SourceError, match="array is missing") as caught:
        read_sequences(tmp_path)
    assert caught.value.where == str(tmp_path / "query_index.npy")


def test_queries_with_a_gap_are_refused(tmp_path: Path) -> None:
    write_queries(tmp_path, Vocabulary(("soap", "tea")))
    path = tmp_path / QUERIES_FILE
    from footfall.tables import read_parquet

    write_parquet(path, read_parquet(path).slice(1))
    with pytest.raises(SourceError, match="queries has gaps"):
        read_queries(tmp_path)
