from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import SettingsError
from footfall.model import parallel
from footfall.model.parallel import Processes, alone, joined

CPU = torch.device("cpu")


def test_users_are_dealt_by_length_to_and_fro() -> None:
    lengths = np.array([9, 50, 3, 40, 30, 20])  # descending: users 1, 3, 4, 5, 0, 2
    shares = [Processes(CPU, rank, 2).share(lengths, np.arange(6)).tolist() for rank in range(2)]
    assert shares == [[1, 5, 0], [3, 4, 2]]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 5))
def test_every_user_is_read_by_one_process_and_the_longest_ones_are_spread(lengths: list[int], count: int) -> None:
    users = np.random.default_rng(0).permutation(len(lengths) + 3)[: len(lengths)]
    by_user = np.zeros(len(lengths) + 3, np.int64)
    by_user[users] = lengths
    shares = [Processes(CPU, rank, count).share(by_user, users) for rank in range(count)]
    if len(users) < count:
        assert all(share.tolist() == users.tolist() for share in shares)
        return
    assert sorted(np.concatenate(shares).tolist()) == sorted(users.tolist())
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    events = [int(by_user[share].sum()) for share in shares]
    assert max(events) - min(events) <= max(lengths)


def test_a_process_alone_changes_nothing() -> None:
    one, module, mean = alone(), torch.nn.Identity(), torch.tensor(0.3)
    assert (one.rank, one.count, one.is_first) == (0, 1, True)
    assert one.wrap(module) is module
    assert one.part(mean, torch.tensor(7.0)) is mean
    assert one.mean(mean) is mean
    assert one.total([1.0, 2.0]) == [1.0, 2.0]
    assert one.hand_on(b"state") == b"state"
    drawn = torch.get_rng_state()
    one.reseed(7, 1)
    assert torch.equal(torch.get_rng_state(), drawn)
    with joined() as joint:
        assert joint == one


def test_no_two_processes_or_steps_draw_alike_and_each_draws_the_same_again() -> None:
    def draw(rank: int, step: int) -> float:
        with torch.random.fork_rng(devices=[]):
            Processes(CPU, rank, 2).reseed(7, step)
            return float(torch.rand(()))

    assert len({draw(rank, step) for rank in range(2) for step in range(3)}) == 6
    assert draw(1, 2) == draw(1, 2)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(parallel.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(parallel.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SettingsError, match="more processes than GPUs") as caught, joined():
        pass
    assert (caught.value.expected, caught.value.found) == ("at most 2", "3")
