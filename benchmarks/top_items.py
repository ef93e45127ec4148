"""The best 100 items of one user among ever more, on one thread: ours and faiss's exact search, approximate indexes, and the floor.

Ours is what the service does: the item table times the user's state, a bias added (zeros here, for a peer has none), `top_k`. The floor is the time
to read the bytes of the table.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.contestants.steps_nearest import recall
from benchmarks.environments import INDEXES, python_with
from benchmarks.race import Row, write_race
from benchmarks.racers import Racer, all_running, say_if_busy
from footfall.core.metrics import Floats, top_k
from footfall.core.sequences import Int64

K, WIDTH, SEED = 100, 64, 7
SIZES = (12_000, 100_000, 1_000_000)
APPROXIMATE = ("faiss hnsw", "faiss ivf", "usearch hnsw")
WANTED, WHEN_TUNED, TARGET = 0.99, 0.993, 1.1
QUERIES, ROUNDS = 200, 16
_FACTORS, _GROUPS, _BLOCK = 16, 300, 100_000
_TWO_CORES_BUILD = 100_000
"""Graphs over more items than this are built only for `--full`: on two cores they take minutes."""


def run(root: Path, full: bool) -> Path:
    """Each size in turn; all who are asked at one size take turns of as many queries as fit a tenth of a second or so."""
    folder = root / ".footfall" / "bench" / "top-items"
    python = python_with(root, "indexes", *INDEXES)
    rows, ratios = [], []
    try:
        say_if_busy()
        for items in SIZES:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            racers = asked(items, folder, python, approximate=full or items <= _TWO_CORES_BUILD)
            found = race(root, folder, racers, each=max(5, min(50, 5_000_000 // items)))
            rows += rows_of(items, racers, found)
            ratios += [(items, best)] if (best := quickest_approximate(racers, found)) is not None else []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for times in (1, 2):
        if (size := crossover([(items, ratio / times) for items, ratio in ratios])) is not None:
            what = f"items from which an approximate index with recall@{K} of {WANTED} takes at most 1/{times} of our time"
            rows.append(Row(what, "items", size, notes={"ours_over_quickest": ratios}))
    return write_race(root, "top-items", rows, ["footfall", "numpy"])


def write_vectors(folder: Path, items: int) -> None:
    """Item and user vectors with structure: `_GROUPS` groups in `_FACTORS` dimensions, turned into `WIDTH`, with noise and unlike lengths.

    A user is the mean of five items, as a state is drawn towards what was read. Written: the table (row 0 for no item), the queries, their true best.
    """
    chance = np.random.default_rng(SEED)
    basis = chance.standard_normal((_FACTORS, WIDTH), dtype=np.float32) / np.float32(np.sqrt(_FACTORS))
    groups = chance.standard_normal((_GROUPS, _FACTORS), dtype=np.float32)
    table = np.zeros((items + 1, WIDTH), np.float32)
    for first in range(1, items + 1, _BLOCK):
        rows = table[first : first + _BLOCK]
        factors = groups[chance.integers(0, _GROUPS, len(rows))] + np.float32(0.7) * chance.standard_normal((len(rows), _FACTORS), dtype=np.float32)
        rows[:] = factors @ basis + np.float32(0.3) * chance.standard_normal(rows.shape, dtype=np.float32)
        rows *= chance.lognormal(0, 0.2, (len(rows), 1)).astype(np.float32)
    of_five = table[chance.integers(1, items + 1, (QUERIES, 5))].mean(axis=1)
    queries = of_five + np.float32(0.2) * chance.standard_normal((QUERIES, WIDTH), dtype=np.float32)
    np.save(folder / "table.npy", table)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "truth.npy", true_best(table, queries))


def true_best(table: Floats, queries: Floats) -> Int64:
    """(Q, K) item numbers from 0, by the exact products."""
    return np.stack([top_k((table @ query)[None, 1:], K)[0] for query in queries])


def asked(items: int, folder: Path, python: Path | None, *, approximate: bool) -> dict[str, Racer]:
    """Who is asked at one size; the vectors are written. Without `python` nobody but us and the floor."""
    write_vectors(folder, items)
    kinds = ("bytes", "ours", *(("faiss flat", *(APPROXIMATE if approximate else ())) if python else ()))
    told = {name: str(folder / f"{name}.npy") for name in ("table", "queries", "truth")} | {"k": K, "wanted": WHEN_TUNED, "threads": 1}
    racers = {}
    for kind in kinds:
        settings = told | {"kind": kind, "found": str(folder / f"found {kind}.npy"), "build_threads": len(os.sched_getaffinity(0))}
        theirs = None if kind in ("bytes", "ours") else python
        racers[kind] = Racer(kind, "nearest", theirs or Path(sys.executable), settings)
    return racers


def race(root: Path, folder: Path, racers: dict[str, Racer], each: int) -> dict[str, float]:
    """Everybody warm, then `ROUNDS` turns of `each` queries in alternation; kind -> recall of the answers to the timed queries."""
    for racer in racers.values():
        racer.settings["steps"] = each * (ROUNDS + 1)
    with all_running(root, folder, list(racers.values())):
        for racer in racers.values():
            racer.turn(each, timed=False)
        for _ in range(ROUNDS):
            for racer in racers.values():
                racer.turn(each)
        for racer in racers.values():
            racer.finish()
    truth = np.load(folder / "truth.npy")[QUERIES // 2 :]
    return {kind: recall(np.load(racer.settings["found"]), truth) for kind, racer in racers.items()}


def rows_of(items: int, racers: dict[str, Racer], found: dict[str, float]) -> list[Row]:
    """Ours over faiss's exact search, over the floor, and over each approximate index, whose recall is a row of its own."""
    ours, floor = racers["ours"], racers["bytes"]
    what, size = f"best {K} of {items:,} items of width {WIDTH}", 4 * items * WIDTH
    took = milliseconds(ours)
    rows = []
    if flat := racers.get("faiss flat"):
        notes = {"ours": notes_of(ours, found["ours"]), "peer": notes_of(flat, found["faiss flat"]), "load": round(os.getloadavg()[0], 2)}
        named = f"{flat.facts['version']} IndexFlatIP"
        rows.append(Row(f"{what}: exact", "ms a query", took, milliseconds(flat), named, TARGET, at_least=False, notes=notes))
    rate = size / (1e6 * milliseconds(floor))
    rows.append(
        Row(
            f"{what}: exact",
            "ms a query",
            took,
            milliseconds(floor),
            f"floor: {size / 1e6:.3g} MB read at {rate:.1f} GB/s",
            notes=notes_of(floor, None),
        )
    )
    for kind in [kind for kind in APPROXIMATE if kind in racers]:
        one = racers[kind]
        facts = f"recall {found[kind]:.4f}, built in {one.facts['build_s']:.1f} s, {one.facts['index_mib']:.0f} MiB"
        named = f"{kind} ({one.facts['version']}; {facts})"
        rows.append(Row(f"{what}: exact, against approximate", "ms a query", took, milliseconds(one), named, notes=notes_of(one, found[kind])))
        rows.append(Row(f"{what}: recall@{K} of {kind}", "of the true best", found[kind], target=WANTED))
    return rows


