"""`python -m benchmarks NAME [options]`: run one race; without a name, list them."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.shaped import beauty_itself

RACES: dict[str, str] = {
    "quality": "full rankings of any file of sequences, leave one out, masked and unmasked, beside EASE, item-kNN, popularity, personal frequency",
    "time-split": "full rankings of any file of events with times, one cut for all, last and successive moments, beside the same baselines",
    "time-to-quality": "seconds from the start of a process to a stated ndcg@10 on a file of sequences",
    "compression": "ndcg, bytes and latency of smaller models: item table in bytes, students, pruning; on a file of sequences or a generated one",
    "next-basket": "ndcg@10 where people buy the same again, against personal frequency, TIFU-kNN and LambdaMART",
    "eval": "full-rank evaluation of 22,363 users among 12,101 items, histories masked, against RecTools and RecBole",
    "off-policy": "estimates of another policy's clicks from logged slates, against the simulator's truth and Open Bandit's second policy",
    "train": "seconds an epoch of training against RecTools' and RecBole's SASRec, at equal size and at their best",
    "memory": "memory of the loss at 100,000 items against torch's cross-entropy on full logits",
    "floor": "a training step over the least that its arithmetic can take on this machine",
    "scale": "how a training step's time and memory grow with the catalogue and with histories",
    "data": "10 million clicks to sessions, split and arrays, against pandas, polars, DuckDB and replay-rec; cost and memory up to 50 million",
    "signals": "what searches and view durations in the sequence bring, on the simulated shop",
    "simulator": "events a second of the simulated shop",
    "serve": "the HTTP service against a bare FastAPI endpoint with eager torch: latency, highest rate, start, memory",
    "top-items": "the best 100 of 12,000, 100,000 and 1,000,000 items, one query at a time, against faiss and usearch, exact and approximate",
    "store": "a user's last 200 events, and events in a second, at 10 million stored",
}
"""Name of a race -> what it measures. The race is `benchmarks.<name>` with `run(root, full) -> Path`."""

OF_A_FILE = ("quality", "time-split", "time-to-quality", "compression")
"""Races on a file that is named: `run(root, options) -> Path`, and `add_options(parser)` for what they may be told."""

ON_BEAUTY = ("quality", "time-to-quality")
"""Those of them that cannot do without one. `all` gives them Beauty, with one seed, or five with `--full`."""

WITH_OPTIONS = ("next-basket", "serve")
"""Races that may be told something and need not be: `run(root, full, options=None) -> Path`, and `add_options(parser)`."""


def main(arguments: list[str] | None = None) -> int:
    """Run one race, or all with the name `all`; `--full` for the stated sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Races against named peers and the physical floor.")
    parser.add_argument("name", nargs="?", choices=[*RACES, "all"])
    parser.add_argument("--full", action="store_true", help="the stated sizes, not those that fit two cores")
    given, rest = parser.parse_known_args(arguments)
    if given.name is None:
        sys.stdout.writelines(f"{name:<16} {what}\n" for name, what in RACES.items())
        return 0
    if rest and given.name not in (*OF_A_FILE, *WITH_OPTIONS):
        parser.error(f"unknown: {' '.join(rest)}")
    if given.name == "all":
        for name, told in told_of_all(full=given.full).items():
            race(name, told, full=given.full)
    else:
        race(given.name, rest, full=given.full)
    return 0


def told_of_all(*, full: bool) -> dict[str, list[str]]:
    """Races that `all` runs -> what each is told; says which need a file that is not there."""
    beauty = beauty_itself()
    if beauty is None:
        sys.stdout.write(f"not run: {', '.join(ON_BEAUTY)}; FOOTFALL_DATA names no folder with amazon_beauty/Beauty.txt.gz\n")
    of_beauty = ["--sequences", str(beauty), "--seeds", "5" if full else "1"]
    return {name: of_beauty if name in ON_BEAUTY else [] for name in RACES if beauty or name not in ON_BEAUTY}


def race(name: str, told: list[str], *, full: bool) -> None:
    """Run one, told what it may be told."""
    run = _module(name)
    if name not in (*OF_A_FILE, *WITH_OPTIONS):
        run.run(Path.cwd(), full)
        return
    options = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=run.__doc__)
    run.add_options(options)
    asked = options.parse_args(told)
    if name in OF_A_FILE:
        run.run(Path.cwd(), asked)
    else:
        run.run(Path.cwd(), full, asked)


def _module(name: str) -> Any:
    return import_module(f"benchmarks.{name.replace('-', '_')}")


if __name__ == "__main__":
    sys.exit(main())
