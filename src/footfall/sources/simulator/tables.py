"""The simulated shop's other tables: catalogue, users, relations, campaigns, and the truth about every account. All say what they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from footfall.contracts import CAMPAIGNS, CATALOGUE, CONSENT_PURPOSES, RELATIONS, TIMESTAMP, USERS, C, Contract
from footfall.sources.simulator.draws import Int64
from footfall.sources.simulator.people import DAY_US, People, friendships, housemates
from footfall.sources.simulator.rows import CURRENCY, ORIGIN
from footfall.sources.simulator.scenario import NEVER, midnight
from footfall.sources.simulator.words import BRANDS, CATEGORIES, DESCRIPTION, EN, SHELVES, TYPES, ZH, title
from footfall.sources.simulator.world import World

SIMULATED = b"footfall.simulated"
_SIZES = ("100 g", "250 g", "500 g", "1 kg", "S", "M", "L", "XL")
_AGES = ("18-34", "35-54", "55+")


def mark(table: pa.Table, world: World) -> pa.Table:
    """`table` with metadata that says which scenario it was simulated by."""
    return table.replace_schema_metadata({SIMULATED: world.scenario.text().encode()})


def item_ids(world: World) -> pa.Array:
    """Ids by item, and last the id of an item that the catalogue does not have."""
    return pa.array([f"sim-{number:06d}" for number in world.assortment.number.tolist()] + ["sim-gone"], pa.string())


def raw_user_ids(world: World) -> list[str]:
    """Raw ids by account; what an account truly is does not show."""
    return [f"simulated-user-{number:07d}" for number in range(len(world.people))]


def catalogue(world: World, ids: pa.Array) -> pa.Table:
    """CATALOGUE: all items that arrive before the scenario's end; `available` means on the shelf on its last day."""
    items, last = world.assortment, world.scenario.last_day
    on_shelf = items.on_shelf(last - 1)
    rows, names = [], ids.to_pylist()
    for item in np.flatnonzero(items.arrives < last).tolist():
        type_, words = int(items.type[item]), (int(items.adjective[item]), int(items.brand[item]), _SIZES[item % len(_SIZES)])
        titles = {language: title(language, type_, *words) for language in (ZH, EN)}
        language, category = int(items.language[item]), CATEGORIES[type_ // SHELVES][0]
        rows.append(
            {
                C.ITEM_ID: names[item],
                C.TITLE: titles.get(language, f"{titles[ZH]} {titles[EN]}"),
                C.DESCRIPTION: DESCRIPTION.format(titles[ZH], titles[EN]),
                C.BRAND: " ".join(BRANDS[words[1]]),
                C.CATEGORY_PATH: f"{' '.join(category)} > {' '.join(TYPES[type_])}",
                C.PRICE_MINOR: int(items.price[item]),
                C.CURRENCY: CURRENCY,
                C.ATTRIBUTES: json.dumps({"simulated": True, "size": words[2]}),
                C.AVAILABLE_FROM: midnight(int(items.arrives[item])),
                C.AVAILABLE: bool(on_shelf[item]),
                C.RECOMMENDABLE: True,
            }
        )
    return _finished(CATALOGUE, rows, world)


def users(world: World, ids: pa.Array, until: datetime) -> pa.Table:
    """USERS: accounts that joined before `until`; a few refuse a purpose each."""
    people, rows, names = world.people, [], ids.to_pylist()
    for user in np.flatnonzero(people.joined < round(until.timestamp() * 1_000_000)).tolist():
        consent = {purpose: user % 50 != 7 * (number + 1) for number, purpose in enumerate(CONSENT_PURPOSES)}
        attributes: dict[str, Any] = {"simulated": True, "age": _AGES[user % 3]}
        if user < people.people:
            attributes["language"] = ("zh", "en")[people.language[user]]
        rows.append(
            {
                C.USER_ID: names[user],
                C.ATTRIBUTES: json.dumps(attributes),
                C.CONSENT: json.dumps(consent),
                C.FIRST_SEEN_AT: _moment(int(people.joined[user])),
            }
        )
    return _finished(USERS, rows, world)


def relations(world: World, names: pa.Array) -> pa.Table:
    """RELATIONS: households and friendships that began before the scenario's end."""
    people = world.people
    found = {"household": housemates(people), "friend": friendships(world.scenario, people)}
    tables = [_pairs(people, names, kind, pairs, world.scenario.last_day) for kind, pairs in found.items()]
    return mark(RELATIONS.sort(RELATIONS.check(pa.concat_tables(tables))), world)


def _pairs(people: People, names: pa.Array, kind: str, pairs: Int64, last_day: int) -> pa.Table:
    since = people.joined[pairs].max(axis=1)  # nobody is related to somebody who is not there yet
    pairs, since = pairs[since < last_day * DAY_US], since[since < last_day * DAY_US]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return pa.table(
        {
            C.USER_ID: names.take(pa.array(both[:, 0])),
            C.OTHER_USER_ID: names.take(pa.array(both[:, 1])),
            C.KIND: pa.repeat(kind, len(both)),
            C.SINCE: pa.array(np.concatenate([since, since])).cast(TIMESTAMP),
        }
    )


def campaigns(world: World, ids: pa.Array) -> pa.Table:
    """CAMPAIGNS: all of the scenario."""
    rows = [
        {
            C.CAMPAIGN_ID: campaign.campaign_id,
            C.KIND: campaign.kind,
            C.STARTS: midnight(campaign.starts),
            C.ENDS: midnight(campaign.ends),
            C.ITEMS: json.dumps(sorted(ids.take(pa.array(campaign.items)).to_pylist())),
        }
        for campaign in world.campaigns
    ]
    return _finished(CAMPAIGNS, rows, world)


def truth(world: World, names: pa.Array) -> pa.Table:
    """What no shop knows, a row an account; see `Truth.users`."""
    people = world.people
    more = len(people) - people.people
    left = people.left_day < NEVER
    return mark(
        pa.table(
            {
                C.USER_ID: names,
                C.KIND: pa.array(people.kinds),
                "joined_at": pa.array(people.joined).cast(TIMESTAMP),
                "left_at": pa.array(np.where(left, people.left_day, 0) * DAY_US, mask=~left).cast(TIMESTAMP),
                "churned": pa.array(left & (people.left_day < world.scenario.last_day)),
                "household": _padded(people.household, more),
                "circle": _padded(people.cluster, more),
                "visits_a_day": _padded(people.visits, more),
                "thrift": _padded(people.thrift, more),
                "taste": _vectors(people.before.vectors, more),
                "taste_after_shift": _vectors(people.after.vectors, more),
            }
        ),
        world,
    )


def _padded(values: Any, more: int) -> pa.Array:
    return pa.concat_arrays([pa.array(values), pa.nulls(more, pa.array(values).type)])


def _vectors(vectors: Any, more: int) -> pa.Array:
    found = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.concat_arrays([found, pa.nulls(more, found.type)])


def _finished(contract: Contract, rows: Iterable[dict[str, Any]], world: World) -> pa.Table:
    table = contract.check(pa.Table.from_pylist(list(rows), contract.schema), where=ORIGIN)
    return mark(contract.sort(table), world)


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)
