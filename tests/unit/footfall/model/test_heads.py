from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from footfall.core.sequence_model import HEADS
from footfall.core.sequences import Sequences
from footfall.model.head_training import make_lessons, teach_heads
from footfall.model.heads import Heads
from footfall.model.pretrained import SequenceModel
from footfall.model.scorer import Scorer
from footfall.params import Heads as Params
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, build, habits

SEARCH, VIEW, BUY = 0, 2, 4
CUT = 70
PARAMS = Params(lessons=1500, events=100_000, passes=6, batch=256, learning_rate=0.01)


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SequenceModel(CONFIG).eval()


def taught(model: SequenceModel, sequences: Sequences, params: Params = PARAMS, cut: int = CUT) -> SequenceModel:
    copied = copy.deepcopy(model)
    teach_heads(copied, sequences, cut * DAY_US, params, seed=7, threads=1)
    return copied


def weights_of(model: SequenceModel, *, heads: bool) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items() if name.startswith(HEADS) == heads}


def memoryless(users: int, rate: float, days: int) -> Sequences:
    """Users who come on the first day, and buy at any time with the same chance."""
    draw, shop = np.random.default_rng(5), []
    for _ in range(users):
        gaps = np.cumsum(draw.exponential(1 / rate, 100))
        shop.append([(1, VIEW, 0.0), *((2, BUY, float(day)) for day in gaps[gaps < days])])
    return build(*shop)


def test_heads_draw_nothing_and_are_no_parameters(model: SequenceModel) -> None:
    state = torch.random.get_rng_state()
    made = Heads(CONFIG.dim, CONFIG.event_types)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not list(made.parameters())
    assert not made.taught
    assert not any(name.startswith(HEADS) for name, _ in model.named_parameters())


def test_teaching_changes_the_heads_alone_to_the_same_bytes_each_time(model: SequenceModel) -> None:
    first = taught(model, habits())
    torch.rand(3)  # what the process drew before has no say
    second = taught(model, habits())
    assert weights_of(first, heads=False) == weights_of(model, heads=False)
    assert weights_of(first, heads=True) == weights_of(second, heads=True) != weights_of(model, heads=True)
    np.testing.assert_array_equal(Scorer.of(first).scores(habits()), Scorer.of(model).scores(habits()))


def test_nothing_that_happens_after_the_cut_is_seen(model: SequenceModel) -> None:
    shop, cut = habits(), 35
    later = shop.occurred_at >= cut * DAY_US
    assert later.any()
    changed = dataclasses.replace(shop, event_type=np.where(later, VIEW, shop.event_type).astype(np.int8))
    assert weights_of(taught(model, shop, cut=cut), heads=True) == weights_of(taught(model, changed, cut=cut), heads=True)


def test_the_state_of_a_lesson_is_that_of_a_request_at_its_moment(model: SequenceModel) -> None:
    shop = habits()
    lessons = make_lessons(model, shop, CUT * DAY_US, dataclasses.replace(PARAMS, lessons=60), seed=7)
    asked = shop.take(np.flatnonzero(shop.lengths)[lessons.user]).before(lessons.at)
    assert asked.lengths.max() <= CONFIG.max_events < shop.lengths.max()
    whole = shop.lengths[lessons.user] <= CONFIG.max_events  # longer histories are read in windows in training
    np.testing.assert_allclose(lessons.state.numpy()[whole], Scorer.of(model).vectors(asked)[whole], atol=1e-5)
    assert whole.sum() > 20


def test_who_has_not_bought_yet_counts_for_the_time_that_was_seen(model: SequenceModel) -> None:
    """Purchases without a memory, seen for 20 days: within 14 days they come with a chance of 1 - exp(-14 / 20), whoever asks and when."""
    shop = memoryless(400, 0.05, days=20)
    params = dataclasses.replace(PARAMS, lessons=4000)
    outlook = Scorer.of(taught(model, shop, params, cut=20)).outlook(shop, 20 * DAY_US)
    assert outlook is not None
    assert outlook.purchase_within(14).mean() == pytest.approx(1 - np.exp(-0.7), abs=0.08)


def test_who_stays_away_is_told_from_who_was_just_here(model: SequenceModel) -> None:
    """A shop in which who misses two weeks never comes back."""
    draw = np.random.default_rng(1)
    shop = build(*[[(int(draw.integers(1, 9)), BUY, 7.0 * week) for week in range(1 + int(draw.geometric(0.2)))] for _ in range(150)])
    scorer = Scorer.of(taught(model, shop))
    one = build([(1, BUY, 0), (2, BUY, 7)])
    here, away = (scorer.outlook(one, round(day * DAY_US)) for day in (8, 40))
    assert here is not None
    assert away is not None
    assert here.purchase_within(7)[0] > 0.5
    assert away.purchase_within(7)[0] < 0.2


def test_the_next_event_type_is_learnt(model: SequenceModel) -> None:
    """In the shop of habits a search is followed by a basket, and a basket by a search."""
    scorer = Scorer.of(taught(model, habits()))
    asked = build([(0, SEARCH, 0), (3, BUY, 0.01)], [(0, SEARCH, 0), (3, BUY, 0.01), (0, SEARCH, 7)])
    outlook = scorer.outlook(asked, np.array([0.01 * DAY_US + 1, 7 * DAY_US + 1]).astype(np.int64))
    assert outlook is not None
    assert outlook.event_type.argmax(axis=1).tolist() == [SEARCH, BUY]
    np.testing.assert_allclose(outlook.event_type.sum(axis=1), 1)


def test_an_outlook_reads_the_past_alone_and_neighbours_do_not_matter(model: SequenceModel) -> None:
    scorer, shop, at = Scorer.of(taught(model, habits())), habits(), 30 * DAY_US
    whole = scorer.outlook(shop, at)
    past = scorer.outlook(shop.before(at), np.full(len(shop), at))
    assert whole is not None
    assert past is not None
    np.testing.assert_array_equal(whole.hazard, past.hazard)
    for user in range(5):
        alone = scorer.outlook(shop.take(np.array([user])), at)
        assert alone is not None
        np.testing.assert_allclose(alone.hazard[0], whole.hazard[user], rtol=1e-4)


def test_nobody_is_told_what_is_not_known(model: SequenceModel) -> None:
    assert Scorer.of(model).outlook(habits(), CUT * DAY_US) is None
    outlook = Scorer.of(taught(model, habits())).outlook(build([(1, BUY, 5)], [(1, BUY, 1)]), 3 * DAY_US)
    assert outlook is not None
    assert np.isnan(outlook.hazard).all(axis=1).tolist() == np.isnan(outlook.event_type).all(axis=1).tolist() == [True, False]


def test_weights_from_before_there_were_heads_still_rank(model: SequenceModel) -> None:
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items() if not name.startswith(HEADS)}
    old = Scorer(model.config.to_dict(), weights)
    np.testing.assert_array_equal(old.scores(habits()), Scorer.of(model).scores(habits()))
    assert old.outlook(habits(), CUT * DAY_US) is None


def test_a_shop_without_history_before_the_cut_teaches_nothing(model: SequenceModel) -> None:
    copied = copy.deepcopy(model)
    assert teach_heads(copied, habits(), 0, PARAMS, seed=7, threads=1) == []
    assert not copied.heads.taught
