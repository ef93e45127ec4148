"""Mends: what becomes of each kind of value, which rows are touched, and what a mend may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from footfall.contracts import C
from footfall.errors import SourceError
from footfall.sources.mending import mend_rows, read_mend
from tests.unit.rows import day, events


def mend(folder: Path, contract: str = "events", **document: Any) -> Any:
    path = folder / "mend.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return read_mend(path, contract)


def test_values_are_replaced_scaled_shifted_and_filled(tmp_path: Path) -> None:
    table = events({"item_id": "old", "price_minor": 12_350, "quantity": None}, {"item_id": "pear", "price_minor": None, "quantity": 3})
    how = mend(
        tmp_path,
        columns={
            "item_id": {"replace": {"old": "new"}},
            "price_minor": {"scale": 0.01},
            "quantity": {"fill": 1},
            "occurred_at": {"shift_hours": -24},
        },
    )

    mended = mend_rows(how, table)

    assert mended.schema == table.schema
    assert mended.column(C.ITEM_ID).to_pylist() == ["new", "pear"]
    assert mended.column(C.PRICE_MINOR).to_pylist() == [124, None]
    assert mended.column(C.QUANTITY).to_pylist() == [1, 3]
    assert mended.column(C.OCCURRED_AT).to_pylist() == [day(-1), day(0)]
    assert mended.column(C.RECEIVED_AT).equals(table.column(C.RECEIVED_AT))


def test_only_the_named_rows_are_touched(tmp_path: Path) -> None:
    table = events({"event_type": "search", "quantity": None}, {"quantity": None})

    mended = mend_rows(mend(tmp_path, only={"event_type": "purchase"}, columns={"quantity": {"fill": 1}}), table)

    assert mended.column(C.QUANTITY).to_pylist() == [None, 1]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"columns": {"quantity": {"fil": 1}}}, "fill?"),
        ({"columns": {"quantty": {"fill": 1}}}, "quantity?"),
        ({"columns": {"event_id": {"replace": {"a": "b"}}}}, "event_id"),
        ({"columns": {"user_id": {"fill": "x"}}}, "user_id"),
        ({"columns": {"quantity": {"fill": "one"}}}, "int64"),
        ({"columns": {"item_id": {"scale": 2}}}, "scale"),
        ({"columns": {"price_minor": {"scale": 0}}}, "above zero"),
        ({"columns": {"price_minor": {"scale": float("inf")}}}, "above zero"),
        ({"columns": {"quantity": {"shift_hours": 1}}}, "shift_hours"),
        ({"columns": {}}, "at least one"),
        ({"column": {}}, "columns?"),
    ],
)
def test_what_a_mend_may_not_say_is_refused_by_name(tmp_path: Path, document: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match="mend cannot be used") as caught:
        mend(tmp_path, **document)
    assert says in str(caught.value)


def test_a_mended_value_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    how = mend(tmp_path, columns={"price_minor": {"scale": 1e8}})
    with pytest.raises(SourceError, match="does not fit"):
        mend_rows(how, events({"price_minor": 2**62}))
