"""Section `heads` of METRICS on a small shop: an oracle is found perfect, and what cannot be asked is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from footfall.arrays.histories import read_sequences
from footfall.arrays.windows import read_split, read_targets
from footfall.bundle import open_bundle
from footfall.contracts import EVENT_TYPES
from footfall.core.outlook import SPANS, Outlook
from footfall.core.rhythm import Moments
from footfall.core.sequences import DAY_US, Sequences
from footfall.params import Params
from footfall.paths import Paths
from footfall.recommender import Recommender
from footfall.stages.bundle import make_bundle
from footfall.stages.head_figures import HEADS, LOGISTIC, head_figures
from tests.unit.footfall.small_shop import TableScorer, make_shop, small_params, use_table_scorer

BUY = EVENT_TYPES.index("purchase")


class Oracle(TableScorer):
    """Knows what comes: who buys within the window, and that a search is followed by a purchase and a purchase by a search."""

    buyers: ClassVar[set[tuple[int, ...]]] = set()

    def outlook(self, sequences: Sequences, at: int | np.ndarray) -> Outlook | None:
        past = sequences.before(at)
        types = np.zeros((len(past), len(EVENT_TYPES)))
        types[np.arange(len(past)), np.where(past.event_type[past.offsets[1:] - 1] == BUY, 0, BUY)] = 1
        buys = [tuple(past.take(np.array([user])).occurred_at.tolist()) in self.buyers for user in range(len(past))]
        return Outlook(types, np.repeat(np.where(buys, 50.0, 0.0)[:, None], SPANS, axis=1))


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    return small_params(checkout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Paths:
    """Made once: these tests only read."""
    with pytest.MonkeyPatch.context() as patch:
        use_table_scorer(patch)
        paths = make_shop(tmp_path_factory.mktemp("shop"), params)
        make_bundle(paths, params)
    return paths


def figures(paths: Paths, params: Params, scorer: type[TableScorer], sequences: Sequences | None = None) -> dict[str, dict[str, object]]:
    bundle = open_bundle(paths.bundle)
    recommender = Recommender(bundle, scorer(bundle.config, bundle.weights))
    told = read_sequences(paths.sequences) if sequences is None else sequences
    split, targets = read_split(paths.sequences), read_targets(paths.sequences, "test")
    return head_figures(recommender, told, split, targets, params.evaluate)


def leaving(paths: Paths) -> Sequences:
    """The shop without every third user's last weeks, so that not everybody buys in the window."""
    sequences, split = read_sequences(paths.sequences), read_split(paths.sequences)
    return sequences.before(np.where(np.arange(len(sequences)) % 3 == 0, split.train_end - 20 * DAY_US, split.as_of))


def test_an_oracle_is_found_perfect(shop: Paths, params: Params) -> None:
    sequences, split = leaving(shop), read_split(shop.sequences)
    past, later = sequences.before(split.test_start), sequences.lengths > sequences.before(split.test_start).lengths
    Oracle.buyers = {tuple(past.take(np.array([user])).occurred_at.tolist()) for user in np.flatnonzero(later)}
    found = figures(shop, params, Oracle, sequences)
    bought = found["time_to_next_purchase"]
    assert bought["days"] == 14
    assert bought["bought"] == pytest.approx(later.sum() / (past.lengths > 0).sum(), abs=1e-6)
    for name in ("accuracy", "precision", "recall", "f1", "auc"):
        assert bought[HEADS][name] == found["next_event_type"][HEADS][name] == 1.0  # type: ignore[index]
    assert bought[HEADS]["calibration"]["error"] == pytest.approx(0, abs=1e-6)  # type: ignore[index]
    assert bought["log_loss_saved"]["interval"][0] > 0  # type: ignore[index]
    assert 0.5 < bought[LOGISTIC]["accuracy"] <= 1  # type: ignore[index]
    assert found["next_event_type"]["classes"] == ["search", "purchase"]
    assert found["next_event_type"][LOGISTIC]["accuracy"] == 1.0  # type: ignore[index]


def test_the_next_item_is_judged_by_hand(shop: Paths, params: Params) -> None:
    """TableScorer ranks the same item first for everybody: it is right as often as that item stands in a basket."""
    found = figures(shop, params, TableScorer)["next_item"]
    top = int(np.argmax(open_bundle(shop.bundle).weights["logits"])) + 1
    targets = read_targets(shop.sequences, "test")
    share = (targets.item_index == top).sum() / len(targets)
    heads, regression = found[HEADS], found[LOGISTIC]
    assert heads["items_shown"] == 1  # type: ignore[index]
    assert heads["accuracy"] == heads["precision"] == pytest.approx(share, abs=1e-6)  # type: ignore[index]
    assert heads["recall"] == (1.0 if share else 0.0)  # type: ignore[index]
    assert regression["auc"] > 0.8 > heads["auc"]  # type: ignore[index]  # who knows habits knows this shop
    assert regression["log_loss"] < heads["log_loss"]  # type: ignore[index]


def test_a_model_without_heads_is_said_to_have_none(shop: Paths, params: Params) -> None:
    found = figures(shop, params, TableScorer, leaving(shop))
    for question in ("next_event_type", "time_to_next_purchase"):
        assert HEADS not in found[question]
        assert "no heads" in str(found[question]["reason"])
        assert LOGISTIC in found[question]


def test_one_type_of_event_is_nothing_to_tell_apart(shop: Paths, params: Params) -> None:
    sequences = read_sequences(shop.sequences)
    found = figures(shop, params, Oracle, dataclasses.replace(sequences, event_type=np.full_like(sequences.event_type, BUY)))
    assert found["next_event_type"]["classes"] == ["purchase"]
    assert "one type, purchase" in str(found["next_event_type"]["reason"])
    assert HEADS not in found["next_event_type"]


def test_a_window_in_which_everybody_buys_is_nothing_to_tell_apart(shop: Paths, params: Params) -> None:
    sequences, split = read_sequences(shop.sequences), read_split(shop.sequences)
    moments = Moments(sequences)
    users = np.arange(len(sequences))
    _, buys = moments.bought.next_after(users, np.full(len(users), split.test_start))
    old = sequences.before(split.test_start).lengths > 0
    staying = sequences.before(np.where(buys & old, split.as_of, 0))
    found = figures(shop, params, TableScorer, staying)["time_to_next_purchase"]
    assert found["bought"] == 1.0
    assert "everybody bought" in str(found["reason"])
