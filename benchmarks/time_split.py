"""The headline protocol: one cut in time for everybody, full ranking, the last moment and every successive one after the cut.

    python -m benchmarks time-split [--sequences FILE.parquet] [--first] [--users 300] [--out JSON]

Eight tenths of the events train, the next tenth validates, the last one tests ("Time to Split", RecSys 2025): nothing that is learnt has seen what
lies after the cut, and a history reaches up to the moment that is asked. FILE holds user_id, item_id and occurred_at. Without one: the Complete
Journey, and UCI Online Retail where FOOTFALL_DATA has it. The model is the shop's own, by params.yaml; its epochs follow from the number of events,
and validation picks one of them, the fused policy's weights and the decays of the baselines. Who repeats may repeat; `--first` keeps each user's
first event with an item, and masks the history. Successive moments are asked of some users, drawn by a seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.event_table import complete_journey, cut_by_time, online_retail, read_events, to_sequences
from benchmarks.figures import CUT, RESAMPLING, lines_of
from benchmarks.moments import Asked, ask, drawn, figures, last_of, slates
from benchmarks.race import Row, machine, say, versions
from benchmarks.time_policies import BASELINES, FUSED, MODEL, Shop, fit
from footfall.core.figures import Learnt, best_of, difference, on_slice, shown, with_intervals
from footfall.core.sequences import Int64
from footfall.core.slices import only_targets, slice_users, target_slices
from footfall.params import Evaluate, Params, load_params
from footfall.tables import write_text

VALIDATION_USERS, SEED = 300, 7
HABIT = "personal_frequency"
"""What the rows hold ours against."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this race alone."""
    parser.add_argument("--sequences", type=Path, help="Parquet with user_id, item_id and occurred_at; default: what ships with the demonstration")
    parser.add_argument("--first", action="store_true", help="each user's first event with an item alone; histories are masked")
    parser.add_argument("--users", type=int, default=300, help="of whom successive moments are asked")
    parser.add_argument("--epochs", type=int, help="of training; default: by the number of events")
    parser.add_argument("--out", type=Path, help="where to write the figures; default reports/bench/time-split.json")


def run(root: Path, options: argparse.Namespace) -> Path:
    """Measure each table, print and write."""
    params = load_params(root / "params.yaml")
    document: dict[str, Any] = {"name": "time-split", "versions": versions(["torch", "numpy"]), "machine": machine(), "tables": {}}
    for name, raw in tables(options.sequences).items():
        sys.stdout.write(f"\n{name}\n")
        document["tables"][name] = measure(raw, params, options)
    found = rows(document["tables"])
    document["rows"] = [row.as_dict() for row in found]
    sys.stdout.write("\n")
    say(found, document["versions"])
    path: Path = options.out or root / "reports" / "bench" / "time-split.json"
    write_text(path, json.dumps(document, indent=1) + "\n")
    return path


