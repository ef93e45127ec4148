"""The races over training: what they read, whom they count, and what they make of it. How fast anybody is does not matter here."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import floor, memory, scale, shaped, time_to_quality, train
from benchmarks.contestants import loss_memory, steps_footfall, steps_gemm
from benchmarks.contestants.histories import read_histories
from benchmarks.contestants.turns import Turns
from benchmarks.racers import STEPS, WARM, Racer, take_turns
from footfall.model.repeatable import repeatable

ROOT = Path(__file__).parents[3]


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    path = tmp_path / "sequences.txt"
    shaped.write_shaped(path, users=40, items=30)
    return path


def settings(path: Path, **others: Any) -> dict[str, Any]:
    told = {"sequences": str(path), "params": str(ROOT / "params.yaml"), "items": 30, "dim": 8, "dropout": 0.2, "rate": 1e-3, "negatives": 0}
    return told | {"length": 5, "users": 8, "steps": 3, "seed": 7, "threads": 1, "checked": 10} | others


def raced(contestant: Any, told: dict[str, Any], heard: str) -> list[dict[str, Any]]:
    """What a contestant says in a race of one, in this process."""
    said = io.StringIO()
    contestant.run(told, Turns(io.StringIO(heard), said))
    return [json.loads(line) for line in said.getvalue().splitlines()]


def racer(name: str, seconds: list[float], **facts: Any) -> Racer:
    """One that has raced."""
    found = {"version": f"{name} 1, torch 2", "targets": 600, "users": 100, "loss": 9.0, "precision": "bfloat16", "device": "cpu"} | facts
    return Racer(name, "footfall", Path(), {"users": 10}, found, seconds, [60] * len(seconds), [70] * len(seconds), sum(seconds), 10.0)


@contextmanager
def one_thread() -> Iterator[None]:
    with repeatable(7, 1):
        yield


def test_generated_histories_have_the_shape_of_beauty(tmp_path: Path) -> None:
    shaped.write_shaped(tmp_path / "all.txt", shaped.USERS, shaped.ITEMS)
    users = read_histories(str(tmp_path / "all.txt"), 0)
    lengths = np.array([len(items) for items in users])
    counts = np.bincount(np.concatenate([np.array(items) for items in users]))[1:]

    assert len(users) == shaped.USERS
    assert len(counts) == shaped.ITEMS
    assert lengths.min() == shaped.LEAST
    assert lengths.mean() == pytest.approx(shaped.MEAN, rel=0.03)
    assert 100 < lengths.max() < 300
    assert counts.min() >= 1
    assert all(len(set(items)) == len(items) for items in users)


def test_the_same_seed_gives_the_same_histories(histories: Path, tmp_path: Path) -> None:
    shaped.write_shaped(tmp_path / "again.txt", users=40, items=30)
    shaped.write_shaped(tmp_path / "other.txt", users=40, items=30, seed=8)

    assert (tmp_path / "again.txt").read_bytes() == histories.read_bytes()
    assert (tmp_path / "other.txt").read_bytes() != histories.read_bytes()


def test_even_histories_are_all_of_one_length_and_meet_no_item_twice(tmp_path: Path) -> None:
    shaped.write_even(tmp_path / "even.txt", users=5, length=12, items=12)

    assert [sorted(items) for items in read_histories(str(tmp_path / "even.txt"), 0)] == [list(range(1, 13))] * 5


def test_beauty_is_generated_where_the_data_folder_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOOTFALL_DATA", str(tmp_path))
    monkeypatch.setattr(shaped, "USERS", 30)
    monkeypatch.setattr(shaped, "ITEMS", 20)
    path, called = shaped.beauty(tmp_path / "made")

    assert called == "Beauty-shaped"
    assert len(read_histories(str(path))) == 30

    real = tmp_path / "amazon_beauty" / "Beauty.txt.gz"
    real.parent.mkdir()
    real.touch()
    assert shaped.beauty(tmp_path / "made") == (real, "Beauty")


def test_a_users_last_two_events_are_held_out_of_training(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("1 5 6 7 8 9\n2 1 2 3\n", encoding="utf-8")
    ours = steps_footfall.histories(settings(tmp_path / "two.txt", length=2))

    assert read_histories(str(tmp_path / "two.txt")) == [[5, 6, 7], [1]]
    assert [ours.item_index[a:b].tolist() for a, b in zip(ours.offsets, ours.offsets[1:], strict=False)] == [[5, 6, 7], [1]]


def test_batches_hold_so_many_different_users_and_begin_anew_when_all_had_their_turn(histories: Path) -> None:
    told = settings(histories, users=16, steps=5)
    found = list(steps_footfall.batches(steps_footfall.histories(told), told))

    assert [len(users) for users in found] == [16] * 5
    assert all(len(set(np.concatenate(found[first : first + 2]).tolist())) == 32 for first in (0, 2))


@pytest.mark.parametrize("negatives", [0, 4])
def test_ours_trains_in_turns_and_counts_its_targets(histories: Path, negatives: int) -> None:
    ready, first, second, end = raced(steps_footfall, settings(histories, negatives=negatives), "1\n2\n")
    lengths = [min(len(items), 6) for items in read_histories(str(histories))]

    assert ready["encoder"] == 2 * 12 * 8 * 8  # of each block: q, k, v, out and two gates; and 6 d^2 in the SwiGLU
    assert ready["targets"] == sum(lengths) - len(lengths)
    assert [len(said["steps"]) for said in (first, second)] == [1, 2]
    for seconds, targets, tokens in first["steps"] + second["steps"]:
        assert seconds > 0
        assert tokens == targets + 8
    assert first["peak_mib"] > 0
    assert end["loss"] == pytest.approx(np.log(30), rel=0.05)


def test_the_machine_says_what_a_product_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_gemm, "SIZE", 16)
    with one_thread():
        ready, turn, _ = raced(steps_gemm, {"threads": 1, "steps": 2, "kind": "bfloat16"}, "2\n")

    assert ready["flops"] == 2 * 16**3
    assert len(turn["steps"]) == 2


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The clock, and one contestant who needs nothing."""
    folder = tmp_path / "benchmarks" / "contestants"
    folder.mkdir(parents=True)
    (folder / "turns.py").write_bytes((ROOT / "benchmarks" / "contestants" / "turns.py").read_bytes())
    (folder / "steps_small.py").write_text(
        """def run(settings, turns):
    print("a library's own words")
    turns.begin(version="small 1")
    for step in range(settings["steps"]):
        turns.stepped(6, 7)
    turns.end(loss=9.0)
"""
    )
    return tmp_path


