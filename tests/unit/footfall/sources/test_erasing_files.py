"""Erased users leave the files: what stays, what the receipts say, and that a kill at any moment changes nothing of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from footfall.arrays.histories import write_sequences, write_users
from footfall.contracts import CATALOGUE, EVENTS, RELATIONS, USERS, C
from footfall.core.sequences import Sequences
from footfall.documents import Verdict
from footfall.errors import SourceError
from footfall.manifest import check_manifest, write_manifest
from footfall.paths import Paths
from footfall.sources import erasing, landing, quarantine
from footfall.sources.erased import Erased
from footfall.sources.replacing import finish_replacing
from footfall.store.erasures import Erasure, subject_of
from footfall.tables import read_parquet, write_parquet

OCTOBER, UNTIL = datetime(2017, 10, 1, tzinfo=UTC), datetime(2017, 12, 1, tzinfo=UTC)
ERASED = Erased([Erasure("e1", subject_of("u1"), UNTIL)])
DAY = timedelta(days=1)
ALL = (erasing.from_raw, erasing.from_held, erasing.from_quarantine, erasing.from_landing, erasing.from_tables, erasing.from_sequences)


def row(event_id: str, user: str, at: datetime = OCTOBER, **other: Any) -> dict[str, Any]:
    plain = {C.EVENT_ID: event_id, C.USER_ID: user, C.ITEM_ID: "i1", C.EVENT_TYPE: "purchase", C.OCCURRED_AT: at, C.RECEIVED_AT: at}
    return plain | {C.ORIGIN: "shop"} | other


def table(*rows: dict[str, Any], contract: Any = EVENTS) -> pa.Table:
    return pa.Table.from_pylist(list(rows), contract.schema)


OCTOBERS = table(row("a", "u1"), row("b", "u2"), row("bad1", "u1", quantity=0), row("bad2", "u2", quantity=0), row("back", "u1", UNTIL + DAY))


def verdict(contract: str, batch_id: str, rows: int, bad: int = 0, outcome: str = "pass") -> Verdict:
    check = {"rule": "r", "severity": "row", "ok": True, "expected": "", "observed": "", "error": None, "samples": ["bad1"]}
    return Verdict(batch_id, contract, outcome, rows, {"quantity_not_positive": bad} if bad else {}, [check])


def accept(paths: Paths, contract: str, batch_id: str, rows: pa.Table, bad: pa.Table | None = None) -> Path:
    batch = landing.land(paths, contract, batch_id, rows)
    good = rows
    if bad is not None:
        good = rows.filter(pa.array([name not in bad.column(C.EVENT_ID).to_pylist() for name in rows.column(C.EVENT_ID).to_pylist()]))
        bad = bad.append_column(C.REASON, pa.array(["quantity_not_positive"] * bad.num_rows))
        quarantine.set_aside(paths, batch, bad, verdict(contract, batch_id, rows.num_rows, bad.num_rows))
    return landing.accept(paths, batch, good, verdict(contract, batch_id, rows.num_rows, 0 if bad is None else bad.num_rows))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A root where u1 and u2 are everywhere."""
    paths = Paths(tmp_path)
    accept(paths, "events", "shop-2017-10", OCTOBERS, OCTOBERS.slice(2, 2))
    accept(paths, "events", "shop-2017-09", table(row("z", "u2")))
    people = [{C.USER_ID: user, C.ATTRIBUTES: "{}", C.CONSENT: "{}", C.FIRST_SEEN_AT: OCTOBER} for user in ("u1", "u2")]
    accept(paths, "users", "shop-2017-11-01", table(*people, contract=USERS))
    both = [{C.USER_ID: a, C.OTHER_USER_ID: b, C.KIND: "invited", C.SINCE: OCTOBER} for a, b in (("u2", "u1"), ("u2", "u3"))]
    accept(paths, "relations", "shop-2017-11-01", table(*both, contract=RELATIONS))
    item = {C.ITEM_ID: "i1", C.TITLE: "t", C.CATEGORY_PATH: "a", C.ATTRIBUTES: "{}", C.AVAILABLE: True, C.RECOMMENDABLE: True}
    accept(paths, "catalogue", "shop-2017-11-01", table(item, contract=CATALOGUE))
    held = landing.land(paths, "events", "shop-2017-11", table(row("h1", "u1"), row("h2", "u2")))
    landing.hold(paths, held, verdict("events", "shop-2017-11", 2, outcome="hold"))
    landing.land(paths, "events", "shop-2017-12", table(row("l1", "u1"), row("l2", "u2")))
    landing.land(paths, "events", "shop-2018-01", table(row("l3", "u2")))
    half = paths.landing / "events" / ".shop-2017-08.made"
    write_parquet(half / "rows.parquet", table(row("half", "u1")))
    write_parquet(paths.tables / "events.parquet", OCTOBERS)
    write_parquet(paths.tables / "users.parquet", table(*people, contract=USERS))
    write_manifest(paths.tables)
    write_users(paths.sequences, pa.array(["u1", "u2"]))
    us = np.array([OCTOBER.timestamp() * 1e6] * 3, np.int64)
    write_sequences(paths.sequences, Sequences(np.ones(3, np.int32), np.ones(3, np.int8), us, np.array([0, 2, 3])))
    return paths


