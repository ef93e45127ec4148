"""What the release gate knows of a challenger: hard checks, and both bundles on the newest labelled window with the same live histories.

The window is the last `split.test_days` before `data.as_of`. Histories are all canonical events before it; targets are item ids, so that each bundle
ranks by its own vocabulary and an item that it does not know is a target that it cannot hit. Nothing here decides: `footfall.core.promotion` does.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.bundle import release_id
from footfall.contracts import ANALYSE, CATALOGUE, EVENTS, PERSONALISE, USERS, C, Contract, refusing_users
from footfall.core.bootstrap import interval, paired
from footfall.core.metrics import Bools, Float64, user_metrics
from footfall.core.parts import SCORES_NOT_FINITE
from footfall.core.promotion import explained
from footfall.core.sequences import Int64
from footfall.core.slices import slice_users
from footfall.core.vocabulary import Vocabulary
from footfall.errors import BundleError, SignatureError
from footfall.frames.engine import frame, run
from footfall.frames.events import interactions, without_users
from footfall.frames.sequences import first_basket_targets
from footfall.manifest import CACHE, check_manifest
from footfall.params import Evaluate, Params
from footfall.recommender import BASELINES, FUSED, History, Recommender, Wishes
from footfall.signing import VerifyKeys
from footfall.tables import read_parquet

_REQUESTS = 30
_COLUMNS = (C.EVENT_ID, C.USER_ID, C.SESSION_ID, C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.QUERY, C.DURATION_S)


@dataclass(frozen=True)
class Labels:
    """What U users bought first in a window, and what they had done before it.

    Attributes:
        start: first moment of the window, microseconds.
        histories: (U,) events before it.
        offsets: (U + 1,) user u's targets are item_ids[offsets[u]:offsets[u + 1]].
        item_ids: (T,) distinct items a user.
    """

    start: int
    histories: list[History]
    offsets: Int64
    item_ids: list[str]

    def __len__(self) -> int:
        """U, the number of users that can be judged on."""
        return len(self.histories)


def judge(
    champion: Path | None, challenger: Path, tables: Path, params: Params, verify_keys: VerifyKeys = (), metrics: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Gather the evidence for `core.promotion.decide` (whose docstring describes it); JSON-ready.

    A bundle that cannot be used is a failed check, not an exception; a champion that is not signed as it should be says nothing of the challenger.

    Args:
        champion: bundle of the present champion, or None when there is none.
        challenger: bundle to be judged.
        tables: folder of the canonical tables: the live histories and the labels.
        params: the window (`data`, `split`), the metric (`evaluate`) and the limits (`release`).
        verify_keys: one of them must have signed the champion, which lies where others may write; none: it need not be signed. The challenger was
            made here, and is signed once it has passed.
        metrics: what `evaluate` found of the challenger (METRICS); its explanations are held to their limit.

    Raises:
        SignatureError: the champion is not signed by one of `verify_keys`.
        SourceError: a canonical table cannot be read.
    """
    checks: list[dict[str, Any]] = []
    new = _open(challenger, "challenger", checks)
    old = None if champion is None else _open(champion, "champion", checks, verify_keys)
    evidence: dict[str, Any] = {
        "window": {"start": params.test_start.isoformat(), "end": params.data.as_of.isoformat()},
        "k": params.evaluate.k,
        "limits": dataclasses.asdict(params.release),
        "challenger": _facts(challenger, new),
        "champion": None if champion is None else _facts(champion, old),
        "fresher": _fresher(new, old),
        "checks": checks,
        "overall": None,
        "slices": {},
        "baselines": None,
    }
    if new is None or (champion is not None and old is None):
        return evidence
    _check_size(new, params, checks)
    told = explained((metrics or {}).get("explanations", {}), params.release.min_explained_share)
    checks += [] if told is None else [told]
    for name, recommender in (("challenger", new), ("champion", old)):
        if recommender is not None:
            _check_dates(name, recommender, params, checks)
    labels = read_labels(tables, params, new.vocabulary)
    _check(checks, "labels", bool(len(labels)), f"{len(labels)} users bought something in the window and had a history before it.")
    if len(labels):
        evidence.update(_compare(new, old, labels, params, checks))
        _check_latency(new, labels, params, checks)
    return evidence


