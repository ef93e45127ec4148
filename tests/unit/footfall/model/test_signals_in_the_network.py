"""Queries and durations in the network: they cost nothing where there are none, add nothing at index 0, and are learnt from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.batches import pack
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, build, habits

END = 100 * DAY_US
QUICK = dataclasses.replace(PARAMS, epochs=1)


def configured(**more: int) -> SequenceConfig:
    return SequenceConfig(**(CONFIG.to_dict() | more))


def with_signals(sequences: Sequences, query: Any, duration: Any) -> Sequences:
    count = len(sequences.item_index)
    arrays = [np.broadcast_to(np.asarray(values), count) for values in (query, duration)]
    return dataclasses.replace(sequences, query_index=arrays[0].astype(np.int32), duration=arrays[1].astype(np.int8))


def foretold(users: int = 60) -> Sequences:
    """Each user searches, then buys what was searched for: query n is for item n, and nothing else tells."""
    random = np.random.default_rng(3)
    items = random.integers(1, ITEMS + 1, (users, 8))
    sequences = build(*[[event for day, item in enumerate(own) for event in ((0, 0, float(day)), (int(item), 4, day + 0.5))] for own in items])
    bought = np.concatenate([items.ravel()[:, None], np.zeros((items.size, 1), int)], axis=1).ravel()  # at the search, not at the purchase
    return with_signals(sequences, bought, 0)


def test_a_model_without_signals_trains_to_the_same_bytes_whatever_the_histories_say() -> None:
    plain = train(habits(), END, CONFIG, QUICK).model.state_dict()
    told = train(with_signals(habits(), 1, 2), END, CONFIG, QUICK).model.state_dict()
    assert list(plain) == list(told)
    assert not any(name.startswith("signals") for name in plain)
    assert all(torch.equal(plain[name], told[name]) for name in plain)


def test_index_0_adds_nothing_before_and_after_training() -> None:
    trained = train(with_signals(habits(), np.arange(len(habits().item_index)) % 3, 0), END, configured(queries=2, durations=4), QUICK).model
    assert trained.signals is not None
    assert trained.signals.query is not None
    assert trained.signals.duration is not None
    assert not trained.signals.query.weight[0].any()
    assert trained.signals.query.weight[1:].any(dim=1).all()
    assert not trained.signals.duration.weight.any()
    silent, told = Scorer.of(trained).scores(habits()), Scorer.of(trained).scores(with_signals(habits(), 0, 0))
    np.testing.assert_array_equal(silent, told)


def test_training_begins_where_it_would_begin_without_signals() -> None:
    torch.manual_seed(1)
    model = SequenceModel(configured(queries=5, durations=4)).eval()
    with torch.no_grad():
        told, silent = (model.scores(pack(sequences)) for sequences in (with_signals(habits(), 5, 3), habits()))
    assert torch.equal(told, silent)


def test_what_a_search_foretells_is_learnt_and_followed() -> None:
    params = dataclasses.replace(PARAMS, epochs=8)
    trained = train(foretold(), END, configured(queries=ITEMS, dropout=0.0), params).model
    asked = [(7, 4, 0.0), (0, 0, 1.0)]
    for query in (3, 20):
        (slate,) = Scorer.of(trained).scores(with_signals(build(asked), [0, query], 0))
        assert int(slate.argmax()) + 1 == query


def test_a_duration_changes_the_scores_of_a_model_that_reads_it() -> None:
    torch.manual_seed(1)
    model = SequenceModel(configured(durations=4))
    assert model.signals is not None
    assert model.signals.duration is not None
    torch.nn.init.normal_(model.signals.duration.weight)
    short, long = (Scorer.of(model).scores(with_signals(build([(1, 2, 0.0)]), 0, code)) for code in (1, 3))
    assert np.abs(short - long).max() > 0.01


@pytest.mark.parametrize(("query", "duration", "said"), [(3, 0, "query_index from 3"), (0, 4, "duration from 4"), (-1, 0, "query_index from -1")])
def test_signals_that_the_model_does_not_know_are_refused(query: int, duration: int, said: str) -> None:
    strange, config = with_signals(habits(users=4), query, duration), configured(queries=2, durations=4)
    with pytest.raises(SourceError, match="signal outside") as caught:
        train(strange, END, config, QUICK)
    assert said in str(caught.value.found)
    with pytest.raises(ValueError, match=said):
        Scorer.of(SequenceModel(config)).scores(strange)


def test_a_model_made_before_there_were_signals_still_opens() -> None:
    model = SequenceModel(CONFIG)
    old = {name: value for name, value in model.config.to_dict().items() if name not in ("queries", "durations")}
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.testing.assert_array_equal(Scorer(old, weights).scores(habits()), Scorer.of(model).scores(habits()))
