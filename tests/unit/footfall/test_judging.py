"""The release gate on real small bundles: what is gathered, and what is decided from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from footfall.arrays.histories import read_sequences
from footfall.arrays.vocabularies import read_vocabulary
from footfall.arrays.windows import read_targets
from footfall.bundle import Content, bundle_digest, write_bundle
from footfall.bundle_files import VOCABULARY_FILE, Fusion
from footfall.bundle_folder import sign_bundle
from footfall.contracts import EVENT_TYPES
from footfall.core.baselines import fit_item_to_item, popularity
from footfall.core.promotion import decide
from footfall.errors import SignatureError, SourceError
from footfall.judging import judge, read_labels
from footfall.params import Params
from footfall.paths import Paths
from footfall.recommender import FUSED, FUSED_WITHOUT_MODEL, Recommender
from footfall.signing import VERIFY, verify_key, verify_keys_in
from tests.unit.footfall.small_shop import AS_OF, USER_IDS, make_shop, small_params, use_table_scorer, write_weights

GOOD = {"model": 0.0, "personal_frequency": 1.0, "item_to_item": 0.01}
RANDOM = {"model": 1.0, "personal_frequency": 0.0, "item_to_item": 0.0}


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    return small_params(checkout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Paths:
    return make_shop(tmp_path_factory.mktemp("shop"), params)


@pytest.fixture(autouse=True)
def scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)


@pytest.fixture
def make(tmp_path: Path, shop: Paths, params: Params) -> Callable[..., Path]:
    """Makes a bundle of the shop's own arrays, with what the test wants different."""

    def bundle(
        name: str, *, weights: dict[str, float] | None = None, logits: np.ndarray | None = None, source: Path | None = None, **moments: str
    ) -> Path:
        sequences = read_sequences(shop.sequences)
        items, start = len(read_vocabulary(shop.sequences)), round(params.test_start.timestamp() * 1e6)
        known = {FUSED: weights or GOOD, FUSED_WITHOUT_MODEL: GOOD | {"model": 0.0}}
        neighbours = fit_item_to_item(sequences.before(round(params.train_end.timestamp() * 1e6)), items, 5)
        content = Content(popularity(sequences, items, start, 28), neighbours, Fusion(known, {}, 90.0, 1000, 2.0))
        table = np.random.default_rng(0).normal(size=items) if logits is None else logits
        source = source or write_weights(tmp_path / f"{name}-weights", table)
        facts: dict[str, Any] = {"inputs": {}, "params": {}, "as_of": AS_OF.isoformat()}
        facts |= {"train_end": params.train_end.isoformat(), "validation_end": params.test_start.isoformat()} | moments
        write_bundle(tmp_path / name, weights=source, vocabulary=shop.sequences / VOCABULARY_FILE, content=content, facts=facts)
        return tmp_path / name

    return bundle


@pytest.fixture
def champion(make: Callable[..., Path]) -> Path:
    """Made four weeks earlier."""
    return make("champion", as_of=(AS_OF - timedelta(days=28)).isoformat())


def ruling(champion: Path | None, challenger: Path, shop: Paths, params: Params) -> tuple[str, str]:
    evidence = judge(champion, challenger, shop.tables, params)
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    outcome, reasons = decide(evidence, params.release)
    return outcome, "\n".join(reasons)


