"""How right off-policy estimates are: against the truth of the simulated shop, and on Open Bandit against what the other policy really brought.

Simulated: slates of six are drawn from twenty items in one order for everybody, with exploration; the target shows each user the six that they like
best of these. Users click by the simulator's own chances, so what the target brings is known without noise. Many logs, by seed.

Open Bandit (Saito et al. 2021, "Open Bandit Dataset and Pipeline"): two policies ran side by side, so that one's log can be asked for the other's
click rate, which was measured. Thompson sampling does not look at users here; its chances by item and position are taken as its own frequencies,
clicks unseen. Every row is a slate of its own with one position. Read below FOOTFALL_DATA; left out where it is not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.race import Row, write_race
from footfall.contracts import C
from footfall.core.click_rates import cross_fitted
from footfall.core.exploration import Exploration, explore, request_stream
from footfall.core.offpolicy import Estimate, Log, doubly_robust, ips, snips
from footfall.pseudonyms import DEMO_KEY
from footfall.sources.simulator import Simulator, read_scenario

SCENARIO, NOON = "simulator:users=250,items=400,end=2021-05-01", datetime(2021, 3, 10, 12, tzinfo=UTC)
SCHEME, K, CANDIDATES = Exploration(rate=0.5, first=1, pool=14), 6, 20
_FOLDS, _COLUMNS = 5, ["policy", "campaign", "item_id", "position", "click", "propensity_score"]
_BANDIT = Path("open_bandit") / "obd_small_60k.parquet"
_SURE = 1.959964


@dataclass(frozen=True)
class Answered:
    """One question to one log.

    Attributes:
        question: what was asked.
        truth: what the target brings a slate.
        error: of the truth; 0 where it is known.
        estimates: of every estimator.
    """

    question: str
    truth: float
    error: float
    estimates: list[Estimate]

    def agrees(self, found: Estimate) -> bool:
        """Whether an estimate lies as near to the truth as both say they do, at 95%."""
        if found.value is None or found.standard_error is None:
            return False
        return abs(found.value - self.truth) <= _SURE * float(np.hypot(found.standard_error, self.error))


def run(root: Path, full: bool) -> Path:
    """Ask 100 simulated logs, with `full` 400, and all six of Open Bandit."""
    rows = _simulated_rows(list(simulated(400 if full else 100)))
    bandit = open_bandit()
    if bandit:
        rows += _bandit_rows(bandit)
    return write_race(root, "off-policy", rows, ["numpy", "pyarrow"])


def simulated(logs: int, visits: int = 16) -> Iterator[Answered]:
    """Logs of `visits` slates for each person of a simulated shop, and what each estimator makes of them."""
    shop = Simulator(DEMO_KEY, read_scenario(SCENARIO))
    accounts = shop.truth.users()
    people = [name for name, kind in zip(accounts[C.USER_ID].to_pylist(), accounts["kind"].to_pylist(), strict=True) if kind == "person"]
    every = shop.catalogue()[C.ITEM_ID].to_pylist()
    here = shop.truth.respond([people[0]] * len(every), [[item] for item in every], NOON).click[:, 0] > 0
    names = np.array([item for item, on_shelf in zip(every, here, strict=True) if on_shelf][:CANDIDATES])
    liked = np.stack([shop.truth.respond(people, [[item]] * len(people), NOON).click[:, 0] for item in names], axis=1)
    target = np.argsort(-liked, axis=1, kind="stable")[:, :K]
    truth = float(shop.truth.respond(people, names[target].tolist(), NOON).click.sum(axis=1).mean())
    slates = visits * len(people)
    slate, place = np.divmod(np.arange(slates * K), K)
    for seed in range(logs):
        user = np.random.default_rng(seed).integers(0, len(people), slates)
        streams = (request_stream(f"simulated-{seed}-{number}") for number in range(slates))
        drawn = [explore(np.arange(CANDIDATES), np.zeros(CANDIDATES), K, SCHEME, random) for random in streams]
        shown, propensity = np.stack([one.items for one in drawn]), np.concatenate([one.propensities for one in drawn])
        clicked = shop.truth.draw([people[one] for one in user], names[shown].tolist(), NOON, seed=seed).clicked
        wanted = (target[user] == shown).ravel().astype(np.float64)
        log = Log(slate, place + 1, clicked.ravel().astype(np.float64), propensity, wanted, covered=np.ones(len(slate)))
        rates = cross_fitted(slate, log.position, shown.ravel(), log.reward, np.arange(slates) % _FOLDS, CANDIDATES)
        predicted, expected = (rates.at(slate, log.position, item.ravel()) for item in (shown, target[user]))
        yield Answered(f"simulated log {seed}", truth, 0.0, [ips(log), snips(log), doubly_robust(log, predicted, expected)])


def open_bandit() -> list[Answered]:
    """Each campaign's policies by each other's log; empty where there is no Open Bandit."""
    path = Path(os.environ.get("FOOTFALL_DATA", "")) / _BANDIT
    if "FOOTFALL_DATA" not in os.environ or not path.exists():
        return []
    table = pq.read_table(path, columns=_COLUMNS)
    policy, campaign = table["policy"].to_numpy(), table["campaign"].to_numpy()
    item, position, click, chance = (table[name].to_numpy() for name in _COLUMNS[2:])
    answered = []
    for one in np.unique(campaign):
        for logging, other in (("random", "bts"), ("bts", "random")):
            rows, theirs = (np.flatnonzero((campaign == one) & (policy == name)) for name in (logging, other))
            items = int(item.max()) + 1
            if other == "random":
                target = np.tile(np.isin(np.arange(items), item[theirs]) / len(np.unique(item[theirs])), (3, 1))
            else:
                counts = np.zeros((3, items))
                np.add.at(counts, (position[theirs] - 1, item[theirs]), 1.0)
                target = counts / counts.sum(axis=1, keepdims=True)
            on_policy = click[theirs].astype(np.float64)
            estimates = _ask(item[rows], position[rows], click[rows].astype(np.float64), chance[rows], target)
            error = float(on_policy.std(ddof=1) / np.sqrt(len(theirs)))
            answered.append(Answered(f"{other} by the log of {logging}, {one}", float(on_policy.mean()), error, estimates))
    return answered


def _ask(item: np.ndarray, position: np.ndarray, click: np.ndarray, chance: np.ndarray, target: np.ndarray) -> list[Estimate]:
    """Every estimator on rows of one position, where the target's chances are (positions, items)."""
    slate = np.arange(len(item))
    log = Log(slate, np.ones_like(slate), click, chance, target[position - 1, item])
    rates = cross_fitted(slate, position, item, click, slate % _FOLDS, target.shape[1] - 1, positions=len(target))
    every = rates.at(slate[:, None], position[:, None], np.arange(target.shape[1]))
    return [ips(log), snips(log), doubly_robust(log, rates.at(slate, position, item), (target[position - 1] * every).sum(axis=1))]


