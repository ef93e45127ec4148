"""What was evaluated is what is shown: torch over all users at once, as `evaluate` does, and numpy over HTTP, a user at a time and event by event."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.types import ASGIApp

from benchmarks.random_bundle import write_random_bundle
from bentos.routes.events import EVENT_FIELDS
from footfall.arrays.histories import read_sequences, read_users
from footfall.contracts import EVENTS, C
from footfall.core.sequences import Sequences
from footfall.recommender import FUSED, History, Recommender
from footfall.tables import read_parquet
from tests.trials import Trial
from tests.unit.bentos.asgi import Answer, ask_in_loop
from tests.unit.bentos.searched_shop import AS_OF_US, HISTORY_EVENTS, MODEL_EVENTS, make_searched_shop, searched_params
from tests.unit.bentos.streaming_service import streaming_service
from tests.unit.footfall.small_shop import AS_OF

ITEMS, K, LONGEST = 2_000, 10, 60
AT = datetime(2017, 10, 29, tzinfo=UTC)
AT_US = round(AT.timestamp()) * 1_000_000
DAY_US = 86_400_000_000
APART = 1e-4


def histories(count: int) -> list[History]:
    """Of 1 to 60 events at moments of their own, favourites bought again, some items that nobody knows; the newest events last."""
    random, found = np.random.default_rng(21), []
    for _ in range(count):
        events = int(random.integers(1, LONGEST + 1))
        favourites = random.integers(0, ITEMS, 5)
        chosen = np.where(random.random(events) < 0.4, random.choice(favourites, events), random.integers(0, ITEMS + 20, events))
        moments = np.sort(random.choice(200 * DAY_US // 1_000_000, events, replace=False)) * 1_000_000
        types = random.choice(["purchase", "view", "cart"], events, p=[0.6, 0.3, 0.1])
        found.append(History([f"item{n:05d}" for n in chosen.tolist()], types.tolist(), (AT_US - 200 * DAY_US + moments).tolist()))
    return found


def as_events(history: History) -> list[dict[str, Any]]:
    rows = zip(history.item_ids, history.event_types, history.occurred_at_us, strict=True)
    return [{"item_id": item, "event_type": kind, "occurred_at": datetime.fromtimestamp(at / 1e6, UTC).isoformat()} for item, kind, at in rows]


async def post(app: ASGIApp, path: str, body: dict[str, Any]) -> Answer:
    return await ask_in_loop(app, "POST", path, [json.dumps(body).encode()], {"content-type": "application/json"}, ("127.0.0.1", 3000))


async def ask_for_all(app: ASGIApp, asked: list[History]) -> list[dict[str, Any]]:
    """The slate of each: every other one is a user whose events are stored in two steps and who asks in between, the others bring theirs along."""
    found = []
    for number, history in enumerate(asked):
        rows = as_events(history)
        body: dict[str, Any] = {"k": K, "at": AT.isoformat()}
        if number % 2:
            body["events"] = rows
        else:
            body["user_id"] = f"user {number}"
            half = (len(rows) + 1) // 2
            for part in (rows[:half], rows[half:]):
                if part:
                    told = await post(app, "/v1/events", {"events": [{"user_id": f"user {number}", **row} for row in part]})
                    assert told.json["accepted"] == len(part)
                    await post(app, "/v1/recommend", body)
        answer = await post(app, "/v1/recommend", body)
        assert answer.status == 200
        found.append(answer.json)
    return found


@pytest.mark.trial
@pytest.mark.parametrize("item_table", ["float32", "int8"])
def test_the_slate_over_http_is_the_one_that_was_evaluated(item_table: str, tmp_path: Path, trial: Trial) -> None:
    write_random_bundle(tmp_path / "bundle", items=ITEMS, seed=1, item_table=item_table)
    asked = histories(trial.count(small=100, stated=1_000))
    offline = Recommender.open(tmp_path / "bundle")
    sequences = offline.encode(asked)
    ranked, scores = offline.rank(sequences, AT_US, K, [FUSED]).slates[FUSED], offline.scores(sequences, AT_US)
    with streaming_service(f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "bundle") as app:
        online = asyncio.run(ask_for_all(app, asked))

    same, apart = 0, 0.0
    for user, slate in enumerate(online):
        shown = [line["item_id"] for line in slate["items"]]
        same += shown == offline.vocabulary.decode(ranked[user])
        columns = offline.vocabulary.encode(shown) - 1
        apart = max(apart, float(np.abs(scores[user, columns] - [line["score"] for line in slate["items"]]).max()))
    trial.note(histories=len(asked), same_top_10=same, scores_apart=apart, degraded=sum(slate["degraded"] is not None for slate in online))
    assert sum(slate["degraded"] is None for slate in online) > 0.9 * len(asked)
    assert same >= 0.999 * len(asked)
    assert apart <= APART


async def tell_and_ask(app: ASGIApp, user: str, rows: list[dict[str, Any]], luck: np.random.Generator, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The slates of a user whose rows, oldest first, come in two parts and in no order within them: after the first part, and after both.

    Of every third user the parts are no earlier and later ones: some events come late.
    """
    order = luck.permutation(len(rows)) if luck.random() < 1 / 3 else np.arange(len(rows))
    found = []
    for part in np.array_split(order, 2):
        chosen = [{"user_id": user, **rows[row]} for row in luck.permutation(part).tolist()]
        for first in range(0, len(chosen), 1_000):
            told = await post(app, "/v1/events", {"events": chosen[first : first + 1_000]})
            assert (told.json["accepted"], told.json["rejected"]) == (len(chosen[first : first + 1_000]), [])
        found.append((await post(app, "/v1/recommend", {"user_id": user, **body})).json)
    return found


