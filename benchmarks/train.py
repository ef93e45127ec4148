"""Seconds an epoch of training: ours against RecTools' and RecBole's SASRec, at equal width, depth, length, users a batch and loss.

Everybody trains on the same targets with the same learning rate and dropout, from weights that know nothing, on two threads and with
THP_MEM_ALLOC_ENABLE=1. A step includes the making of its batch. After the timed steps everybody says its loss over the same users.
Peers compute in float32. Ours multiplies the logits as `train.precision` says, which may be bfloat16, and races once more in float32.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contestants.histories import read_histories
from benchmarks.environments import SASREC_PEERS, python_with
from benchmarks.race import Row, write_race
from benchmarks.racers import STEPS, Racer, say_if_busy, take_turns
from benchmarks.shaped import beauty

_TOLD = {"dim": 64, "dropout": 0.2, "rate": 1e-3, "checked": 512}
_SAMPLED = 256
_LOSS_APART = 0.05
_OURS: dict[str, dict[str, Any]] = {
    "exact": {"negatives": 0},
    "exact float32": {"negatives": 0, "precision": "float32"},
    "sampled": {"negatives": _SAMPLED},
}
EXACT = ("exact", "exact float32")


@dataclass(frozen=True)
class Heat:
    """Who races at one size.

    Attributes:
        what: in words.
        length, users: newest events of a user that are read; users a batch.
        peers: name -> (environment, its own settings, which of ours it is raced against, what the ratio may be at most).
        best: whether the peers are at their fastest here.
    """

    what: str
    length: int
    users: int
    peers: dict[str, tuple[str, dict[str, Any], tuple[str, ...], float]]
    best: bool = False


def heats(targets_a_user: float, *, full: bool) -> list[Heat]:
    """128 users of length 50, then the sizes at which the peers are fastest; `full` adds their own defaults."""
    softmax: dict[str, Any] = {"loss": "softmax", "negatives": 0}
    sampled: dict[str, Any] = {"loss": "sampled_softmax", "negatives": _SAMPLED}
    found = [
        Heat(
            "batches of 128 users, length 50",
            50,
            128,
            {"softmax": ("rectools", softmax, EXACT, 0.12), "sampled softmax": ("rectools", sampled, (*EXACT, "sampled"), 0.12)},
        ),
        Heat("batches of 128 users, length 50", 50, 128, {"CE": ("recbole", {"prefixes": round(128 * targets_a_user)}, EXACT, 0.06)}),
        Heat("batches of 64 users, length 20, RecTools' best", 20, 64, {"softmax": ("rectools", softmax, EXACT, 0.30)}, best=True),
        Heat("batches of 64 users, length 20, RecTools' best", 20, 64, {"sampled softmax": ("rectools", sampled, (*EXACT, "sampled"), 0.30)}),
        _prefixes(1024, 20, ", RecBole's best", targets_a_user, 0.30, best=True),
    ]
    return [*found, _prefixes(2048, 50, ", RecBole's default", targets_a_user, 0.06)] if full else found


def _prefixes(prefixes: int, length: int, why: str, targets_a_user: float, target: float, *, best: bool = False) -> Heat:
    """A batch of RecBole's, and of as many users as have that many targets."""
    users = round(prefixes / targets_a_user)
    return Heat(f"batches of {users} users, length {length}{why}", length, users, {"CE": ("recbole", {"prefixes": prefixes}, EXACT, target)}, best)


def run(root: Path, full: bool) -> Path:
    """Every heat on Beauty, or on a generated file of its shape where the data folder has none."""
    folder = root / ".footfall" / "bench" / "train"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        say_if_busy()
        sequences, called = beauty(folder)
        told, users, targets = _work(sequences)
        pythons = _pythons(root)
        rows = []
        for heat in heats(targets / users, full=full):
            sys.stderr.write(f"{heat.what}: {', '.join(f'{peer[0]} {name}' for name, peer in heat.peers.items())}\n")
            rows += _race(root, folder, heat, pythons, told, (called, targets))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return write_race(root, "train", rows, ["footfall", "torch", "numpy"])


