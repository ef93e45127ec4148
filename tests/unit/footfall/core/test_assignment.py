"""Who belongs to an experiment: the same users each time, more of them with a larger share, and others for another experiment."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.assignment import place_of, takes_part

USERS = [f"u{number:030x}" for number in range(100_000)]
SIGMAS = 4.5
"""Less than one in a hundred thousand fair draws is further off."""


def members(experiment: str, share: float) -> set[str]:
    return {user for user in USERS if takes_part(user, experiment, share)}


def test_a_place_is_the_first_53_bits_of_a_known_hash() -> None:
    bits = format(int(sha256(b"r1\0ann").hexdigest(), 16), "0256b")[:53]
    assert place_of("ann", "r1") == int(bits, 2) / 2**53


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_place_is_at_least_0_and_less_than_1_and_stays(user: str, experiment: str) -> None:
    place = place_of(user, experiment)
    assert 0.0 <= place < 1.0
    assert place_of(user, experiment) == place
    assert not takes_part(user, experiment, 0.0)
    assert takes_part(user, experiment, 1.0)


@given(st.text(max_size=40), st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_lets_nobody_go(user: str, experiment: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert takes_part(user, experiment, less) <= takes_part(user, experiment, more)


def test_a_place_is_the_same_in_another_process() -> None:
    code = "from footfall.core.assignment import place_of; print(place_of('ann', 'r0123456789ab').hex())"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {place_of("ann", "r0123456789ab").hex()}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("experiment", ["r5cf164342040", "r0123456789ab"])
def test_the_share_is_met_as_exactly_as_lots_are(experiment: str, share: float) -> None:
    found = len(members(experiment, share))
    assert abs(found - share * len(USERS)) <= SIGMAS * sqrt(len(USERS) * share * (1 - share))


def test_who_takes_part_in_one_experiment_is_no_likelier_to_take_part_in_another() -> None:
    both = len(members("r5cf164342040", 0.1) & members("r0123456789ab", 0.1))
    assert abs(both - 0.01 * len(USERS)) <= SIGMAS * sqrt(len(USERS) * 0.01 * 0.99)


def test_user_and_experiment_cannot_be_taken_for_each_other() -> None:
    assert place_of("b", "a") != place_of("", "ab") != place_of("ab", "")
