from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from footfall.errors import ReleaseError, StoreError
from footfall.store import Engine, releases
from footfall.store.releases import Release
from tests.champions import champion_id
from tests.unit.footfall.store.store_rows import NOON


def candidate(name: str, days: int = 0) -> Release:
    return Release(name, f"footfall:{name}", "candidate", NOON + timedelta(days), NOON - timedelta(days), "abc", "def", {"ndcg@10": 0.25})


def states(engine: Engine) -> dict[str, str]:
    return {release.release_id: release.state for release in releases.list_all(engine)}


def test_a_release_comes_back_as_it_was_added(engine: Engine) -> None:
    assert releases.add(engine, candidate("r1")) == candidate("r1") == releases.get(engine, "r1")
    assert releases.add(engine, replace(candidate("r1"), git_revision="other")) == candidate("r1")
    assert releases.champion(engine) is None
    assert champion_id(engine) is None


def test_promotion_retires_the_champion_and_remembers_it_as_parent(engine: Engine) -> None:
    releases.add(engine, candidate("r1"))
    releases.add(engine, candidate("r2", 1))
    assert releases.promote(engine, "r1", {"outcome": "promote"}).parent is None
    assert releases.promote(engine, "r2").parent == "r1"
    assert releases.promote(engine, "r2").parent == "r1"
    assert states(engine) == {"r1": "retired", "r2": "champion"}
    assert champion_id(engine) == "r2"
    assert releases.get(engine, "r1").decision == {"outcome": "promote"}


def test_rollback_brings_the_parent_back(engine: Engine) -> None:
    for number in range(3):
        releases.add(engine, candidate(f"r{number}", number))
        releases.promote(engine, f"r{number}")
    assert releases.rollback(engine).release_id == "r1"
    assert releases.rollback(engine).release_id == "r0"
    assert states(engine) == {"r0": "champion", "r1": "retired", "r2": "retired"}
    with pytest.raises(ReleaseError, match="nothing to roll back to"):
        releases.rollback(engine)


def test_a_refused_release_is_never_promoted(engine: Engine) -> None:
    releases.add(engine, candidate("r1"))
    refused = releases.refuse(engine, "r1", {"outcome": "refuse"})
    assert (refused.state, refused.decision) == ("refused", {"outcome": "refuse"})
    assert releases.refuse(engine, "r1") == refused
    with pytest.raises(ReleaseError, match="refused"):
        releases.promote(engine, "r1")


def test_only_a_candidate_can_be_refused(engine: Engine) -> None:
    releases.add(engine, candidate("r1"))
    releases.promote(engine, "r1")
    with pytest.raises(ReleaseError, match="only a candidate"):
        releases.refuse(engine, "r1")


def test_releases_begin_as_candidates_and_unknown_ones_are_named(engine: Engine) -> None:
    with pytest.raises(ReleaseError, match="begins as a candidate"):
        releases.add(engine, replace(candidate("r1"), state="champion"))
    for act in (releases.get, releases.promote, releases.refuse):
        with pytest.raises(ReleaseError, match="unknown"):
            act(engine, "r9")


def test_the_bento_is_noted(engine: Engine) -> None:
    releases.add(engine, candidate("r1"))
    releases.set_bento_tag(engine, "r1", "footfall:r1-abc")
    assert releases.promote(engine, "r1").bento_tag == "footfall:r1-abc"


def test_two_promotions_at_once_leave_one_champion(engine: Engine) -> None:
    for number in range(4):
        releases.add(engine, candidate(f"r{number}", number))
    releases.promote(engine, "r0")
    failures: list[Exception] = []

    def promote(name: str) -> None:
        try:
            releases.promote(engine, name)
        except (ReleaseError, StoreError) as error:
            failures.append(error)

    threads = [threading.Thread(target=promote, args=(f"r{number}",)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states(engine).values()).count("champion") == 1
    assert champion_id(engine) in {"r1", "r2", "r3"}
    # a server may refuse one of them, which is as good as waiting: nothing of it is kept
    assert len(failures) < 3