def rows(tables: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The fused policy and the transformer over personal frequency, on every table and of both kinds of moments; nothing is promised."""
    name = f"ndcg@{CUT}"
    found = []
    for table, said in tables.items():
        for moments, policy in itertools.product(("last", "successive"), (FUSED, MODEL)):
            policies = said[moments]["policies"]
            notes = {who: policies[who]["interval"][name] for who in (policy, HABIT)} | {"users": said[moments]["users"]}
            found.append(Row(f"{policy}, {table}, {moments} moments", name, policies[policy][name], policies[HABIT][name], HABIT, notes=notes))
    return found


def tables(file: Path | None) -> dict[str, pa.Table]:
    """What is measured, by name."""
    if file is not None:
        return {file.stem: read_events(file)}
    retail = online_retail()
    return {"complete_journey": complete_journey()} | ({} if retail is None else {"online_retail": retail})


def measure(raw: pa.Table, params: Params, options: argparse.Namespace) -> dict[str, Any]:
    """Every policy on one table: fitted before the cut, chosen on validation, ranked after it."""
    cut = cut_by_time(raw)
    events = to_sequences(raw, cut, params.split.vocabulary_min_count, first_only=options.first)
    sequences, items = events.sequences, events.items
    validation = drawn(last_of(ask(events, cut.validation, cut.test)), VALIDATION_USERS, SEED)
    begun = time.perf_counter()
    shop = fit(sequences, items, cut, validation, params, epochs=options.epochs, masked=options.first)
    asked = ask(events, cut.test)
    successive = drawn(asked, options.users, SEED)
    document: dict[str, Any] = {
        "protocol": "train to the .8 quantile of time, validation to .9, test after; full ranking; a moment's items are its targets together",
        "masked": options.first,
        "events": len(sequences.item_index),
        "users": len(sequences),
        "items": items,
        "cut": {"validation": cut.validation, "test": cut.test},
        "chosen_on_validation": shop.chosen,
        "fit_seconds": round(time.perf_counter() - begun, 1),
    }
    sys.stdout.write(f"{len(sequences)} users, {items} items, {len(sequences.item_index)} events; chosen on validation: {json.dumps(shop.chosen)}\n")
    for name, moments in (("last", last_of(asked)), ("successive", successive)):
        document[name] = report(shop, moments, params.evaluate, masked=options.first)
        sys.stdout.write(f"\n{name}: {document[name]['users']} users, {document[name]['moments']} moments, {document[name]['targets']} targets\n")
        sys.stdout.writelines(f"{line}\n" for line in lines_of(document[name]))
        sys.stdout.flush()
    return document


def report(shop: Shop, asked: Asked, params: Evaluate, *, masked: bool) -> dict[str, Any]:
    """Means with intervals, paired differences, slices and what is shown, JSON-ready."""
    shown_by = slates(asked, shop.policies, masked=masked)
    policies = {name: figures(rows, asked) for name, rows in shown_by.items()}
    best = best_of(policies, [name for name in BASELINES if name in policies], f"ndcg@{CUT}")
    pairs = {f"{FUSED}_minus_best_baseline": (FUSED, best), f"{MODEL}_minus_best_baseline": (MODEL, best), f"{FUSED}_minus_{MODEL}": (FUSED, MODEL)}
    learnt = Learnt(shop.counts, asked.history(np.arange(len(asked))))
    return {
        "users": len(np.unique(asked.owners)),
        "moments": len(asked),
        "targets": len(asked.targets),
        "targets_outside_vocabulary": int((asked.targets == 0).sum()),
        "policies": {name: with_intervals(found, [f"ndcg@{CUT}", f"hit_rate@{CUT}"], RESAMPLING) for name, found in policies.items()},
        "differences": {said: difference(policies, *pair, f"ndcg@{CUT}", RESAMPLING) for said, pair in pairs.items()},
        "slices": _slices(shown_by, asked, learnt, params),
        "shown": {name: shown(rows, learnt, CUT) for name, rows in shown_by.items()},
    }


def _slices(shown_by: dict[str, Int64], asked: Asked, learnt: Learnt, params: Evaluate) -> dict[str, dict[str, Any]]:
    """Figures over the moments, or over the targets, that belong to a slice; a user counts once."""
    low, high = np.quantile(learnt.history.lengths, [0.25, 0.75])
    by_moment = slice_users(
        learnt.history, asked.offsets, asked.targets, cold_events=params.cold_user_events, short_events=int(low), long_events=int(high)
    )
    names = [f"ndcg@{CUT}", f"hit_rate@{CUT}"]
    said = {}
    for name, members in by_moment.items():
        found = {policy: figures(rows, asked, members) for policy, rows in shown_by.items()} if members.any() else {}
        said[name] = _slice(found, int(members.sum()), names)
    wanted = target_slices(asked.targets, learnt.counts, cold_events=params.cold_item_events, tail_share=params.tail_share)
    for name, members in wanted.items():
        having, offsets, targets = only_targets(asked.offsets, asked.targets, members)
        few = replace(asked.take(having), offsets=offsets, targets=targets)
        found = {policy: figures(rows[having], few) for policy, rows in shown_by.items()} if len(having) else {}
        said[name] = _slice(found, len(having), names)
    return said


def _slice(found: dict[str, Any], moments: int, names: list[str]) -> dict[str, Any]:
    users = len(next(iter(found.values()))[names[0]]) if found else 0
    return {"moments": moments, **on_slice(found, np.ones(users, np.bool_), names, RESAMPLING)}
