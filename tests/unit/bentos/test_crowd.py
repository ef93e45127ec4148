from __future__ import annotations

import pytest

from bentos.web.crowd import FEW, TARGET_S, Crowd


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def crowd(clock: Clock) -> Crowd:
    return Crowd(clock)


def answer_one_by_one(crowd: Crowd, clock: Clock, seconds: float, requests: int) -> None:
    for _ in range(requests):
        crowd.enter()
        clock.now += seconds
        crowd.leave()


def room(crowd: Crowd) -> int:
    """How many can enter until it is full."""
    entered = 0
    while not crowd.full and entered < 1_000:
        crowd.enter()
        entered += 1
    return entered


def test_as_many_are_let_in_as_can_be_answered_within_the_target(crowd: Crowd, clock: Clock) -> None:
    answer_one_by_one(crowd, clock, 0.01, 400)
    assert crowd.wait_s == pytest.approx(0.01, rel=0.05)
    assert room(crowd) == round(TARGET_S / 0.01)


def test_requests_that_are_answered_side_by_side_take_less_each(crowd: Crowd, clock: Clock) -> None:
    for _ in range(200):
        for _ in range(10):
            crowd.enter()
        clock.now += 0.02
        for _ in range(10):
            crowd.leave()
    assert crowd.wait_s == pytest.approx(0.002, rel=0.05)


def test_the_time_while_nobody_is_inside_says_nothing(crowd: Crowd, clock: Clock) -> None:
    answer_one_by_one(crowd, clock, 0.01, 100)
    clock.now += 3_600
    assert crowd.wait_s == pytest.approx(0.01, rel=0.05)
    answer_one_by_one(crowd, clock, 0.01, 1)
    assert crowd.wait_s == pytest.approx(0.01, rel=0.05)


def test_a_release_that_has_become_slow_is_known_after_some_busy_seconds_and_a_quick_one_as_well(crowd: Crowd, clock: Clock) -> None:
    answer_one_by_one(crowd, clock, 0.001, 1_000)
    answer_one_by_one(crowd, clock, 0.1, 50)
    assert crowd.wait_s == pytest.approx(0.1, rel=0.2)
    answer_one_by_one(crowd, clock, 0.001, 5_000)
    assert crowd.wait_s == pytest.approx(0.001, rel=0.2)


def test_a_few_are_let_in_however_slow_the_last_one_was(crowd: Crowd, clock: Clock) -> None:
    answer_one_by_one(crowd, clock, 60.0, 1)
    assert room(crowd) == FEW


def test_before_anything_was_measured_the_door_is_open(crowd: Crowd) -> None:
    assert room(crowd) == 1_000
