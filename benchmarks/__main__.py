"""`python -m benchmarks NAME [options]`: run one race; without a name, list them."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

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
"""Races on a file that is named: `run(root, options) -> Path`, and `add_options(parser)` for what they may be told. `all` leaves them out."""

WITH_OPTIONS = ("next-basket",)
"""Races that may be told something and need not be: `run(root, full, options=None) -> Path`, and `add_options(parser)`."""


def main(arguments: list[str] | None = None) -> int:
    """Run one race, or all with the name `all`; `--full` for the stated sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Races against named peers and the physical floor.")
    parser.add_argument("name", nargs="?", choices=[*RACES, "all"])
    parser.add_argument("--full", action="store_true", help="the stated sizes, not those that fit two cores in half an hour")
    given, rest = parser.parse_known_args(arguments)
    if given.name is None:
        sys.stdout.writelines(f"{name:<16} {what}\n" for name, what in RACES.items())
        return 0
    if given.name in (*OF_A_FILE, *WITH_OPTIONS):
        race = _module(given.name)
        options = argparse.ArgumentParser(prog=f"python -m benchmarks {given.name}", description=race.__doc__)
        race.add_options(options)
        asked = options.parse_args(rest)
        if given.name in OF_A_FILE:
            race.run(Path.cwd(), asked)
        else:
            race.run(Path.cwd(), given.full, asked)
        return 0
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    for name in [name for name in RACES if name not in OF_A_FILE] if given.name == "all" else [given.name]:
        _module(name).run(Path.cwd(), given.full)
    return 0


def _module(name: str) -> Any:
    return import_module(f"benchmarks.{name.replace('-', '_')}")


if __name__ == "__main__":
    sys.exit(main())
