"""EASE and item-kNN beside the model: what validation chooses for them, and when they are left out."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import policies, protocols, quality
from benchmarks.leave_one_out import Fold
from benchmarks.policies import COSINE, DECAYS, EASE, PERSONAL, POPULARITY, REGULARISATIONS, choose_settings, closed_forms
from benchmarks.shaped import write_shaped
from footfall.core.figures import Resampling
from tests.unit.benchmarks.test_protocols import histories

PAIRS = [[1, 9]] * 5 + [[2, 10]] * 8 + [[3, 11]] * 8
"""Item 1 speaks for 9, 2 for 10, 3 for 11: in item-kNN with weight 1, in EASE with n / (n + 100), so that 9 has .643 of the others' weight."""


def asked(history: list[int], target: int) -> Fold:
    return Fold(histories(history), np.array([target], np.int32))


@pytest.mark.parametrize(
    ("history", "ease", "cosine"),
    [
        ([2, 3, 1], 0.5, 0.7),  # the newest event: EASE must let the one before fade below .643, item-kNN may take the first
        ([1, 1, 1, 1, 2, 2], 1.0, 0.9),  # four against two newer ones: 2.79 to 1.9 with .9, of which EASE leaves 1.79; with 1 2.57 to 2
    ],
)
def test_validation_chooses_how_fast_a_history_fades(history: list[int], ease: float, cosine: float) -> None:
    settings = choose_settings(histories(*PAIRS), asked(history, 9), 11)
    assert settings is not None
    assert settings.decays == {EASE: ease, COSINE: cosine}
    assert settings.validation == {EASE: 1.0, COSINE: 1.0}
    assert settings.regularisation == REGULARISATIONS[0]


def test_the_first_of_equals_is_chosen() -> None:
    settings = choose_settings(histories(*PAIRS), asked([1], 9), 11)
    assert settings is not None
    assert (settings.regularisation, settings.decays) == (REGULARISATIONS[0], {EASE: DECAYS[0], COSINE: DECAYS[0]})


def test_what_was_chosen_is_what_ranks() -> None:
    train, once = histories(*PAIRS), histories([1, 2])
    fading = policies.Settings(decays={EASE: 1.0, COSINE: 0.5})
    scores = closed_forms(train, 11, fading)[COSINE](once)
    # the two targets stand beside nothing but the item that speaks for them, the older one at half
    assert (scores[0, 8], scores[0, 9]) == (pytest.approx(0.5), pytest.approx(1.0))


def test_a_catalogue_that_is_too_large_leaves_both_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "CELLS", 11)
    assert set(closed_forms(histories(*PAIRS), 11)) == {POPULARITY, PERSONAL}
    assert choose_settings(histories(*PAIRS), asked([1], 9), 11) is None


def test_a_race_says_what_was_left_out_and_for_how_many_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shaped(tmp_path / "shop.txt", 40, 30)
    monkeypatch.setattr(quality, "TRAIN", dataclasses.replace(quality.TRAIN, epochs=1, threads=1))
    monkeypatch.setattr(quality, "SHAPES", ({"dim": 8, "blocks": 1, "heads": 1, "dropout": 0.1},))
    for module in (protocols, quality):
        monkeypatch.setattr(module, "RESAMPLING", Resampling(20, 7))
    for module in (policies, quality):
        monkeypatch.setattr(module, "CELLS", 30)
    options = argparse.ArgumentParser()
    quality.add_options(options)
    told = options.parse_args(["--sequences", str(tmp_path / "shop.txt"), "--seeds", "1", "--refit-seeds", "0", "--out", str(tmp_path / "out.json")])
    document = json.loads(quality.run(tmp_path, told).read_text())
    assert document["left_out"] == {"policies": ["ease", "cosine"], "items": 30, "numbers_of_a_matrix": 30}
    assert "EASE and item-kNN are left out: 30 items" in capsys.readouterr().out
    assert not {"ease", "cosine"} & set(document["masked"]["policies"])
