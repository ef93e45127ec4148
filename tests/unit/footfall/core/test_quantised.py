from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from footfall.core.quantised import ITEM_TABLE, SCALE, quantise_items, quantise_rows, restore_items, restore_rows

TABLES = arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 6)), elements=st.floats(-(2.0**99), 2.0**99, width=32))


def test_rows_become_whole_numbers_of_their_own_scale() -> None:
    whole, scale = quantise_rows(np.array([[127.0, -127.0, 63.6], [0.0, 0.0, 0.0], [0.0, -2.54, 1.0]], np.float32))
    assert whole.tolist() == [[127, -127, 64], [0, 0, 0], [0, -127, 50]]
    assert scale.tolist() == pytest.approx([1.0, 0.0, 0.02])
    np.testing.assert_allclose(restore_rows(whole, scale), [[127, -127, 64], [0, 0, 0], [0, -2.54, 1.0]], rtol=1e-6)


@given(TABLES)
def test_no_number_moves_by_more_than_half_its_rows_scale(table: np.ndarray) -> None:
    whole, scale = quantise_rows(table)
    assert (whole.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, (len(table),))
    assert whole.min(initial=0) >= -127
    restored = restore_rows(whole, scale)
    largest = np.abs(table).max(axis=1, initial=0.0).astype(np.float64)
    apart = np.abs(restored.astype(np.float64) - table)
    assert (apart <= (largest / 254 * (1 + 1e-5) + 1e-35)[:, None]).all()


@given(TABLES)
def test_what_was_rounded_once_stays_as_it_is(table: np.ndarray) -> None:
    once = restore_rows(*quantise_rows(table))
    np.testing.assert_allclose(restore_rows(*quantise_rows(once)), once, rtol=1e-6)


def test_the_table_alone_is_kept_in_bytes_and_comes_back_under_its_name() -> None:
    weights = {ITEM_TABLE: np.array([[0, 0], [2, -4]], np.float32), "item_bias": np.array([0, 1.5], np.float32)}
    kept = quantise_items(weights)
    assert {name: array.dtype.name for name, array in kept.items()} == {ITEM_TABLE: "int8", SCALE: "float32", "item_bias": "float32"}
    restored = restore_items(kept)
    assert list(restored) == list(weights)
    np.testing.assert_allclose(restored[ITEM_TABLE], [[0, 0], [2, -4]], atol=4 / 254)
    assert restored["item_bias"] is weights["item_bias"]


def test_weights_in_float32_pass_as_they_are() -> None:
    weights = {ITEM_TABLE: np.ones((2, 2), np.float32)}
    assert restore_items(weights)[ITEM_TABLE] is weights[ITEM_TABLE]
    assert restore_items({"logits": np.ones(2)}).keys() == {"logits"}


@pytest.mark.parametrize(
    ("table", "scale"),
    [
        (np.ones((3, 2), np.int8), None),
        (np.ones((3, 2), np.int8), np.ones(2, np.float32)),
        (np.ones((3, 2), np.int8), np.ones(3, np.float64)),
        (np.ones(3, np.int8), np.ones(3, np.float32)),
        (np.ones((3, 2), np.float32), np.ones(3, np.float32)),
        (None, np.ones(3, np.float32)),
    ],
)
def test_bytes_and_scales_that_do_not_fit_are_refused(table: np.ndarray | None, scale: np.ndarray | None) -> None:
    weights = {name: array for name, array in ((ITEM_TABLE, table), (SCALE, scale)) if array is not None}
    with pytest.raises(ValueError, match=r"expected int8 rows and a float32 for each"):
        restore_items(weights)


@pytest.mark.parametrize("weights", [{}, {ITEM_TABLE: np.ones((2, 2))}, {ITEM_TABLE: np.ones(2, np.float32)}])
def test_only_a_table_of_float32_can_be_put_into_bytes(weights: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"expected float32 in rows"):
        quantise_items(weights)