def erase(paths: Paths, *, remove: bool = True) -> dict[str, int]:
    finish_replacing(paths)
    return {place.__name__.removeprefix("from_"): place(paths, ERASED, remove=remove).total() for place in ALL}


def users_on_disk(paths: Paths) -> set[str]:
    """Whoever has an event before UNTIL, or a row of another kind, in any Parquet file below the root."""
    found: set[str] = set()
    for path in paths.root.rglob("*.parquet"):
        for one in read_parquet(path).to_pylist():
            if one.get(C.OCCURRED_AT, OCTOBER) <= UNTIL:
                found |= {one[name] for name in (C.USER_ID, C.OTHER_USER_ID) if name in one}
    return found


def contents(paths: Paths) -> dict[str, bytes]:
    return {str(path.relative_to(paths.root)): path.read_bytes() for path in sorted(paths.root.rglob("*")) if path.is_file()}


def test_the_erased_user_is_in_no_file_and_the_others_are(paths: Paths) -> None:
    found = erase(paths, remove=False)
    assert found == {"raw": 3, "held": 1, "quarantine": 1, "landing": 2, "tables": 3, "sequences": 2}
    assert "u1" in users_on_disk(paths)

    assert erase(paths) == found
    assert users_on_disk(paths) == {"u2", "u3"}
    assert set(erase(paths, remove=False).values()) == {0}
    events = read_parquet(paths.raw / "events" / "shop-2017-10" / "rows.parquet")
    assert events.column(C.EVENT_ID).to_pylist() == ["back", "b"]  # what they did after coming back is new business
    assert not list(paths.sequences.iterdir())
    check_manifest(paths.tables, next_step="")
    for folder in paths.raw.glob("*/*"):
        landing.check_batch(folder)


def test_the_receipt_says_how_many_rows_went_and_shows_no_row(paths: Paths) -> None:
    erase(paths)
    receipt = landing.read_receipt(paths.raw / "events" / "shop-2017-10")
    assert (receipt.rows, receipt.quarantined) == (3, {"quantity_not_positive": 1})
    assert [check["observed"] for check in receipt.checks if check["rule"] == "erased"] == ["2 rows by erasure e1"]
    assert all(check["samples"] == [] for check in receipt.checks)
    untouched = landing.read_receipt(paths.raw / "events" / "shop-2017-09")
    assert untouched.checks[0]["samples"] == ["bad1"]


def test_the_same_batch_from_the_source_is_still_known_afterwards(paths: Paths) -> None:
    erase(paths)
    without, _ = ERASED.split(OCTOBERS)
    assert landing.land(paths, "events", "shop-2017-10", without).landed
    with pytest.raises(SourceError, match="accepted before with other rows"):
        landing.land(paths, "events", "shop-2017-10", without.slice(1))


def test_a_batch_whose_bad_rows_were_dropped_is_known_by_its_id(paths: Paths) -> None:
    quarantine.drop(paths, "shop-2017-10", UNTIL)
    erase(paths)
    assert landing.land(paths, "events", "shop-2017-10", OCTOBERS).landed


def test_two_erasures_one_after_the_other_leave_a_known_batch(paths: Paths) -> None:
    erase(paths)
    both = Erased([Erasure("e1", subject_of("u1"), UNTIL), Erasure("e2", subject_of("u2"), UNTIL)])
    for place in ALL:
        place(paths, both)
    left, _ = both.split(OCTOBERS)
    assert left.column(C.EVENT_ID).to_pylist() == ["back"]
    assert landing.land(paths, "events", "shop-2017-10", left).landed
    assert users_on_disk(paths) == {"u3"} - {"u3"}  # u2 invited u3: that row was of both


def test_sealed_batches_are_rewritten_sealed(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_ENCRYPTION_KEY", "A" * 43 + "=")
    rows = accept(paths, "events", "shop-2017-07", table(row("s1", "u1"), row("s2", "u2"))) / "rows.parquet"
    erase(paths)
    assert rows.read_bytes().startswith(b"FOOTSEAL")
    assert read_parquet(rows).column(C.USER_ID).to_pylist() == ["u2"]


def _dies_after(steps: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child process that is gone, without a word, before its nth rename, replacement or removal; False when it came to its end."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def counting(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*arguments: Any, **named: Any) -> Any:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return real(*arguments, **named)

            return step

        for owner, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree"), (shutil, "copytree")):
            setattr(owner, name, counting(getattr(owner, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.trial
def test_a_kill_at_any_step_and_doing_it_again_ends_the_same(paths: Paths, tmp_path_factory: pytest.TempPathFactory, trial: Any) -> None:
    every = trial.count(small=5, stated=1)
    start = tmp_path_factory.mktemp("start") / "root"
    shutil.copytree(paths.root, start)
    erase(paths)
    wanted, kills, steps = contents(paths), 0, 0
    while True:
        shutil.rmtree(paths.root)
        shutil.copytree(start, paths.root)
        if not _dies_after(steps, lambda: erase(paths)):
            break
        kills, steps = kills + 1, steps + every
        erase(paths)
        assert contents(paths) == wanted, f"killed before step {steps - every}"
    assert steps > 30
    trial.note(kills=kills, differing=0)
