"""A bundle whose model knows search texts: opened, refused when damaged, and read by `encode` by the rule of the arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from footfall.bundle import MANIFEST_SUM, open_bundle
from footfall.bundle_files import FILES, QUERIES_FILE
from footfall.errors import BundleError, ContractError
from footfall.manifest import file_digest
from footfall.recommender import History, Recommender, Wishes
from tests.unit.footfall.small_shop import make_bundle_by_hand, use_table_scorer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle_by_hand(tmp_path / "bundle", logits=np.array([0.0, 0.0, 0.0, 0.0, 3.0]), queries=("soap", "tea"))


def seal(folder: Path, *names: str) -> None:
    """Write the digests of these files anew, as someone would who made a wrong bundle on purpose."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: file_digest(folder / name) for name in names}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / MANIFEST_SUM).write_text(file_digest(folder / "manifest.json") + "\n")


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    return caught.value


def test_a_bundle_brings_its_queries_and_its_manifest_lists_them(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.queries is not None
    assert bundle.queries.item_ids == ("soap", "tea")
    assert set(bundle.manifest.files) == {*FILES, QUERIES_FILE}
    assert bundle.manifest.contracts["queries"] == 1


def test_a_bundle_without_searches_has_neither_the_file_nor_its_contract(tmp_path: Path) -> None:
    bundle = open_bundle(make_bundle_by_hand(tmp_path / "plain"))
    assert bundle.queries is None
    assert set(bundle.manifest.files) == set(FILES)
    assert "queries" not in bundle.manifest.contracts


def test_damaged_and_missing_queries_are_named(folder: Path) -> None:
    whole = (folder / QUERIES_FILE).read_bytes()
    (folder / QUERIES_FILE).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert refusal(folder).what == "bundle file is damaged"
    seal(folder, *FILES, QUERIES_FILE)
    assert refusal(folder).what == "queries cannot be read"
    (folder / QUERIES_FILE).unlink()
    assert (refusal(folder).what, refusal(folder).where) == ("bundle lacks a file", str(folder / QUERIES_FILE))


def test_queries_that_are_not_listed_or_that_the_model_does_not_know_are_refused(folder: Path, tmp_path: Path) -> None:
    seal(folder, *FILES)
    assert refusal(folder).what == "bundle speaks another contract version"
    config = {"items": 5, "queries": 3}
    other = make_bundle_by_hand(tmp_path / "other", queries=("soap", "tea"), config=config)
    assert (refusal(other).what, refusal(other).expected) == ("model knows other queries than the bundle", "2 queries")
    none = make_bundle_by_hand(tmp_path / "none", config=config)
    assert refusal(none).expected == "0 queries"


def test_queries_and_durations_of_a_request_become_the_indices_of_the_arrays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    recommender = Recommender.open(folder)
    searched = History(["a", None, "b"], ["view", "search", "view"], [3, 1, 2], [None, " TEA", None], [4.0, None, 0.2])
    found = recommender.encode([searched, History(["c"], ["view"], [5])])
    assert recommender.reads_signals
    assert found.query_index is not None
    assert found.duration is not None
    assert found.query_index.tolist() == [2, 0, 0, 0]
    assert found.duration.tolist() == [0, 1, 4, 0]
    with pytest.raises(ContractError, match="differ in length"):
        recommender.encode([History(["a"], ["view"], [3], ["tea", "soap"])])


def test_a_model_without_signals_looks_at_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    recommender = Recommender.open(make_bundle_by_hand(tmp_path / "plain"))
    found = recommender.encode([History([None], ["search"], [1], ["tea"], [4.0])])
    assert not recommender.reads_signals
    assert (found.query_index, found.duration) == (None, None)


def test_who_has_only_searched_for_something_known_is_no_stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    recommender = Recommender.open(folder)
    histories = [History([None], ["search"], [1], [text]) for text in ("tea", "coffee")]
    known, stranger = recommender.recommend(recommender.encode(histories), 2, Wishes(2))
    assert (known.degraded, known.items[0].item_id, known.items[0].reason) == (None, "e", "taste")
    assert (stranger.degraded, stranger.items[0].item_id) == ("no_history", "a")