def test_an_equal_challenger_passes_as_fresher(champion: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    evidence = judge(champion, make("challenger"), shop.tables, params)
    assert evidence["overall"]["difference"] == 0
    assert evidence["fresher"]
    outcome, reasons = decide(evidence, params.release)
    assert outcome == "promote"
    assert any("fresher" in reason for reason in reasons)


def test_a_champion_must_be_signed_where_signatures_are_asked_for_and_a_challenger_not_yet(
    champion: Path, make: Callable[..., Path], shop: Paths, params: Params
) -> None:
    ours, theirs = b"o" * 32, b"t" * 32
    challenger, keys = make("challenger"), verify_keys_in({VERIFY: verify_key(ours)})
    with pytest.raises(SignatureError, match="not signed"):
        judge(champion, challenger, shop.tables, params, keys)
    sign_bundle(champion, theirs, bundle_digest(champion))
    with pytest.raises(SignatureError, match="foreign key"):
        judge(champion, challenger, shop.tables, params, keys)
    sign_bundle(champion, ours, bundle_digest(champion))
    assert decide(judge(champion, challenger, shop.tables, params, keys), params.release)[0] == "promote"


def test_the_same_bundle_again_is_refused(champion: Path, shop: Paths, params: Params) -> None:
    outcome, reasons = ruling(champion, champion, shop, params)
    assert outcome == "refuse"
    assert "neither better" in reasons


def test_a_random_ranker_is_refused(champion: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    outcome, reasons = ruling(champion, make("challenger", weights=RANDOM), shop, params)
    assert outcome == "refuse"
    assert "All users" in reasons
    assert "below the limit" in reasons


def test_a_better_ranker_of_the_same_moment_is_promoted(make: Callable[..., Path], shop: Paths, params: Params) -> None:
    outcome, reasons = ruling(make("champion", weights=RANDOM), make("challenger"), shop, params)
    assert outcome == "promote"
    assert "better" in reasons


@pytest.mark.parametrize("moment", ["train_end", "validation_end"])
def test_a_challenger_that_saw_the_window_is_refused(champion: Path, make: Callable[..., Path], shop: Paths, params: Params, moment: str) -> None:
    outcome, reasons = ruling(champion, make("challenger", **{moment: AS_OF.isoformat()}), shop, params)
    assert outcome == "refuse"
    assert "The challenger learnt from events up to 2020-06-01" in reasons
    assert ruling(None, make("alone", **{moment: AS_OF.isoformat()}), shop, params)[0] == "refuse"


def test_a_champion_that_saw_the_window_makes_the_comparison_void(make: Callable[..., Path], shop: Paths, params: Params) -> None:
    outcome, reasons = ruling(make("champion", validation_end=AS_OF.isoformat()), make("challenger"), shop, params)
    assert outcome == "refuse"
    assert "The champion learnt from events up to" in reasons


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(champion: Path, make: Callable[..., Path], shop: Paths, params: Params, value: float) -> None:
    logits = np.zeros(len(read_vocabulary(shop.sequences)))
    logits[3] = value
    challenger = make("challenger", logits=logits)
    for against in (champion, None):
        outcome, reasons = ruling(against, challenger, shop, params)
        assert outcome == "refuse"
        assert "weights are not finite" in reasons


def test_a_damaged_bundle_is_refused_on_either_side(champion: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    challenger = make("challenger")
    (champion / "config.json").write_text("{}")
    assert "The champion's bundle cannot be used: bundle file is damaged" in ruling(champion, challenger, shop, params)[1]
    (challenger / "manifest.json").unlink()
    outcome, reasons = ruling(None, challenger, shop, params)
    assert outcome == "refuse"
    assert "no bundle here" in reasons


def test_size_and_latency_have_limits(champion: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    challenger = make("challenger")
    for limit, sentence in ({"max_bundle_mb": 0.001}, "The bundle takes"), ({"max_latency_ms": 0.001}, "One request takes"):
        strict = dataclasses.replace(params, release=dataclasses.replace(params.release, **limit))
        outcome, reasons = ruling(champion, challenger, shop, strict)
        assert outcome == "refuse"
        assert sentence in reasons


def test_explanations_that_fail_their_test_refuse_a_release_and_none_at_all_do_not(
    champion: Path, make: Callable[..., Path], shop: Paths, params: Params
) -> None:
    challenger = make("challenger")
    outcomes = {}
    for name, told in {"below": {"share": 0.8, "interval": [0.75, 0.85]}, "at": {"share": 0.9, "interval": [0.9, 0.9]}, "without": {}}.items():
        for against in (champion, None):
            evidence = judge(against, challenger, shop.tables, params, metrics={"explanations": told})
            assert [check["ok"] for check in evidence["checks"] if check["name"] == "explanations"] == ([name == "at"] if told else [])
            outcomes[name, against is None] = decide(evidence, params.release)[0]
    assert outcomes == {(name, first): "refuse" if name == "below" else "promote" for name in ("below", "at", "without") for first in (False, True)}


def test_a_slice_that_loses_refuses_although_the_average_holds(champion: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    # A challenger that forgets personal frequency loses most where baskets repeat: let all else pass.
    lenient = dataclasses.replace(
        params, release=dataclasses.replace(params.release, min_difference=-1.0, min_slice_difference=-0.02, min_baseline_difference=-1.0)
    )
    outcome, reasons = ruling(champion, make("challenger", weights=RANDOM), shop, lenient)
    assert outcome == "refuse"
    assert "Slice repeat_basket" in reasons
    nobody = dataclasses.replace(lenient, release=dataclasses.replace(lenient.release, min_slice_users=1000))
    assert ruling(champion, make("again", weights=RANDOM), shop, nobody)[0] == "promote"


def test_the_first_release_needs_no_champion(make: Callable[..., Path], shop: Paths, params: Params) -> None:
    evidence = judge(None, make("challenger"), shop.tables, params)
    assert evidence["champion"] is None
    assert evidence["overall"]["champion"] is None
    assert evidence["baselines"]["best"] == "personal_frequency_90d"
    assert evidence["baselines"]["means"]["fused"] == evidence["overall"]["challenger"]
    assert evidence["baselines"]["interval"][1] >= 0
    assert decide(evidence, params.release)[0] == "promote"


def test_a_model_that_is_worse_than_its_baselines_is_refused_with_and_without_a_champion(
    make: Callable[..., Path], shop: Paths, params: Params
) -> None:
    sabotaged = make("sabotaged", weights=RANDOM)
    for champion in (None, make("as-bad", weights=RANDOM, as_of=(AS_OF - timedelta(days=28)).isoformat())):
        outcome, reasons = ruling(champion, sabotaged, shop, params)
        assert outcome == "refuse"
        assert "Against the best baseline, personal_frequency_90d: ndcg@10 -" in reasons
        assert "the model is worse" in reasons
    lenient = dataclasses.replace(params, release=dataclasses.replace(params.release, min_baseline_difference=-1.0))
    assert ruling(None, sabotaged, shop, lenient)[0] == "promote"


def test_an_untrained_transformer_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[..., Path], shop: Paths, params: Params
) -> None:
    import torch

    from footfall.core.sequence_model import MODEL_TYPE
    from footfall.model.network import SequenceNetwork, Shape

    monkeypatch.undo()  # the real scorer
    torch.manual_seed(0)
    network = SequenceNetwork(Shape(items=len(read_vocabulary(shop.sequences)), event_types=len(EVENT_TYPES), dim=8, blocks=1, heads=2))
    source = tmp_path / "untrained-source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE} | dataclasses.asdict(network.shape)), encoding="utf-8")
    save_file({name: tensor.numpy() for name, tensor in network.state_dict().items()}, source / "model.safetensors")
    evidence = judge(None, make("untrained", weights=RANDOM, source=source), shop.tables, params)
    (check,) = [check for check in evidence["checks"] if check["name"] == "baselines"]
    assert not check["ok"]
    assert evidence["baselines"]["interval"][1] < 0
    assert decide(evidence, params.release)[0] == "refuse"


def test_each_side_ranks_by_its_own_vocabulary(champion: Path, tmp_path: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    whole = judge(champion, make("challenger"), shop.tables, params)["overall"]
    half = make_half(tmp_path / "half", shop, params)
    found = judge(half, make("again"), shop.tables, params)["overall"]
    assert found["challenger"] == whole["challenger"]
    assert found["champion"] < whole["champion"]


def make_half(folder: Path, shop: Paths, params: Params) -> Path:
    """A champion that knows every second item only."""
    from footfall.arrays.vocabularies import write_vocabulary
    from footfall.core.baselines import ItemToItem
    from footfall.core.vocabulary import Vocabulary

    ids = read_vocabulary(shop.sequences).item_ids[::2]
    source = write_weights(folder.with_name("half-weights"), np.zeros(len(ids)))
    write_vocabulary(source, Vocabulary(ids))
    nothing = ItemToItem(np.zeros((len(ids), 1), np.int32), np.zeros((len(ids), 1), np.float32))
    content = Content(np.ones(len(ids)), nothing, Fusion({FUSED: GOOD, FUSED_WITHOUT_MODEL: GOOD}, {}, 90.0, 1000, 2.0))
    early = (AS_OF - timedelta(days=60)).isoformat()
    facts = {"inputs": {}, "params": {}, "as_of": early, "train_end": early, "validation_end": early}
    write_bundle(folder, weights=source, vocabulary=source / VOCABULARY_FILE, content=content, facts=facts)
    return folder


def test_labels_and_histories_are_those_of_the_sequences_stage(make: Callable[..., Path], shop: Paths, params: Params) -> None:
    recommender = Recommender.open(make("challenger"))
    labels = read_labels(shop.tables, params, recommender.vocabulary)
    targets = read_targets(shop.sequences, "test")
    sequences = read_sequences(shop.sequences).take(targets.users).before(labels.start)
    encoded = recommender.encode(labels.histories)
    for name in ("item_index", "event_type", "occurred_at", "offsets"):
        assert np.array_equal(getattr(encoded, name), getattr(sequences, name)), name
    assert np.array_equal(labels.offsets, targets.offsets)
    assert np.array_equal(recommender.vocabulary.encode(labels.item_ids), targets.item_index)
    assert len(labels) == len(USER_IDS) - 1  # one user refuses to be personalised for


def test_a_window_without_labels_is_refused(champion: Path, make: Callable[..., Path], shop: Paths, params: Params) -> None:
    later = dataclasses.replace(params, data=dataclasses.replace(params.data, as_of=AS_OF + timedelta(days=90)))
    outcome, reasons = ruling(champion, make("challenger"), shop, later)
    assert outcome == "refuse"
    assert "0 users bought something in the window" in reasons


def test_missing_tables_are_named(make: Callable[..., Path], tmp_path: Path, params: Params) -> None:
    with pytest.raises(SourceError, match=r"folder has no manifest"):
        judge(None, make("challenger"), tmp_path, params)