def read_labels(tables: Path, params: Params, vocabulary: Vocabulary) -> Labels:
    """The labels of the window, by the same expressions as stage `sequences`: who refuses to be personalised for, or analysed, is left out."""
    start, end = (round(moment.timestamp() * 1_000_000) for moment in (params.test_start, params.data.as_of))
    check_manifest(tables, next_step=f"{CACHE}, or dvc repro --force events")
    events = _read(tables, EVENTS, _COLUMNS)
    people = _read(tables, USERS, (C.USER_ID, C.CONSENT))
    refusing = pa.concat_tables([refusing_users(people, purpose) for purpose in (PERSONALISE, ANALYSE)])
    bought = interactions(without_users(frame(events), frame(refusing)), frame(_read(tables, CATALOGUE, (C.ITEM_ID, C.RECOMMENDABLE))))
    known = pa.table({C.ITEM_INDEX: np.arange(1, len(vocabulary) + 1, dtype=np.int32), C.ITEM_ID: pa.array(vocabulary.item_ids, pa.string())})
    rows = run(first_basket_targets(bought, frame(known), start, end))
    users = rows.column(C.USER_ID).combine_chunks().dictionary_encode()
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users.indices.to_numpy(), minlength=len(users.dictionary)))]).astype(np.int64)
    return Labels(start, _histories(events, users.dictionary, start), offsets, rows.column(C.ITEM_ID).to_pylist())


def _read(tables: Path, contract: Contract, columns: tuple[str, ...]) -> pa.Table:
    return read_parquet(tables / f"{contract.name}.parquet", columns, next_step="dvc repro events")


def _histories(events: pa.Table, users: pa.Array, before: int) -> list[History]:
    """One history a user, in the order of `users`; the events are in the order of EVENTS."""
    position = pc.index_in(events.column(C.USER_ID), value_set=users)
    moments = events.column(C.OCCURRED_AT).cast(pa.int64())
    kept = pc.and_(pc.is_valid(position), pc.less(moments, before))
    columns = {"user": position, "at": moments, **{name: events.column(name) for name in (C.ITEM_ID, C.EVENT_TYPE, C.QUERY, C.DURATION_S)}}
    rows = pa.table(columns).filter(kept)
    order = np.argsort(rows.column("user").to_numpy(), kind="stable")
    rows = rows.take(order)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rows.column("user").to_numpy(), minlength=len(users)))]).tolist()
    items, types, at = rows.column(C.ITEM_ID).to_pylist(), rows.column(C.EVENT_TYPE).to_pylist(), rows.column("at").to_numpy()
    texts, seconds = ([] if one.null_count == len(one) else one.to_pylist() for one in (rows.column(C.QUERY), rows.column(C.DURATION_S)))
    return [History(items[a:b], types[a:b], at[a:b], texts[a:b], seconds[a:b]) for a, b in itertools.pairwise(bounds)]


def _open(folder: Path, name: str, checks: list[dict[str, Any]], verify_keys: VerifyKeys = ()) -> Recommender | None:
    try:
        recommender = Recommender.open(folder, verify_keys=verify_keys)
    except SignatureError:
        raise
    except BundleError as error:
        where = f" ({error.where})" if error.where else ""
        _check(checks, f"{name}_opens", False, f"The {name}'s bundle cannot be used: {error.what}{where}; {error.next_step}.")
        return None
    _check(checks, f"{name}_opens", True, f"The {name}'s bundle is whole and all its weights are finite.")
    return recommender


def _facts(folder: Path, recommender: Recommender | None) -> dict[str, Any]:
    if recommender is None:
        try:
            return {"release_id": release_id(folder), "as_of": None, "train_end": None, "validation_end": None}
        except BundleError:
            return {"release_id": None, "as_of": None, "train_end": None, "validation_end": None}
    manifest = recommender.manifest
    moments = {"as_of": manifest.as_of, "train_end": manifest.train_end, "validation_end": manifest.validation_end}
    return {"release_id": recommender.release_id, **moments, "megabytes": recommender.bundle.bytes / 1e6}


def _fresher(new: Recommender | None, old: Recommender | None) -> bool:
    if new is None or old is None:
        return False
    return datetime.fromisoformat(new.manifest.as_of) > datetime.fromisoformat(old.manifest.as_of)


def _check(checks: list[dict[str, Any]], name: str, ok: bool, sentence: str) -> None:
    checks.append({"name": name, "ok": ok, "sentence": sentence})


def _check_size(new: Recommender, params: Params, checks: list[dict[str, Any]]) -> None:
    size, limit = new.bundle.bytes / 1e6, params.release.max_bundle_mb
    _check(checks, "size", size <= limit, f"The bundle takes {size:.1f} MB; the limit is {limit:.1f} MB.")