def test_a_racers_process_waits_for_its_turn_and_ends_with_the_race(checkout: Path) -> None:
    small = Racer("small one", "small", Path(sys.executable), {})
    take_turns(checkout, checkout / "homes", [small, Racer("other", "small", Path(sys.executable), {})])

    assert len(small.seconds) == STEPS - WARM
    assert small.targets == [6] * len(small.seconds)
    assert small.facts == {"version": "small 1", "loss": 9.0}
    assert small.notes()["steps"] == len(small.seconds)
    assert "own words" in (checkout / "homes" / "small-one" / "said.txt").read_text()


def test_a_racer_that_fails_says_why(checkout: Path) -> None:
    with pytest.raises(RuntimeError, match="steps_nobody"), Racer("nobody", "nobody", Path(sys.executable), {}).running(checkout, checkout / "homes"):
        pass


def test_an_epoch_is_the_median_step_over_its_targets_times_all_targets() -> None:
    ours, peer = racer("footfall exact", [0.1, 0.2, 0.9]), racer("rectools softmax", [2.0, 4.0, 5.0], loss=9.9)
    time, loss = train.compare("Beauty", ours, peer, targets=1_200, target=0.12)

    assert time.ours == pytest.approx(1_200 * 0.2 / 60)
    assert time.peer == pytest.approx(1_200 * 4.0 / 60)
    assert time.ratio == pytest.approx(0.05)
    assert time.holds
    assert time.peer_name == "rectools softmax 1 softmax"
    assert loss.ours == pytest.approx(0.1)
    assert not loss.holds
    assert f"{STEPS} steps" in loss.what


def test_a_batch_of_prefixes_has_as_many_targets() -> None:
    peer = racer("recbole CE", [1.0])
    assert train.targets_a_step(peer) == 60
    peer.settings["prefixes"] = 752
    assert train.targets_a_step(peer) == 752


def test_everybody_is_given_equally_many_targets_a_batch() -> None:
    for heat in train.heats(5.875, full=True):
        for _, own, against, _ in heat.peers.values():
            assert own.get("prefixes", heat.users * 5.875) == pytest.approx(heat.users * 5.875, rel=0.002)
            assert set(against) in ({"exact", "exact float32"}, {"exact", "exact float32", "sampled"})


def test_rectools_sampled_softmax_is_raced_at_its_best_size_too() -> None:
    found = [heat.peers["sampled softmax"] for heat in train.heats(5.875, full=False) if "best" in heat.what and "sampled softmax" in heat.peers]
    assert [(peer, own["negatives"], against, target) for peer, own, against, target in found] == [
        ("rectools", 256, ("exact", "exact float32", "sampled"), 0.30)
    ]


@pytest.mark.parametrize(("negatives", "said"), [(0, "bfloat16"), (256, "float32")])
def test_a_row_says_in_what_our_logits_are(negatives: int, said: str) -> None:
    ours, peer = racer("footfall exact", [0.2]), racer("rectools softmax", [4.0])
    ours.settings["negatives"] = negatives
    time, _ = train.compare("Beauty", ours, peer, targets=1_200, target=0.12)
    assert time.what == f"Beauty, exact: an epoch, our logits in {said}"