def milliseconds(racer: Racer) -> float:
    """Median of a query."""
    return 1_000 * median(racer.seconds)


def notes_of(racer: Racer, found: float | None) -> dict[str, object]:
    """Median, least and most milliseconds of a turn's queries, and what is known of the index."""
    times = [round(1_000 * one, 4) for one in (median(racer.seconds), min(racer.seconds), max(racer.seconds))]
    return {"queries": len(racer.seconds), "ms": times, "recall": found, "peak_mib": round(racer.peak_mib), **racer.facts}


def quickest_approximate(racers: dict[str, Racer], found: dict[str, float]) -> float | None:
    """Ours over the quickest approximate index that finds enough; None without one."""
    enough = [milliseconds(racers[kind]) for kind in APPROXIMATE if kind in racers and found[kind] >= WANTED]
    return milliseconds(racers["ours"]) / min(enough) if enough else None


def crossover(ratios: list[tuple[int, float]]) -> float | None:
    """The size at which ours takes as long as the quickest approximate index: between two measured sizes on straight lines of logarithms.

    Args:
        ratios: (items, ours over theirs), sizes ascending.

    Returns:
        The smallest size measured where theirs is quicker already there; None where ours is quicker everywhere.
    """
    before: tuple[int, float] | None = None
    for items, ratio in ratios:
        if ratio >= 1:
            if before is None:
                return float(items)
            share = -np.log(before[1]) / (np.log(ratio) - np.log(before[1]))
            return float(np.exp(np.log(before[0]) + share * (np.log(items) - np.log(before[0]))))
        before = (items, ratio)
    return None
