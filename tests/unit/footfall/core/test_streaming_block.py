from __future__ import annotations

import numpy as np
import pytest

from footfall.core.streaming_block import on_cache_lines


@pytest.mark.parametrize("offset", [0, 4, 16, 60])
def test_a_table_begins_with_a_cache_line_and_keeps_its_numbers(offset: int) -> None:
    numbers = np.random.default_rng(1).standard_normal((37, 16), dtype=np.float32)
    room = np.empty(numbers.nbytes + 128, np.uint8)
    first = -room.ctypes.data % 64 + offset
    given = room[first : first + numbers.nbytes].view(np.float32).reshape(numbers.shape)
    given[:] = numbers
    placed = on_cache_lines(given)
    assert placed.ctypes.data % 64 == 0
    assert placed.dtype == np.float32
    assert np.array_equal(placed, numbers)
    assert np.array_equal(placed @ numbers[0], given @ numbers[0])
    assert np.shares_memory(placed, given) == (offset == 0)


def test_other_types_and_orders_are_turned_into_rows_of_float32() -> None:
    numbers = np.asfortranarray(np.arange(12, dtype=np.float64).reshape(4, 3))
    placed = on_cache_lines(numbers)
    assert placed.ctypes.data % 64 == 0
    assert placed.flags.c_contiguous
    assert placed.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
