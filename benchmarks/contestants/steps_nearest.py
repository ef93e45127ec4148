"""The k nearest items of one query at a time by inner product: ours, the bytes of the table alone, and indexes of faiss and usearch.

Needs numpy and, for a peer, its library. The table has a first row for no item, as a bundle's has; a peer is given the rows after it.
An approximate index is searched with the least effort that finds `wanted` of the true nearest of the first half of the queries; the second half is
timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.turns import Turns

Array = Any
Search = Callable[[Array], Array]
EFFORTS = (50, 75, 100, 150, 200, 300, 400, 600, 800, 1_200, 1_600, 2_400, 3_200)
PROBES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LINKS, WHEN_BUILT = 16, 128
"""Of a graph: links a node and level (twice as many on the ground), and candidates looked at for each new node."""
_PAD = 8


@dataclass(frozen=True)
class Index:
    """One that can be asked: `search` takes (width,) and gives (k,) item numbers from 0; `set_effort` is None for one that is exact."""

    version: str
    search: Search
    set_effort: Callable[[int], None] | None = None
    efforts: tuple[int, ...] = ()


def run(settings: dict[str, Any], clock: Turns) -> None:
    """Answer a query a step; the answers to the timed half of the queries, each asked once more, are written to `found` at the end."""
    table, queries = np.load(settings["table"]), np.load(settings["queries"])
    half = len(queries) // 2
    before, start = _resident_mib(), time.perf_counter()
    index = KINDS[settings["kind"]](table, settings)
    facts: dict[str, Any] = {"build_s": time.perf_counter() - start, "index_mib": _resident_mib() - before}
    if index.efforts:
        facts |= least_effort(index, queries[:half], np.load(settings["truth"])[:half], settings["wanted"])
    timed = queries[half:]
    clock.begin(version=index.version, **facts)
    for step in range(settings["steps"]):
        index.search(timed[step % half])
        clock.stepped(1, 1)
    np.save(settings["found"], np.stack([index.search(query) for query in timed]))
    clock.end()


def least_effort(index: Index, queries: Array, truth: Array, wanted: float) -> dict[str, Any]:
    """Set the least effort whose answers hold `wanted` of the truth, or the most there is; says which, and what it found."""
    if index.set_effort is None:
        return {}
    effort, found = 0, 0.0
    for effort in index.efforts:
        index.set_effort(effort)
        found = recall(np.stack([index.search(query) for query in queries]), truth)
        if found >= wanted:
            break
    return {"effort": effort, "recall_when_tuned": found}


def recall(found: Array, truth: Array) -> float:
    """Share of the true nearest that was found; both (Q, k)."""
    return float(np.mean([np.isin(right, given).mean() for given, right in zip(found, truth, strict=True)]))


def _ours(table: Array, settings: dict[str, Any]) -> Index:
    top_k, table = import_module("footfall.core.metrics").top_k, import_module("footfall.core.streaming_block").on_cache_lines(table)
    bias, k = np.zeros(len(table), np.float32), settings["k"]

    def search(query: Array) -> Array:
        logits = table @ query
        logits += bias
        return top_k(logits[None, 1:], k)[0]

    return Index(f"numpy {np.__version__}", search)


def _bytes(table: Array, settings: dict[str, Any]) -> Index:
    """Reads the table once and does little else: the floor. Its answers are none."""
    flat, none = table[1:].ravel(), np.zeros(settings["k"], np.int64)

    def search(_query: Array) -> Array:
        np.dot(flat, flat)
        return none

    return Index(f"numpy {np.__version__}", search)


def _flat(table: Array, settings: dict[str, Any]) -> Index:
    faiss = import_module("faiss")
    return _of_faiss(faiss, faiss.IndexFlatIP(table.shape[1]), table[1:], settings)


def _hnsw(table: Array, settings: dict[str, Any]) -> Index:
    faiss = import_module("faiss")
    vectors, ask = _as_distances(table[1:])
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS)
    index.hnsw.efConstruction = WHEN_BUILT
    built = _of_faiss(faiss, index, vectors, settings)
    return Index(built.version, lambda query: built.search(ask(query)), lambda effort: setattr(index.hnsw, "efSearch", effort), EFFORTS)


def _ivf(table: Array, settings: dict[str, Any]) -> Index:
    faiss = import_module("faiss")
    lists = int(2 * np.sqrt(len(table)))
    coarse = faiss.IndexFlatIP(table.shape[1])
    index = faiss.IndexIVFFlat(coarse, table.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.max_points_per_centroid = settings["seed"], 64
    faiss.omp_set_num_threads(settings["build_threads"])
    index.train(table[1:])
    built = _of_faiss(faiss, index, table[1:], settings)
    return Index(built.version, built.search, lambda effort: setattr(index, "nprobe", effort), PROBES)


def _of_faiss(faiss: Any, index: Any, vectors: Array, settings: dict[str, Any]) -> Index:
    faiss.omp_set_num_threads(settings["build_threads"])
    index.add(vectors)
    faiss.omp_set_num_threads(1)
    k = settings["k"]
    return Index(f"faiss-cpu {version('faiss-cpu')}", lambda query: index.search(query[None], k)[1][0])


def _usearch(table: Array, settings: dict[str, Any]) -> Index:
    vectors, ask = _as_distances(table[1:])
    index = import_module("usearch.index").Index(
        ndim=vectors.shape[1], metric="l2sq", dtype="f32", connectivity=LINKS, expansion_add=WHEN_BUILT, expansion_search=EFFORTS[0]
    )
    index.add(np.arange(len(vectors)), vectors, threads=settings["build_threads"])
    k = settings["k"]
    return Index(
        f"usearch {version('usearch')}",
        lambda query: index.search(ask(query), k, threads=1).keys,
        lambda effort: setattr(index, "expansion_search", effort),
        EFFORTS,
    )


def _as_distances(items: Array) -> tuple[Array, Search]:
    """Vectors whose order by distance is that of the inner products, and what turns a query: one number more makes all items equally long.

    A graph of inner products themselves found at most .94 of the truth among 100,000 items: long vectors are everybody's neighbours.
    Source: Bachrach et al., "Speeding up the Xbox recommender system using a Euclidean transformation", RecSys 2014. Padded to whole registers.
    """
    width = items.shape[1]
    padded = np.zeros((len(items), width + _PAD), np.float32)
    padded[:, :width] = items
    squares = np.einsum("ij,ij->i", items, items)
    padded[:, width] = np.sqrt(squares.max() - squares)
    return padded, lambda query: np.pad(query, (0, _PAD))


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


KINDS: dict[str, Callable[[Array, dict[str, Any]], Index]] = {
    "ours": _ours,
    "bytes": _bytes,
    "faiss flat": _flat,
    "faiss hnsw": _hnsw,
    "faiss ivf": _ivf,
    "usearch hnsw": _usearch,
}
"""Everybody who can be asked."""
