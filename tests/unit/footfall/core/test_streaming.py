from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from footfall.core.explanations import without  # noqa: E402
from footfall.core.sequence_model import weight_shapes  # noqa: E402
from footfall.core.sequences import Sequences  # noqa: E402
from footfall.core.streaming import StreamingModel, one_of  # noqa: E402
from footfall.core.streaming_scorer import StreamingScorer  # noqa: E402
from footfall.model.network import SequenceNetwork, Shape  # noqa: E402
from footfall.model.scorer import Scorer  # noqa: E402

SHAPE = Shape(items=30, dim=16, blocks=2, heads=2, channels=3, max_events=12, queries=4, durations=5)
CONFIG = {"model_type": "footfall-sequence", **vars(SHAPE)}
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    torch.manual_seed(3)
    network = SequenceNetwork(SHAPE)
    drawn = {name: torch.randn(tensor.shape) * 0.3 for name, tensor in network.state_dict().items()}
    drawn["heads.scale"] = drawn["heads.scale"].abs()
    return {name: tensor.numpy() for name, tensor in drawn.items()}


@pytest.fixture(scope="module")
def trained(weights: dict[str, np.ndarray]) -> Scorer:
    return Scorer(CONFIG, weights)


EVENT = st.tuples(st.integers(0, 30), st.integers(0, 6), st.integers(0, 4), st.integers(0, 4), st.sampled_from([0, 0, 1, 5, 700, 90_000]))
HISTORY = st.lists(EVENT, max_size=16)


def history(*users: list[tuple[int, int, int, int, int]]) -> Sequences:
    """Events of (item, type, query, duration, hours since the one before)."""
    columns = [np.array([event[n] for events in users for event in events], np.int64) for n in range(4)]
    moments = [np.cumsum([event[4] for event in events]) * HOUR_US for events in users]
    offsets = np.cumsum([0, *map(len, users)]).astype(np.int64)
    item, kind, query, duration = columns
    at = np.concatenate([np.zeros(0), *moments]).astype(np.int64)
    return Sequences(item.astype(np.int32), kind.astype(np.int8), at, offsets, query.astype(np.int32), duration.astype(np.int8))


@given(HISTORY, HISTORY, HISTORY)
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_the_network_that_was_trained(
    weights: dict[str, np.ndarray], trained: Scorer, one: list, other: list, third: list
) -> None:
    users = history(one, other, third)
    np.testing.assert_allclose(StreamingScorer(CONFIG, weights).scores(users), trained.scores(users), rtol=1e-5, atol=2e-5)


