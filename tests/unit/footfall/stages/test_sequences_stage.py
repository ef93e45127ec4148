"""Stage `sequences`: tables become arrays that hold every event of every consenting user, and the two sets of targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from footfall.arrays.histories import read_analysed, read_sequences, read_users
from footfall.arrays.vocabularies import read_vocabulary
from footfall.arrays.windows import WINDOWS, Split, read_split, read_targets
from footfall.errors import SourceError
from footfall.judging import read_labels
from footfall.manifest import write_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet
from tests.unit.rows import catalogue, day, events, us, user, users

ANN, BOB, CY = sorted((user("ann"), user("bob"), user("cy")))


@pytest.fixture
def params(checkout: Path) -> Params:
    """as_of is day 100: train | day 72 | validation | day 86 | test; two purchases make a vocabulary item."""
    params = load_params(checkout / "params.yaml")
    return replace(params, data=replace(params.data, as_of=day(100)), split=replace(params.split, vocabulary_min_count=2))


def write_tables(paths: Paths, table: pa.Table, people: pa.Table) -> None:
    """Canonical tables, as the stage before writes them."""
    write_parquet(paths.tables / "events.parquet", table)
    write_parquet(paths.tables / "catalogue.parquet", catalogue("apple", "pear", unrecommendable=("petrol",)))
    write_parquet(paths.tables / "users.parquet", people)
    write_manifest(paths.tables)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Ann buys apples, Bob pears and petrol, Cy refuses."""
    bought = [(ANN, "apple", 1), (ANN, "apple", 71.9), (ANN, "pear", 72), (ANN, "apple", 73), (ANN, "pear", 90)]
    bought += [(BOB, "petrol", 1), (BOB, "petrol", 2), (BOB, "pear", 86), (BOB, "apple", 99), (CY, "pear", 1), (CY, "pear", 2), (CY, "apple", 90)]
    rows = [{"user_id": who, "item_id": what, "occurred_at": day(when)} for who, what, when in bought]
    paths = Paths(tmp_path)
    write_tables(paths, events(*rows), users(ANN, BOB, CY, refusing=(CY,)))
    return paths


def test_every_event_of_a_consenting_user_is_in_and_who_refuses_is_not(paths: Paths, params: Params) -> None:
    make_sequences(paths, params)

    sequences = read_sequences(paths.sequences)
    assert read_users(paths.sequences) == [ANN, BOB]
    assert sequences.offsets.tolist() == [0, 5, 9]
    assert sequences.item_index.tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 1]
    assert sequences.occurred_at.tolist()[:2] == [us(day(1)), us(day(71.9))]


def test_the_vocabulary_sees_train_alone_and_neither_petrol_nor_who_refuses(paths: Paths, params: Params) -> None:
    make_sequences(paths, params)

    assert read_vocabulary(paths.sequences).item_ids == ("apple",)


def test_targets_keep_items_outside_the_vocabulary_and_ask_for_history_before_each_window(paths: Paths, params: Params) -> None:
    make_sequences(paths, params)

    validation, test = (read_targets(paths.sequences, window) for window in WINDOWS)
    assert (validation.users.tolist(), validation.item_index.tolist()) == ([0], [0])
    assert (test.users.tolist(), test.item_index.tolist()) == ([0], [0])


def test_the_split_says_where_train_validation_and_test_part(paths: Paths, params: Params) -> None:
    make_sequences(paths, params)

    assert read_split(paths.sequences) == Split(us(day(72)), us(day(86)), us(day(100)))
    assert '"iso": "2017-05-12T00:00:00+00:00"' in (paths.sequences / "split.json").read_text()


def test_doing_it_again_gives_the_same_bytes(paths: Paths, params: Params) -> None:
    make_sequences(paths, params)
    before = {path.name: path.read_bytes() for path in paths.sequences.iterdir()}

    make_sequences(paths, params)

    assert {path.name: path.read_bytes() for path in paths.sequences.iterdir()} == before
    assert len(before) == 11


def test_with_nothing_to_learn_from_the_fault_and_the_next_move_are_named(paths: Paths, params: Params) -> None:
    write_tables(paths, events({}), users(user("ann")))

    with pytest.raises(SourceError, match=r"split\.vocabulary_min_count"):
        make_sequences(paths, params)


def test_a_damaged_table_is_named(paths: Paths, params: Params) -> None:
    path = paths.tables / "events.parquet"
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(SourceError, match=r"events\.parquet"):
        make_sequences(paths, params)


def test_who_refuses_to_be_analysed_is_learnt_from_and_not_counted(paths: Paths, params: Params) -> None:
    make_sequences(paths, params)
    assert [len(read_targets(paths.sequences, window)) for window in WINDOWS] == [1, 1]
    before = read_users(paths.sequences)
    assert read_analysed(paths.sequences).tolist() == list(range(len(before)))

    people = users(ANN, BOB, CY, refusing=(CY,)).to_pylist()
    people = [row | {"consent": '{"analyse": false}'} if row["user_id"] == ANN else row for row in people]
    write_parquet(paths.tables / "users.parquet", pa.Table.from_pylist(people, users(ANN).schema))
    write_manifest(paths.tables)
    make_sequences(paths, params)
    assert read_users(paths.sequences) == before
    assert [before[user] for user in read_analysed(paths.sequences)] == [user for user in before if user != ANN]
    assert [len(read_targets(paths.sequences, window)) for window in WINDOWS] == [0, 0]
    window = replace(params.data, as_of=day(100))
    assert not len(read_labels(paths.tables, replace(params, data=window), read_vocabulary(paths.sequences)))


def test_a_least_count_of_zero_lets_in_what_nobody_has_bought_but_the_shop_offers(paths: Paths, params: Params) -> None:
    table = catalogue("apple", "pear", "plum", "quince", "melon", unrecommendable=("petrol",))
    available = pa.array([item != "quince" for item in table.column("item_id").to_pylist()])
    since = pa.array([day(101) if item == "melon" else day(99) if item == "plum" else None for item in table.column("item_id").to_pylist()])
    for name, column in (("available", available), ("available_from", since.cast(table.schema.field("available_from").type))):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    write_parquet(paths.tables / "catalogue.parquet", table)
    write_manifest(paths.tables)
    make_sequences(paths, replace(params, split=replace(params.split, vocabulary_min_count=0)))

    assert read_vocabulary(paths.sequences).item_ids == ("apple", "pear", "plum")
    make_sequences(paths, replace(params, split=replace(params.split, vocabulary_min_count=1)))
    assert read_vocabulary(paths.sequences).item_ids == ("apple",)
