"""What searches and view durations in the sequence bring: the same model with and without them, on the simulated shop, which has both.

A shop is simulated and goes through stage `sequences`, without its impressions: they are most of its log and say least. The question is always
the items of a user's first basket in the validation window; what differs is the moment of asking: when the window begins (as stage `evaluate`
asks), right after the last search before the basket (a page of results), and right before the basket itself (a checkout page). Figures are
validation's: they decide what is built and are no test.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.race import Row, write_race
from footfall.arrays.histories import read_sequences
from footfall.arrays.vocabularies import read_queries, read_vocabulary
from footfall.arrays.windows import Targets, read_split, read_targets
from footfall.contracts import CATALOGUE, EVENT_TYPES, EVENTS, PURCHASE, USERS, C
from footfall.core.metrics import Bools, top_k, user_metrics
from footfall.core.sequences import Int64, Sequences
from footfall.core.signals import DURATION_CODES
from footfall.manifest import write_manifest
from footfall.model.pretrained import SequenceConfig
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.pseudonyms import DEMO_KEY
from footfall.sources.simulator import Simulator, read_scenario
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet

SHOP, BIG_SHOP = "simulator:users=1000,items=300,end=2021-06-01", "simulator:users=6000,items=2000"
KINDS = {"neither": (False, False), "searches": (True, False), "durations": (False, True), "both": (True, True)}
"""What the model reads -> (queries, durations)."""
SEARCH = EVENT_TYPES.index("search")
CUT = 10


@dataclass(frozen=True)
class Question:
    """Histories up to a moment, and the baskets that came after it."""

    history: Sequences
    targets: Targets


def run(root: Path, full: bool) -> Path:
    """Train each kind with each seed on one shop and ask all questions; rows are means over seeds, beside the model that reads neither."""
    with tempfile.TemporaryDirectory() as folder:
        paths, params = Paths(Path(folder)), _params(root)
        word = BIG_SHOP if full else SHOP
        params = _simulate(paths, params, word)
        sequences, split = read_sequences(paths.sequences), read_split(paths.sequences)
        asked = questions(sequences, read_targets(paths.sequences, "validation"), split.train_end)
        seeds = range(5 if full else 2)
        figures = {kind: [_figures(paths, params, kind, seed, asked) for seed in seeds] for kind in KINDS}
    rows = []
    for name, question in asked.items():
        plain = float(np.mean([one[name] for one in figures["neither"]]))
        for kind, found in figures.items():
            by_seed = [one[name] for one in found]
            notes = {"users": len(question.targets), "by_seed": [round(one, 4) for one in by_seed], "shop": word}
            rows.append(Row(f"{name}: {kind}", f"ndcg@{CUT}", float(np.mean(by_seed)), peer=plain, peer_name="neither", notes=notes))
    return write_race(root, "signals", rows, ["torch", "numpy"])


def _params(root: Path) -> Params:
    params = load_params(root / "params.yaml")
    model, training = replace(params.model, dim=32, max_events=200), replace(params.train, epochs=3, tokens_per_step=2048)
    return replace(params, model=model, train=training, split=replace(params.split, vocabulary_min_count=5))


def _simulate(paths: Paths, params: Params, word: str) -> Params:
    """Write data/sequences of a simulated shop; returns the params with its `as_of`."""
    scenario = read_scenario(word)
    shop, until = Simulator(DEMO_KEY, scenario), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=scenario.last_day)
    params = replace(params, data=replace(params.data, as_of=until))
    events = pa.concat_tables([table for _, table in shop.events(None, until)])
    events = events.filter(pc.not_equal(events.column(C.EVENT_TYPE), "impression"))
    for contract, table in ((EVENTS, events), (CATALOGUE, shop.catalogue()), (USERS, shop.users(until))):
        write_parquet(paths.tables / f"{contract.name}.parquet", contract.sort(contract.check(table.replace_schema_metadata(None))))
    write_manifest(paths.tables)
    make_sequences(paths, params)
    return params


def questions(sequences: Sequences, targets: Targets, start: int) -> dict[str, Question]:
    """The three moments of asking for the first baskets from `start` on; users without the moment are left out of its question."""
    users = sequences.take(targets.users)
    bought = _first(users, (users.event_type == EVENT_TYPES.index(PURCHASE)) & (users.occurred_at >= start))
    last_search = _last(users, (users.event_type == SEARCH) & (users.occurred_at >= start) & (users.occurred_at < np.repeat(bought, users.lengths)))
    moments: dict[str, Int64] = {
        "when the window begins": np.full(len(users), start),
        "right after a search": last_search + 1,
        "right before the basket": bought,
    }
    found = {}
    for name, moment in moments.items():
        chosen = np.flatnonzero(moment > 0)
        sizes = targets.sizes[chosen]
        items = np.concatenate([targets.item_index[targets.offsets[user] : targets.offsets[user + 1]] for user in chosen])
        kept = Targets(targets.users[chosen], items, np.concatenate([[0], np.cumsum(sizes)]))
        found[name] = Question(users.take(chosen).before(moment[chosen]), kept)
    return found


def _first(users: Sequences, mask: Bools) -> Int64:
    """(U,) moment of each user's first event where `mask` holds; -1 without one."""
    never = np.iinfo(np.int64).max
    found = np.full(len(users), never)
    np.minimum.at(found, users.owners[mask], users.occurred_at[mask])
    return np.where(found == never, -1, found)


def _last(users: Sequences, mask: Bools) -> Int64:
    """(U,) moment of each user's last event where `mask` holds; -1 without one."""
    found = np.full(len(users), -1)
    np.maximum.at(found, users.owners[mask], users.occurred_at[mask])
    return found


def _figures(paths: Paths, params: Params, kind: str, seed: int, asked: dict[str, Question]) -> dict[str, float]:
    """What one trained model reaches, by question."""
    queries, durations = KINDS[kind]
    sequences = read_sequences(paths.sequences)
    items, known = len(read_vocabulary(paths.sequences)), len(read_queries(paths.sequences) or ())
    config = SequenceConfig.of(params.model, items, known if queries else 0, DURATION_CODES if durations else 0)
    trained = train(sequences, read_split(paths.sequences).train_end, config, replace(params.train, seed=seed))
    scorer = Scorer.of(trained.model)
    return {name: _ndcg(scorer, question) for name, question in asked.items()}


def _ndcg(scorer: Scorer, question: Question) -> float:
    slates = top_k(scorer.scores(question.history), CUT) + 1
    return float(user_metrics(slates, question.targets.offsets, question.targets.item_index, CUT).ndcg.mean())