@given(st.lists(EVENT, min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_reading_on_is_reading_anew(weights: dict[str, np.ndarray], events: list, data: st.DataObject) -> None:
    model, whole = StreamingModel(CONFIG, weights), history(events)
    cut = data.draw(st.integers(0, len(events)))
    begun = model.read(history(events[:cut]))
    onwards = model.read(one_of(whole, 0, cut), begun)
    anew = model.read(whole)
    np.testing.assert_allclose(model.scores(onwards), model.scores(anew), rtol=1e-5, atol=1e-5)
    for mine, theirs in zip((*onwards.keys, *onwards.values), (*anew.keys, *anew.values), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@given(st.lists(st.lists(EVENT, min_size=1, max_size=14), min_size=1, max_size=4), st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_remembered_changes_no_score(weights: dict[str, np.ndarray], users: list, data: st.DataObject) -> None:
    scorer = StreamingScorer(CONFIG, weights, remembered_bytes=data.draw(st.sampled_from([0, 4_000, 1 << 20])))
    for _ in range(8):
        events = data.draw(st.sampled_from(users))
        cut = data.draw(st.integers(1, len(events)))
        changed = [*events[: cut - 1], (data.draw(st.integers(0, 30)), *events[cut - 1][1:])] if data.draw(st.booleans()) else events[:cut]
        fresh = StreamingScorer(CONFIG, weights).scores(history(changed))
        np.testing.assert_allclose(scorer.scores(history(changed)), fresh, rtol=1e-5, atol=1e-5)


def test_a_longer_history_goes_on_where_the_shorter_one_ended(weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = StreamingModel.read

    def counting(model: StreamingModel, events: Sequences, before: object = None) -> object:
        read.append(len(events.item_index))
        return original(model, events, before)  # type: ignore[arg-type]

    monkeypatch.setattr(StreamingModel, "read", counting)
    scorer, events = StreamingScorer(CONFIG, weights), [(n + 1, 1, 0, 0, 2) for n in range(10)]
    for cut in (8, 9, 9, 10):
        scorer.scores(history(events[:cut]))
    assert read == [8, 1, 1]


def test_the_outlook_is_that_of_the_network(weights: dict[str, np.ndarray], trained: Scorer) -> None:
    users, at = history([(1, 4, 0, 0, 3), (2, 1, 1, 2, 9)], [], [(5, 0, 2, 0, 1)]), 400 * HOUR_US
    ours, theirs = StreamingScorer(CONFIG, weights).outlook(users, at), trained.outlook(users, at)
    assert ours is not None
    assert theirs is not None
    np.testing.assert_allclose(ours.event_type, theirs.event_type, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.hazard, theirs.hazard, rtol=1e-4, atol=1e-6)


def test_a_model_without_taught_heads_has_no_outlook(weights: dict[str, np.ndarray]) -> None:
    untaught = {name: array for name, array in weights.items() if not name.startswith("heads.")}
    assert StreamingScorer(CONFIG, untaught).outlook(history([(1, 4, 0, 0, 3)]), 10 * HOUR_US) is None


def test_the_shapes_are_those_of_the_network(weights: dict[str, np.ndarray]) -> None:
    assert weight_shapes(CONFIG) == {name: array.shape for name, array in weights.items()}


@pytest.mark.parametrize("column", ["item", "type", "query"])
def test_what_the_model_does_not_know_is_refused(weights: dict[str, np.ndarray], column: str) -> None:
    event = {"item": (31, 0, 0, 0, 0), "type": (1, 7, 0, 0, 0), "query": (1, 0, 5, 0, 0)}[column]
    with pytest.raises(ValueError, match=r"knows|quer"):
        StreamingScorer(CONFIG, weights).scores(history([event]))


def test_nothing_is_kept_of_anybody_once_it_is_told_to_forget(weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, events = StreamingScorer(CONFIG, weights), history([(n + 1, 1, 0, 0, 2) for n in range(10)])
    before = scorer.scores(events)
    scorer.forget()
    assert not scorer._readings
    read: list[int] = []
    original = StreamingModel.read
    monkeypatch.setattr(StreamingModel, "read", lambda model, some, known=None: read.append(len(some.item_index)) or original(model, some, known))
    np.testing.assert_array_equal(scorer.scores(events), before)
    assert read == [10]


@given(st.lists(EVENT, min_size=1, max_size=16), st.data())
@settings(max_examples=60, deadline=None)
def test_variants_of_a_history_score_as_if_each_were_read_anew(weights: dict[str, np.ndarray], events: list, data: st.DataObject) -> None:
    """Up to 16 events, of which the model reads the newest 12: without one of those an older one comes in, and nothing is shared."""
    whole, places = history(events), st.lists(st.integers(0, len(events) - 1))
    variants = without(whole, data.draw(st.lists(places, max_size=5)))
    found = StreamingScorer(CONFIG, weights).scores_of_variants(whole, variants)
    np.testing.assert_allclose(found, StreamingScorer(CONFIG, weights).scores(variants), rtol=1e-5, atol=1e-5)


def test_variants_are_read_in_groups_that_bound_the_memory(weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = history([(n + 1, 1, 0, 0, 2) for n in range(12)])
    variants = without(whole, [[place] for place in range(12)])
    expected, read, original = StreamingScorer(CONFIG, weights).scores(variants), list[int](), StreamingModel.read_together

    def counting(model: StreamingModel, histories: list) -> list:
        read.append(sum(len(events.item_index) for events, _ in histories))
        return original(model, histories)

    monkeypatch.setattr(StreamingModel, "read_together", counting)
    monkeypatch.setattr("footfall.core.streaming_scorer._ROWS", 20)
    np.testing.assert_allclose(StreamingScorer(CONFIG, weights).scores_of_variants(whole, variants), expected, rtol=1e-5, atol=1e-5)
    assert read[0] == 12
    assert max(read[1:]) <= 20 + 12
    assert len(read) > 3


def test_a_variant_is_read_from_the_moment_before_the_one_that_it_lacks(weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole is known from the request before; without its sixth event, the fifth and the four after it are read."""
    scorer, whole, read = StreamingScorer(CONFIG, weights), history([(n + 1, 1, 0, 0, 2) for n in range(10)]), list[int]()
    scorer.scores(whole)
    original = StreamingModel._begin
    monkeypatch.setattr(
        StreamingModel, "_begin", lambda model, events, before: read.append(len(events.item_index)) or original(model, events, before)
    )
    scorer.scores_of_variants(whole, without(whole, [[5], [9], []]))
    assert read == [5, 1, 1]


def test_of_variants_nothing_is_remembered(weights: dict[str, np.ndarray]) -> None:
    scorer, whole = StreamingScorer(CONFIG, weights), history([(n + 1, 1, 0, 0, 2) for n in range(10)])
    scorer.scores_of_variants(whole, without(whole, [[place] for place in range(10)]))
    (kept,) = scorer._readings.values()
    assert kept.events.item_index.tolist() == whole.item_index.tolist()


def test_nobody_has_no_scores(weights: dict[str, np.ndarray]) -> None:
    assert StreamingScorer(CONFIG, weights).scores(history()).shape == (0, SHAPE.items)


def test_a_model_without_blocks_is_none(weights: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="configuration has 0 blocks"):
        StreamingModel({**CONFIG, "blocks": 0}, weights)