@pytest.mark.trial
def test_so_is_that_of_baskets_searches_and_habits_however_they_came(tmp_path: Path, checkout: Path, trial: Trial) -> None:
    params = searched_params(checkout)
    paths = make_searched_shop(tmp_path, params, users=trial.count(small=100, stated=1_000))
    offline = Recommender.open(paths.bundle)
    assert offline.needed(FUSED) == {"model", "habits", "item_to_item"}
    assert offline.reads_signals
    sequences, users = read_sequences(paths.sequences), read_users(paths.sequences)
    evaluated = offline.recommend(sequences, AS_OF_US)
    fields = [name for name in EVENT_FIELDS if name != C.USER_ID]
    rows: dict[str, list[dict[str, Any]]] = {user: [] for user in users}
    for row in read_parquet(paths.tables / f"{EVENTS.name}.parquet", next_step="").to_pylist():
        told = {name: row[name] for name in fields if row[name] is not None}
        rows[row[C.USER_ID]].append(told | {C.OCCURRED_AT: row[C.OCCURRED_AT].isoformat()})

    luck = np.random.default_rng(41)

    async def ask_all(app: ASGIApp) -> list[dict[str, Any]]:
        return [(await tell_and_ask(app, user, rows[user], luck, {"k": K, "at": AS_OF.isoformat()}))[-1] for user in users]

    with streaming_service(f"sqlite:///{tmp_path / 'store.db'}", paths.bundle) as app:
        online = asyncio.run(ask_all(app))

    same, apart = 0, 0.0
    for was, now in zip(evaluated, online, strict=True):
        said = {line["item_id"]: line["score"] for line in now["items"]}
        same += list(said) == [line.item_id for line in was.items]
        apart = max([apart, *(abs(line.score - said[line.item_id]) for line in was.items if line.item_id in said)])
    cuts = [cuts_inside_a_basket(sequences, events) for events in (HISTORY_EVENTS, MODEL_EVENTS)]
    trial.note(histories=len(users), same_top_10=same, scores_apart=apart, cut_inside_a_basket=cuts)
    assert [slate["degraded"] for slate in online] == [slate.degraded for slate in evaluated]
    assert min(cuts) > 0.2 * len(users)
    assert same >= 0.999 * len(users)
    assert apart <= APART


def cuts_inside_a_basket(sequences: Sequences, events: int) -> int:
    """Of how many users the newest so many events begin in the midst of a moment."""
    first = (sequences.offsets[1:] - events)[sequences.lengths > events]
    return int((sequences.occurred_at[first] == sequences.occurred_at[first - 1]).sum())