def peers_at_their_best(root: Path, folder: Path, sequences: Path) -> dict[str, tuple[str, float]]:
    """Peer -> name with version, and seconds an epoch of a file in the S3-Rec text form: each by itself, at the batch where it is fastest."""
    told, users, targets = _work(sequences)
    pythons, found = _pythons(root), {}
    for heat in heats(targets / users, full=False):
        for name, (peer, own, *_) in heat.peers.items():
            python = pythons[peer]
            if heat.best and python is not None:
                racer = Racer(f"{peer} {name}", peer, python, told | own | {"length": heat.length, "users": heat.users})
                take_turns(root, folder, [racer])
                found[peer] = (named(racer), epoch_s(racer, targets))
    return found


def _work(sequences: Path) -> tuple[dict[str, Any], int, int]:
    """What everybody is told, and how many users and targets an epoch has."""
    lengths = [len(items) for items in read_histories(str(sequences))]
    told = _TOLD | {"sequences": str(sequences), "items": max(max(items) for items in read_histories(str(sequences), 0))}
    return told, len(lengths), sum(max(length - 1, 0) for length in lengths)


def _pythons(root: Path) -> dict[str, Path | None]:
    return {name: python_with(root, name, *steps) for name, steps in SASREC_PEERS.items()}


def _race(root: Path, folder: Path, heat: Heat, pythons: dict[str, Path | None], told: dict[str, Any], data: tuple[str, int]) -> list[Row]:
    """One heat: everybody takes turns."""
    told = told | {"length": heat.length, "users": heat.users}
    wanted = {against for peer in heat.peers.values() for against in peer[2]}
    ours = {name: Racer(f"footfall {name}", "footfall", Path(sys.executable), told | own) for name, own in _OURS.items() if name in wanted}
    peers = {name: Racer(f"{one} {name}", one, python, told | own) for name, (one, own, *_) in heat.peers.items() if (python := pythons[one])}
    if not peers:
        return []
    take_turns(root, folder, [*ours.values(), *peers.values()])
    rows = []
    for name, racer in peers.items():
        _, _, against, target = heat.peers[name]
        for mine in against:
            rows += compare(f"{data[0]}, {heat.what}", ours[mine], racer, data[1], target)
    return rows


def compare(what: str, ours: Racer, peer: Racer, targets: int, target: float) -> list[Row]:
    """Seconds an epoch of both, and how far apart their losses are after equally many steps."""
    notes = {"footfall": ours.notes(), "peer": peer.notes(), "targets": targets, "load": round(os.getloadavg()[0], 2)}
    losses = {"footfall": round(ours.facts["loss"], 4), "peer": round(peer.facts["loss"], 4)}
    apart = abs(peer.facts["loss"] / ours.facts["loss"] - 1.0)
    loss = ours.name.split(" ", 1)[1]
    # on a CPU the logits of a sample are never narrowed
    precision = "float32" if ours.settings.get("negatives") and ours.facts["device"] == "cpu" else ours.facts["precision"]
    epoch = f"{what}, {loss}: an epoch, our logits in {precision}"
    return [
        Row(epoch, "s", epoch_s(ours, targets), epoch_s(peer, targets), named(peer), target, at_least=False, notes=notes),
        Row(f"{what}, {loss}: loss after {STEPS} steps, from {named(peer)}'s", "of ours", apart, target=_LOSS_APART, at_least=False, notes=losses),
    ]


def named(peer: Racer) -> str:
    """Its library, version and loss."""
    return f"{peer.facts['version'].split(',')[0]} {peer.name.split(' ', 1)[1]}"


def epoch_s(racer: Racer, targets: int) -> float:
    """Seconds for so many targets."""
    return targets * float(median(racer.seconds)) / targets_a_step(racer)


def targets_a_step(racer: Racer) -> float:
    """Of an average step in an epoch: a batch is so many prefixes, or so many users."""
    prefixes: float | None = racer.settings.get("prefixes")
    return prefixes or racer.settings["users"] * racer.facts["targets"] / racer.facts["users"]
