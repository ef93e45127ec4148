"""Chances of a purchase on a small shop: what the bundle stage learns, what ships, and what evaluation says of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from footfall.arrays.histories import read_sequences
from footfall.arrays.windows import read_split
from footfall.bundle import open_bundle
from footfall.bundle_files import CHANCES_FILE
from footfall.core.chances import ChanceModel
from footfall.core.isotonic import Steps
from footfall.core.metrics import top_k
from footfall.core.sequences import DAY_US
from footfall.errors import BundleError
from footfall.manifest import file_digest
from footfall.params import Params
from footfall.paths import Paths
from footfall.recommender import History, Recommender
from footfall.stages.bundle import make_bundle
from footfall.stages.chance_figures import chance_figures
from footfall.stages.evaluate import make_metrics
from tests.unit.footfall.small_shop import make_bundle_by_hand, make_shop, small_params, use_table_scorer

SHORT = {"validation_days": 6, "test_days": 6}


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    return small_params(checkout)


@pytest.fixture
def shop(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Paths:
    use_table_scorer(monkeypatch)
    paths = make_shop(tmp_path, params)
    make_bundle(paths, params)
    return paths


def change(folder: Path, **said: object) -> None:
    """Write other numbers and the digests anew, as someone would who made a wrong bundle on purpose."""
    document = json.loads((folder / CHANCES_FILE).read_text())
    (folder / CHANCES_FILE).write_text(json.dumps(document | said))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][CHANCES_FILE] = file_digest(folder / CHANCES_FILE)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "manifest.sha256").write_text(file_digest(folder / "manifest.json") + "\n")


def test_chances_say_on_whom_they_were_learnt(shop: Paths) -> None:
    chances = open_bundle(shop.bundle).chances
    assert chances is not None
    split, sequences = read_split(shop.sequences), read_sequences(shop.sequences)
    asked = sequences.take(np.flatnonzero(sequences.before(split.train_end).lengths))
    assert (chances.users, chances.lines) == (len(asked), len(asked) * 39)  # every item of the vocabulary stands on a list of a hundred
    week = (asked.occurred_at >= split.train_end) & (asked.occurred_at < split.train_end + 7 * DAY_US) & (asked.item_index > 0)
    lines = {*zip(asked.owners[week].tolist(), asked.item_index[week].tolist(), strict=True)}
    assert chances.bought == pytest.approx(len(lines) / chances.lines)


def test_a_week_of_habits_is_foretold(shop: Paths, params: Params) -> None:
    """Everybody buys four habits a week and one surprise, in baskets that mostly fall into the seven days."""
    found = make_metrics(shop, params).purchase_chance
    lines = found["all"]
    assert lines["calibration"]["error"] < 0.05
    assert lines["said"] == pytest.approx(lines["base_rate"], abs=0.03)
    assert lines["log_loss"] < 0.7 * lines["log_loss_of_base_rate"]
    assert lines["log_loss_saved"]["interval"][0] > 0
    assert found["first_10"]["base_rate"] > 2 * lines["base_rate"]
    assert found["first_10"]["lines"] == 10 * found["users"]


def test_a_chance_that_is_wrong_is_found_out(shop: Paths, params: Params) -> None:
    right = make_metrics(shop, params).purchase_chance["all"]
    levels = json.loads((shop.bundle / CHANCES_FILE).read_text())["levels"]
    change(shop.bundle, levels=[min(0.99, level + 0.3) for level in levels])
    wrong = make_metrics(shop, params).purchase_chance["all"]
    assert wrong["calibration"]["error"] > 0.25 > right["calibration"]["error"] + 0.15
    assert wrong["log_loss_saved"]["mean"] < right["log_loss_saved"]["mean"]


def test_a_bundle_from_before_there_were_chances_still_opens_and_tells_none(tmp_path: Path, params: Params, shop: Paths) -> None:
    recommender = Recommender.open(make_bundle_by_hand(tmp_path / "old"))
    history = recommender.encode([History(["a"], ["purchase"], [DAY_US])])
    assert recommender.bundle.chances is None
    assert recommender.purchase_chance(history, 2 * DAY_US, recommender.scores(history, 2 * DAY_US), np.array([[0]])) is None
    found = chance_figures(recommender, history, read_split(shop.sequences), params.evaluate)
    assert "without chances" in found["reason"]


def test_users_who_refuse_to_be_analysed_are_not_asked_about(shop: Paths, params: Params) -> None:
    recommender, split = Recommender.open(shop.bundle), read_split(shop.sequences)
    sequences = read_sequences(shop.sequences)
    everybody = chance_figures(recommender, sequences, split, params.evaluate)
    fewer = chance_figures(recommender, sequences.take(np.arange(1, len(sequences))), split, params.evaluate)
    assert fewer["users"] == everybody["users"] - 1


def test_a_window_that_is_too_short_tells_nothing(shop: Paths, params: Params, tmp_path: Path) -> None:
    short = dataclasses.replace(params, split=dataclasses.replace(params.split, **SHORT))
    paths = make_shop(tmp_path / "short", short)
    make_bundle(paths, short)
    assert open_bundle(paths.bundle).chances is None
    assert "without chances" in make_metrics(paths, short).purchase_chance["reason"]
    split = read_split(paths.sequences)
    found = chance_figures(Recommender.open(shop.bundle), read_sequences(shop.sequences), split, params.evaluate)
    assert "shorter than 7 days" in found["reason"]


@pytest.mark.parametrize(
    "said", [{"levels": [0.5]}, {"starts": ["a"], "levels": [0.5]}, {"weights": {"score": 1.0}}, {"starts": [0.0], "levels": [2.0]}, {"more": 1}]
)
def test_chances_that_cannot_be_used_are_refused(shop: Paths, said: dict[str, object]) -> None:
    change(shop.bundle, **said)
    with pytest.raises(BundleError, match=r"chances(\.json)? cannot be (used|understood)\n.*chances\.json"):
        open_bundle(shop.bundle)


def test_a_flipped_bit_in_the_chances_is_named(shop: Paths) -> None:
    path = shop.bundle / CHANCES_FILE
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BundleError, match=r"damaged\n.*chances\.json"):
        open_bundle(shop.bundle)


def test_a_request_is_told_what_a_batch_is_told(shop: Paths) -> None:
    recommender, split = Recommender.open(shop.bundle), read_split(shop.sequences)
    sequences = read_sequences(shop.sequences)
    rows = recommender.scores(sequences, split.test_start)
    columns = top_k(rows, 10)
    batch = recommender.purchase_chance(sequences, split.test_start, rows, columns)
    assert batch is not None
    for user in range(0, len(sequences), 7):
        one = sequences.take(np.array([user]))
        row = recommender.scores(one, split.test_start)
        alone = recommender.purchase_chance(one, split.test_start, row, columns[[user]])
        assert np.array_equal(alone, batch[[user]], equal_nan=True)
        assert (np.diff(batch[user]) <= 0).all()  # best first


def test_an_item_that_is_asked_for_has_the_chance_that_its_line_on_the_slate_has(shop: Paths) -> None:
    recommender, split = Recommender.open(shop.bundle), read_split(shop.sequences)
    sequences = read_sequences(shop.sequences)
    for slate, user in zip(recommender.recommend(sequences, split.test_start), range(len(sequences)), strict=True):
        shown = {line.item_id: line.probability for line in slate.items}
        asked = [*list(shown)[::-1], "unheard of"]
        (scored,) = recommender.score(sequences.take(np.array([user])), split.test_start, [asked])
        assert scored.chances == [*list(shown.values())[::-1], None]
        assert slate.degraded is not None or None not in shown.values()


def test_whoever_is_not_known_has_no_chance_and_hides_nobody_elses(shop: Paths) -> None:
    recommender, split = Recommender.open(shop.bundle), read_split(shop.sequences)
    sequences = read_sequences(shop.sequences)
    sequences = sequences.before(np.where(np.arange(len(sequences)) == 3, 0, split.test_start))
    rows = recommender.scores(sequences, split.test_start)
    found = recommender.purchase_chance(sequences, split.test_start, rows, top_k(rows, 5))
    assert found is not None
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [3]
    assert np.isnan(found[3]).all()


def test_pace_is_read_up_to_the_moment_of_asking(shop: Paths) -> None:
    """Steps by what lies since the last purchase alone: a month later the chance is another, and what came in between counts."""
    recommender = Recommender.open(shop.bundle)
    model = ChanceModel(np.array([0.0, 0, 1, 0, 0, 0, 0]), Steps(np.array([0.0, np.log1p(14)]), np.array([0.2, 0.4])))
    recommender._chances = dataclasses.replace(recommender._chances, model=model)
    sequences = read_sequences(shop.sequences).take(np.array([0]))
    newest = int(sequences.occurred_at[-1])
    rows = recommender.scores(sequences, newest + 1)
    told = [recommender.purchase_chance(sequences, newest + days * DAY_US, rows, np.array([[0]])) for days in (1, 13, 15)]
    assert [float(one[0, 0]) for one in told if one is not None] == [0.2, 0.2, 0.4]