def _check_dates(name: str, recommender: Recommender, params: Params, checks: list[dict[str, Any]]) -> None:
    """Neither may have learnt, or been tuned, on anything from the window on."""
    manifest, start = recommender.manifest, params.test_start
    last = max(datetime.fromisoformat(manifest.train_end), datetime.fromisoformat(manifest.validation_end))
    window = f"the judging window begins at {start.isoformat()}"
    if last <= start:
        _check(checks, f"{name}_dates", True, f"The {name} learnt from events before {last.isoformat()}; {window}.")
    else:
        _check(checks, f"{name}_dates", False, f"The {name} learnt from events up to {last.isoformat()}, inside the labels: {window}.")


def _check_latency(new: Recommender, labels: Labels, params: Params, checks: list[dict[str, Any]]) -> None:
    """Median time of one whole request: history in, slate out."""
    seconds = []
    for history in (labels.histories * _REQUESTS)[:_REQUESTS]:
        began = time.perf_counter()
        new.recommend(new.encode([history]), labels.start, Wishes(params.evaluate.k))
        seconds.append(time.perf_counter() - began)
    median, limit = 1000 * float(np.median(seconds)), params.release.max_latency_ms
    _check(checks, "latency", median <= limit, f"One request takes {median:.1f} ms (median of {_REQUESTS}); the limit is {limit:.1f} ms.")


def _compare(new: Recommender, old: Recommender | None, labels: Labels, params: Params, checks: list[dict[str, Any]]) -> dict[str, Any]:
    figures, broken = _ndcg(new, labels, params.evaluate.k, (FUSED, *BASELINES))
    ours = figures[FUSED]
    _check(checks, "scores", not broken, f"{broken} of {len(labels)} users got scores that are NaN or infinite.")
    theirs = None if old is None else _ndcg(old, labels, params.evaluate.k, (FUSED,))[0][FUSED]
    everyone = np.ones(len(labels), dtype=np.bool_)
    slices = slice_users(
        new.encode(labels.histories),
        labels.offsets,
        new.vocabulary.encode(labels.item_ids),
        cold_events=params.evaluate.cold_user_events,
        short_events=params.evaluate.short_history_events,
        long_events=params.evaluate.long_history_events,
    )
    measured = {name: _measure(ours, theirs, users, params.evaluate) for name, users in slices.items() if users.any()}
    return {
        "overall": _measure(ours, theirs, everyone, params.evaluate),
        "slices": measured,
        "baselines": _check_baselines(figures, params, checks),
    }


def _check_baselines(figures: Mapping[str, Float64], params: Params, checks: list[dict[str, Any]]) -> dict[str, Any]:
    """What is served must not be surely worse than the best of its own bundle's baselines, champion or no champion."""
    best = max(BASELINES, key=lambda policy: float(figures[policy].mean()))
    found = paired(figures[FUSED], figures[best], params.evaluate.bootstrap, params.evaluate.seed)
    limit, name = params.release.min_baseline_difference, f"ndcg@{params.evaluate.k}"
    sentence = f"Against the best baseline, {best}: {name} {found.mean:+.4f}, 95% interval {found.low:+.4f} to {found.high:+.4f}"
    verdict = f"its upper end reaches {limit:+.4f}." if found.high >= limit else f"and its upper end is below {limit:+.4f}: the model is worse."
    _check(checks, "baselines", found.high >= limit, f"{sentence}, {verdict}")
    means = {policy: float(values.mean()) for policy, values in figures.items()}
    return {"best": best, "means": means, "difference": found.mean, "interval": [found.low, found.high]}


def _ndcg(recommender: Recommender, labels: Labels, k: int, policies: tuple[str, ...]) -> tuple[dict[str, Float64], int]:
    """Policy -> (U,) ndcg@k of what this bundle would have shown, and how many users it could not score for want of numbers."""
    ranking = recommender.rank(recommender.encode(labels.histories), labels.start, k, policies)
    targets = recommender.vocabulary.encode(labels.item_ids)
    figures = {policy: user_metrics(slates, labels.offsets, targets, k).ndcg for policy, slates in ranking.slates.items()}
    return figures, ranking.degraded.count(SCORES_NOT_FINITE)


def _measure(ours: Float64, theirs: Float64 | None, users: Bools, params: Evaluate) -> Mapping[str, Any]:
    own = interval(ours[users], params.bootstrap, params.seed)
    if theirs is None:
        return {"users": int(users.sum()), "challenger": own.mean, "champion": None, "difference": None, "interval": [own.low, own.high]}
    found = paired(ours[users], theirs[users], params.bootstrap, params.seed)
    means = {"challenger": own.mean, "champion": float(theirs[users].mean())}
    return {"users": int(users.sum()), **means, "difference": found.mean, "interval": [found.low, found.high]}