def _by_estimator(answered: Iterable[Answered]) -> Iterator[tuple[str, list[tuple[Answered, Estimate]]]]:
    pairs = [(one, found) for one in answered for found in one.estimates]
    for name, group in groupby(sorted(pairs, key=lambda pair: pair[1].estimator), key=lambda pair: pair[1].estimator):
        yield name, list(group)


def _simulated_rows(answered: list[Answered]) -> list[Row]:
    rows = []
    for name, pairs in _by_estimator(answered):
        given = [(one, found) for one, found in pairs if found.value is not None]
        values = np.array([found.value for _, found in given])
        truth, held = answered[0].truth, float(np.mean([one.agrees(found) for one, found in given]))
        notes = {
            "logs": len(pairs),
            "not enough data": len(pairs) - len(given),
            "relative_error": round(float(np.sqrt(np.mean((values / truth - 1) ** 2))), 4),
            "error_of_mean": round(float(values.std() / np.sqrt(len(values))), 4),
            "effective_slates": round(float(np.median([found.effective_slates for _, found in given]))),
        }
        what = f"simulated: clicks a slate of the target, {name}, mean of logs"
        rows.append(Row(what, "clicks", float(values.mean()), truth, "truth", notes=notes))
        rows.append(Row(f"simulated: 95% intervals that hold the truth, {name}", "share", held, target=_allowed(len(given))))
    return rows


def _allowed(logs: int) -> float:
    """The share of 95% intervals that must hold the truth: three standard errors of so many logs below it."""
    return round(0.95 - 3 * float(np.sqrt(0.95 * 0.05 / logs)), 3)


def _bandit_rows(answered: list[Answered]) -> list[Row]:
    rows = []
    for one in answered:
        for found in one.estimates:
            if found.value is not None and found.low is not None and found.high is not None:
                notes = {
                    "interval": [round(found.low, 5), round(found.high, 5)],
                    "error_of_measured": round(one.error, 5),
                    "relative_error": round(abs(found.value / one.truth - 1), 3),
                    "agrees": one.agrees(found),
                    "effective_slates": round(found.effective_slates),
                    "effective_outcomes": round(found.effective_outcomes, 1),
                }
                what = f"Open Bandit: click rate of {one.question}, {found.estimator}"
                rows.append(Row(what, "clicks", found.value, one.truth, "measured", notes=notes))
    for name, pairs in _by_estimator(answered):
        rows.append(_together(name, [(one, found) for one, found in pairs if one.question.startswith("bts")]))
        given = [(one, found) for one, found in pairs if found.value is not None]
        refused = {one.question: found.reason for one, found in pairs if found.value is None}
        mean = float(np.mean([abs((found.value or 0.0) / one.truth - 1) for one, found in given]))
        agree = float(np.mean([one.agrees(found) for one, found in given]))
        rows.append(Row(f"Open Bandit: mean relative error, {name}", "share", mean, notes={"answered": len(given), "refused": refused}))
        rows.append(Row(f"Open Bandit: answers that agree with what was measured, {name}", "share", agree, notes={"answered": len(given)}))
    return rows


def _together(name: str, pairs: list[tuple[Answered, Estimate]]) -> Row:
    """The mean of the campaigns, which are as large and independent: three times the clicks."""
    values, errors = np.array([[found.value or 0.0, one.truth] for one, found in pairs]), [found.standard_error or 0.0 for _, found in pairs]
    mean, measured = values.mean(axis=0).tolist()
    reach = _SURE * float(np.linalg.norm(errors)) / len(pairs)
    notes = {
        "interval": [round(mean - reach, 5), round(mean + reach, 5)],
        "error_of_measured": round(float(np.linalg.norm([one.error for one, _ in pairs])) / len(pairs), 5),
        "relative_error": round(abs(mean / measured - 1), 3),
    }
    return Row(f"Open Bandit: click rate of bts by the log of random, all campaigns, {name}", "clicks", mean, measured, "measured", notes=notes)
