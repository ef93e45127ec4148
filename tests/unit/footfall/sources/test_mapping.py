from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from footfall.errors import SourceError
from footfall.sources.mapping import Price, Rule, Words, read_mapping

GOOD: dict[str, Any] = {
    "name": "shop",
    "files": "log.csv",
    "event_type": "purchase",
    "currency": "EUR",
    "events": {"user_id": "who", "occurred_at": "when", "item_id": "what", "price": {"column": "paid", "of": "unit"}},
}


def write(folder: Path, document: object) -> Path:
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_a_mapping_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read_mapping(write(tmp_path, GOOD))
    assert (found.name, found.format, found.time_zone, found.price) == ("shop", "csv", "UTC", Price("paid", "unit", 100))
    assert found.event_type == Words(value="purchase")
    assert found.events["user_id"] == Rule(columns=("who",))
    assert found.columns == {"who", "when", "what", "paid"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"nmae": "x"}, "name?"),
        ({"name": "My Shop"}, "small letters"),
        ({"files": None}, "files"),
        ({"files": "log.xlsx"}, "parquet, csv"),
        ({"format": "xlsx"}, "parquet, csv"),
        ({"time_zone": "Mars/Olympus"}, "Europe/London"),
        ({"currency": "euro"}, "three capital letters"),
        ({"currency": None}, "the currency of the prices"),
        ({"event_type": "theft"}, "search, impression"),
        ({"event_type": {"column": "kind", "words": {"buy": "bought"}}}, "event_type.words.buy"),
        ({"events": {"user_id": "who"}}, "events.occurred_at"),
        ({"events": {"user_id": ["a", "b"], "occurred_at": "when"}}, "one column"),
        ({"events": {"user_id": "who", "occured_at": "when"}}, "occurred_at?"),
        ({"events": GOOD["events"] | {"quantity": {"value": 1, "column": "n"}}}, "either `column` or `value`"),
        ({"events": GOOD["events"] | {"price": {"column": "paid", "minor_units": 0}}}, "a whole number from 1"),
        ({"leave_out": ["everything"]}, "without_user, without_time, without_item"),
        ({"leave_out": "without_user"}, "a list"),
        ({"returns": "yes"}, "negative_quantity"),
        ({"catalogue": {"colour": "c"}}, "title, description"),
    ],
)
def test_a_wrong_mapping_says_where_and_what_would_be_right(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = write(tmp_path, GOOD | change)
    with pytest.raises(SourceError) as caught:
        read_mapping(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.next_step == f"mend {path}"


def test_what_is_no_mapping_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_mapping(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("events: [")
    with pytest.raises(SourceError, match="no YAML"):
        read_mapping(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(SourceError, match="cannot be used"):
        read_mapping(tmp_path / "list.yaml")


@pytest.mark.parametrize("name", ["complete_journey", "online_retail", "open_bandit", "rees46"])
def test_the_mappings_that_ship_are_good_ones(checkout: Path, name: str) -> None:
    assert read_mapping(checkout / "src" / "footfall" / "sources" / "mappings" / f"{name}.yaml").name == name


def test_the_mappings_in_the_manual_can_be_read(checkout: Path, tmp_path: Path) -> None:
    blocks = (checkout / "docs" / "data.md").read_text(encoding="utf-8").split("```yaml\n")[1:]
    whole = [block for block in (block.split("```")[0] for block in blocks) if "name:" in block.splitlines()[0]]
    assert len(whole) >= 2  # one of files, one of a database
    for number, block in enumerate(whole):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        assert read_mapping(path).name == "my_shop"