def test_every_peer_has_a_size_at_which_it_is_fastest_and_a_number_of_epochs_on_record() -> None:
    best = [peer for heat in train.heats(5.875, full=True) if heat.best for peer, *_ in heat.peers.values()]
    assert sorted(best) == sorted(time_to_quality.RECORDED_EPOCHS)


def test_the_quickest_peer_is_what_time_to_quality_is_held_against(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"rectools": ("rectools 1 softmax", 50.0), "recbole": ("recbole 1 CE", 10.0)}  # 600 and 420 s over their epochs
    monkeypatch.setattr(time_to_quality, "peers_at_their_best", lambda *_: measured)
    quickest, other = time_to_quality.computed(tmp_path, tmp_path / "none", 60.0)
    assert (quickest.peer, quickest.target, quickest.holds, other.peer, other.target) == (420.0, 0.15, True, 600.0, None)
    assert quickest.peer_name == "computed: recbole 1 CE, 10.0 s an epoch x 42"
    assert time_to_quality.computed(tmp_path, tmp_path / "none", 66.0)[0].holds is False


def test_operations_of_a_step_by_hand() -> None:
    # ten weights over four rows: 2*10*4 forward, three times that in all
    assert floor.operations(10, 4) == 3 * 80
    # an epoch over Beauty at width 64: .69 TFLOP, as counted in advance
    assert floor.operations(2 * 12 * 64**2, 153_776) + floor.operations(12_101 * 64, 131_413) == pytest.approx(0.69e12, rel=0.02)


@pytest.mark.parametrize(("device", "precision", "blocks", "softmax"), [("cpu", "float32", 1_000, 1_000), ("cpu", "bfloat16", 1_000, 4_000)])
def test_a_step_is_measured_against_the_machines_median_rates(device: str, precision: str, blocks: int, softmax: int) -> None:
    machine = {
        "float32": racer("machine", [0.5, 1.0, 2.0], flops=1_000, device=device),
        "bfloat16": racer("machine", [0.125, 0.25, 2.0], flops=1_000, device=device),
    }
    ours = racer("footfall 2", [2.0, 4.0, 8.0], encoder=10, device=device, precision=precision)
    row = floor.row("Beauty", ours, machine, dim=2, items=5)
    least = floor.operations(10, 70) / blocks + floor.operations(5 * 2, 60) / softmax

    assert row.peer == pytest.approx(1_000 * least)
    assert row.ratio == pytest.approx(4.0 / least)
    assert row.target == 2.5


def test_ours_and_full_logits_agree_on_loss_and_gradients() -> None:
    with one_thread():
        grads = []
        losses = []
        for contestant in (loss_memory.ours, loss_memory.theirs):
            weights, packed = loss_memory.inputs(items=50, dim=8, users=3)
            loss = contestant(*weights, packed)
            loss.backward()
            losses.append(loss.item())
            grads.append([weight.grad.numpy() for weight in weights if weight.grad is not None])

    assert packed.targets == 3 * loss_memory.LENGTH
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for one, other in zip(*grads, strict=True):
        assert memory.difference(one, other) < 1e-4


def test_memory_is_counted_beyond_what_stood_there_and_differences_are_refused() -> None:
    said = {name: [{"loss": loss, "version": "torch 2"}] for name, loss in (("footfall", 9.0), ("torch", 10.0))}
    peak, loss, gradients = memory.rows(said, {"footfall": [1.0, 2.0], "torch": [40.0, 30.0]}, {"table": 1e-6, "bias": 1e-3})

    assert peak.ratio == pytest.approx(0.05)
    assert peak.holds
    assert not loss.holds
    assert gradients.ours == 1e-3
    assert not gradients.holds


def test_difference_is_relative_and_sees_a_single_number() -> None:
    theirs = np.ones(10_000, np.float32)
    ours = theirs.copy()
    ours[3] = 1.5

    assert memory.difference(theirs, theirs) == 0
    assert memory.difference(2 * theirs, theirs) == pytest.approx(1.0)
    assert memory.difference(ours, theirs) == pytest.approx(0.5)


@pytest.mark.parametrize("size", scale.SIZES, ids=lambda size: size.what)
def test_steps_of_all_sizes_read_equally_many_events(size: scale.Size, tmp_path: Path) -> None:
    one = scale.contestant(size, tmp_path, steps=2)
    lengths = [len(items) for items in read_histories(one.settings["sequences"])]

    assert lengths == [size.length] * one.settings["users"]
    assert sum(lengths) == 8_000
    assert one.settings["items"] == size.items
