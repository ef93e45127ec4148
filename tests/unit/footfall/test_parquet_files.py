"""One Parquet file: the same bytes for the same table, never half a file, and a fault that names the file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from footfall import tables
from footfall.errors import SourceError
from footfall.tables import read_parquet, write_batches, write_parquet, write_text

TABLE = pa.table({"item_id": ["apple", "pear", None], "quantity": [1, None, 3]})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "new" / "rows.parquet", TABLE)

    assert read_parquet(tmp_path / "new" / "rows.parquet").equals(TABLE)
    assert read_parquet(tmp_path / "new" / "rows.parquet", ["quantity"]).column_names == ["quantity"]


def test_equal_tables_give_equal_bytes_however_they_are_chunked(tmp_path: Path) -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])

    write_parquet(tmp_path / "one.parquet", TABLE)
    write_parquet(tmp_path / "two.parquet", chunked)

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.parametrize("rows", [0, 1, tables.ROW_GROUP, tables.ROW_GROUP + 1, 2 * tables.ROW_GROUP])
@pytest.mark.parametrize("cut", [50_000, tables.ROW_GROUP, 10**6])
def test_rows_that_are_written_as_they_come_give_the_bytes_of_the_whole_table(tmp_path: Path, rows: int, cut: int) -> None:
    numbers = pa.array(range(rows), pa.int64())
    table = pa.table({"item_id": pc.binary_join_element_wise("item", pc.bit_wise_and(numbers, 1023).cast(pa.string()), "-"), "quantity": numbers})

    write_parquet(tmp_path / "whole.parquet", table)
    write_batches(tmp_path / "streamed.parquet", table.schema, table.to_batches(max_chunksize=cut))

    assert (tmp_path / "streamed.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.parametrize("keep", [0, 3, 20, -4])
def test_a_cut_off_file_is_named_with_the_next_move(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, TABLE)
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(SourceError, match="cannot be read") as caught:
        read_parquet(path, next_step="dvc checkout data/raw")

    assert caught.value.where == str(path)
    assert caught.value.next_step == "dvc checkout data/raw"


def test_no_flipped_byte_becomes_another_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"item_id": [f"item-{number * 7919 % 1000}" for number in range(500)], "quantity": [number * 31 % 97 for number in range(500)]})
    write_parquet(path, table)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8

    for position in range(4, len(whole) - footer, 37):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            assert read_parquet(path).equals(table), f"byte {position}"
        except SourceError:
            continue


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="missing"):
        read_parquet(tmp_path / "rows.parquet")


def test_a_failed_write_leaves_the_old_file_and_nothing_half(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, TABLE)

    with pytest.raises(AttributeError):
        write_parquet(path, "no table")

    assert read_parquet(path).equals(TABLE)


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "receipt.json", "old")
    write_text(tmp_path / "receipt.json", "新")

    assert (tmp_path / "receipt.json").read_text(encoding="utf-8") == "新"
    assert [path.name for path in tmp_path.iterdir()] == ["receipt.json"]
