"""Shadow and canary in the store: who may be one, how many there are, and what ends them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from footfall.errors import ReleaseError, StoreError
from footfall.store import Engine, arms, open_store, releases
from footfall.store.arms import CANARY, CHAMPION, SHADOW, Arm, Pointer
from footfall.store.schema import MIGRATIONS, current_revision
from tests.champions import champion_id
from tests.unit.footfall.store.store_rows import NOON
from tests.unit.footfall.store.test_store_releases import candidate

LATER = NOON + timedelta(hours=1)
Begin = Callable[[Engine, str], Arm]


def shadow(engine: Engine, name: str) -> Arm:
    return arms.begin_shadow(engine, name, NOON)


def canary(engine: Engine, name: str) -> Arm:
    return arms.begin_canary(engine, name, 0.05, NOON)


BOTH = pytest.mark.parametrize("begin", [shadow, canary])


def held(engine: Engine) -> dict[str, str]:
    return {arm.arm: arm.release_id for arm in arms.list_all(engine)}


@pytest.fixture
def shop(engine: Engine) -> Engine:
    """r0 is retired, r1 its successor, r2 and r3 are candidates, r4 was refused."""
    for number in range(5):
        releases.add(engine, candidate(f"r{number}", number))
    releases.promote(engine, "r0")
    releases.promote(engine, "r1")
    releases.refuse(engine, "r4")
    return engine


def test_a_service_reads_all_arms_at_one_moment(shop: Engine) -> None:
    assert arms.pointers(shop) == {CHAMPION: Pointer(CHAMPION, "r1", "footfall:r1", 1.0)}
    assert shadow(shop, "r2") == Arm(SHADOW, "r2", 1.0, NOON)
    assert canary(shop, "r0") == Arm(CANARY, "r0", 0.05, NOON)
    assert arms.list_all(shop) == [Arm(CANARY, "r0", 0.05, NOON), Arm(SHADOW, "r2", 1.0, NOON)]
    assert arms.pointers(shop) == {
        CHAMPION: Pointer(CHAMPION, "r1", "footfall:r1", 1.0),
        CANARY: Pointer(CANARY, "r0", "footfall:r0", 0.05),
        SHADOW: Pointer(SHADOW, "r2", "footfall:r2", 1.0),
    }


def test_before_the_first_promotion_there_is_no_champion_and_a_candidate_may_have_an_arm(engine: Engine) -> None:
    assert arms.pointers(engine) == {}
    releases.add(engine, candidate("r1"))
    shadow(engine, "r1")
    assert list(arms.pointers(engine)) == [SHADOW]


@BOTH
@pytest.mark.parametrize(("name", "state"), [("r1", "champion"), ("r4", "refused")])
def test_neither_the_champion_nor_a_refused_release_gets_an_arm(shop: Engine, begin: Begin, name: str, state: str) -> None:
    with pytest.raises(ReleaseError, match=state):
        begin(shop, name)
    with pytest.raises(ReleaseError, match="unknown"):
        begin(shop, "r9")
    assert held(shop) == {}


@BOTH
def test_an_arm_that_is_held_is_given_to_no_other_release(shop: Engine, begin: Begin) -> None:
    first = begin(shop, "r2")
    with pytest.raises(ReleaseError, match=f"footfall release end {first.arm}"):
        begin(shop, "r3")
    assert arms.end(shop, first.arm) == first
    assert begin(shop, "r3").release_id == "r3"
    assert held(shop) == {first.arm: "r3"}


def test_the_same_again_changes_the_share_and_nothing_else(shop: Engine) -> None:
    canary(shop, "r2")
    assert arms.begin_canary(shop, "r2", 0.25, LATER) == Arm(CANARY, "r2", 0.25, NOON)
    assert arms.list_all(shop) == [Arm(CANARY, "r2", 0.25, NOON)]


def test_a_shadow_that_becomes_canary_is_shadow_no_more(shop: Engine) -> None:
    shadow(shop, "r2")
    arms.begin_canary(shop, "r2", 0.5, LATER)
    assert arms.list_all(shop) == [Arm(CANARY, "r2", 0.5, LATER)]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_share_is_more_than_nobody_and_less_than_everybody(shop: Engine, share: float) -> None:
    with pytest.raises(ReleaseError, match="between 0 and 1"):
        arms.begin_canary(shop, "r2", share, NOON)
    assert held(shop) == {}


@pytest.mark.parametrize("arm", [SHADOW, CANARY])
def test_what_nobody_holds_cannot_be_ended(shop: Engine, arm: str) -> None:
    with pytest.raises(ReleaseError, match=f"there is no {arm}"):
        arms.end(shop, arm)


@BOTH
def test_promotion_refusal_and_rollback_end_the_arm_of_that_release_alone(shop: Engine, begin: Begin) -> None:
    other = canary if begin is shadow else shadow
    other(shop, "r3")
    kept = held(shop)
    begin(shop, "r2")
    releases.promote(shop, "r2")
    assert held(shop) == kept
    begin(shop, "r1")  # retired by that promotion, and the champion's parent
    assert releases.rollback(shop).release_id == "r1"
    assert held(shop) == kept
    releases.add(shop, candidate("r5", 5))
    begin(shop, "r5")
    releases.refuse(shop, "r5")
    assert held(shop) == kept


def test_promotion_and_an_arm_at_once_leave_no_champion_with_an_arm(shop: Engine) -> None:
    failures: list[Exception] = []

    def attempt(act: Callable[[], object]) -> None:
        try:
            act()
        except (ReleaseError, StoreError) as error:
            failures.append(error)

    for name in ("r2", "r3"):
        acts: list[Callable[[], object]] = [lambda name=name: releases.promote(shop, name), lambda name=name: canary(shop, name)]  # type: ignore[misc]
        threads = [threading.Thread(target=attempt, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert champion_id(shop) == name
        assert held(shop) == {}


def test_whoever_gives_an_arm_waits_for_whoever_promotes(server_url: str) -> None:
    engine, failures = open_store(server_url), list[Exception]()
    releases.add(engine, candidate("r1"))

    def give() -> None:
        try:
            canary(engine, "r1")
        except ReleaseError as error:
            failures.append(error)

    giving = threading.Thread(target=give)
    with engine.begin() as promoting:
        promoting.execute(sa.update(releases.releases).where(releases.releases.c.release_id == "r1").values(state="champion", champion_slot=1))
        giving.start()
        giving.join(0.5)
        assert giving.is_alive()
    giving.join(20)
    assert [error.found for error in failures] == ["champion"]  # type: ignore[attr-defined]
    assert held(engine) == {}
    engine.dispose()


def test_the_table_comes_and_goes_with_its_revision(store_url: str) -> None:
    engine = open_store(store_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    releases.add(engine, candidate("r1"))
    shadow(engine, "r1")
    for act, target, there in ((command.downgrade, "0003", False), (command.upgrade, "0004", True)):
        with engine.execution_options(footfall_write=True).begin() as connection:
            config.attributes["connection"] = connection
            act(config, target)
        assert current_revision(engine) == target
        assert ("footfall_arms" in sa.inspect(engine).get_table_names()) is there
    assert arms.list_all(engine) == []
    assert releases.get(engine, "r1") == candidate("r1")
    shadow(engine, "r1")
    engine.dispose()
