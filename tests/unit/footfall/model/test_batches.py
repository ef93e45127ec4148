from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES
from footfall.model.batches import chop, fill, group, pack, round_up
from footfall.model.packs import Pack
from footfall.model.prepared import gap_bucket
from tests.unit.footfall.model.shop_of_habits import DAY_US, build, habits

SEARCH, VIEW, BUY = (EVENT_TYPES.index(name) for name in ("search", "view", "purchase"))


def targets_of(packed: Pack) -> list[dict[int, list[int]]]:
    """Per given user: moment -> the item indices that are its targets, read from the grid."""
    found: list[dict[int, list[int]]] = [{} for _ in range(len(packed.order))]
    users = iter(packed.order.tolist())
    for stack in packed.stacks:
        items = packed.candidates[stack.candidates].view(stack.users, -1)
        mine = [found[next(users)] for _ in range(stack.users)]
        for cell in packed.target_cell[(packed.target_cell >= stack.grid.start) & (packed.target_cell < stack.grid.stop)].tolist():
            user, place = divmod(cell - stack.first_cell, stack.moments * stack.distinct)
            mine[user].setdefault(place // stack.distinct, []).append(int(items[user, place % stack.distinct]))
    return found


def test_the_targets_of_a_moment_are_the_distinct_items_of_the_next_purchase() -> None:
    first = [(1, BUY, 0), (2, BUY, 0), (3, BUY, 1), (3, BUY, 1), (0, BUY, 2), (5, VIEW, 3), (2, BUY, 4), (0, SEARCH, 4)]
    second = [(9, BUY, 0), (8, VIEW, 5)]
    packed = pack(build(first, second), BUY)
    # Day 2 holds no known item and day 3 only a look: neither is anybody's target, both look forward to day 4.
    assert targets_of(packed) == [{0: [3], 1: [2], 2: [2], 3: [2]}, {}]
    assert packed.order.tolist() == [1, 0]  # fewer moments first
    assert packed.moment_weight.tolist() == [0, 0, 1, 1, 1, 1, 0]
    assert packed.target_item.tolist() == [3, 2, 2, 2]
    assert packed.target_row.tolist() == [2, 3, 4, 5]
    assert packed.events == 10
    assert packed.targets == 4


def test_events_of_one_time_are_one_moment_and_are_averaged() -> None:
    packed = pack(build([(1, BUY, 0), (2, BUY, 0), (3, BUY, 1)]))
    assert packed.moment.tolist() == [0, 0, 1]
    assert packed.share.tolist() == [0.5, 0.5, 1.0]


def test_equal_times_of_two_users_stay_apart() -> None:
    packed = pack(build([(1, BUY, 3)], [(2, BUY, 3)]), BUY)
    assert [(stack.users, stack.moments) for stack in packed.stacks] == [(2, 1)]
    assert packed.gap_before.tolist() == [0, 0]


def test_distance_zero_marks_exactly_the_future() -> None:
    packed = pack(build([(1, BUY, 0), (1, BUY, 7), (1, BUY, 14)]))
    assert packed.distance.view(3, 3).tolist() == [[1, 0, 0], [2, 1, 0], [3, 2, 1]]
    week, fortnight = gap_bucket(torch.tensor([7, 14]) * DAY_US).tolist()
    assert packed.gap.view(3, 3)[2].tolist() == [fortnight, week, 0]
    assert fortnight == week + 4  # four buckets a doubling


def test_no_position_is_padding() -> None:
    sequences = habits()
    packed = pack(sequences, BUY)
    assert len(packed.moment) == len(sequences.item_index)
    assert len(packed.gap_before) == sum(stack.users * stack.moments for stack in packed.stacks) == int(packed.moment[-1]) + 1
    assert len(packed.distance) == sum(stack.users * stack.moments**2 for stack in packed.stacks)


def test_users_of_one_length_share_a_rectangle_and_the_narrower_have_no_item_in_front() -> None:
    packed = pack(build([(7, BUY, 0), (3, BUY, 1)], [(4, BUY, 0)], [(5, BUY, 0), (5, BUY, 9)]))
    assert packed.order.tolist() == [1, 0, 2]
    assert [(stack.users, stack.moments, stack.distinct) for stack in packed.stacks] == [(1, 1, 1), (2, 2, 2)]
    assert packed.candidates.tolist() == [4, 3, 7, 0, 5]
    assert packed.event_cell.tolist() == [0, 2, 3, 6, 8]
    assert packed.last_rows.tolist() == [0, 2, 4]
    assert packed.last_pairs.tolist() == [0, 3, 4, 7, 8]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 12))
def test_chopping_keeps_every_event_and_cuts_from_the_newest(lengths: list[int], events: int) -> None:
    sequences = build(*([(1, BUY, day) for day in range(n)] for n in lengths))
    windows = chop(sequences, events)
    assert windows.lengths.sum() == sum(lengths)
    assert windows.lengths.max(initial=0) <= events
    assert (windows.lengths > 0).all()
    ends = set(windows.offsets[1:].tolist())
    assert {int(end) for end, n in zip(sequences.offsets[1:], lengths, strict=True) if n} <= ends  # the newest window is a whole one
    assert len(windows) == sum(-(-n // events) for n in lengths)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 60))
def test_groups_hold_every_user_once_and_keep_to_the_budget(lengths: list[int], tokens: int) -> None:
    order = np.arange(len(lengths))[::-1]
    groups = list(group(np.array(lengths, np.int64), tokens, order))
    assert np.concatenate(groups).tolist() == order.tolist()
    assert all(len(users) == 1 or sum(lengths[u] for u in users) <= tokens for users in groups)


def test_larger_baskets_weigh_more_by_the_power_that_is_asked_for() -> None:
    weights = pack(build([(1, BUY, 0), (1, BUY, 1), (2, BUY, 1), (3, BUY, 1), (4, BUY, 1), (1, BUY, 2)]), BUY, basket_power=0.5).moment_weight
    assert weights.tolist() == [2, 1, 0]


def test_a_gap_bucket_is_a_quarter_of_a_doubling_of_hours() -> None:
    hour = 3_600_000_000
    assert gap_bucket(torch.tensor([0, 1, hour, 3 * hour, 3 * hour + 1, 10**18])).tolist() == [0, 1, 4, 8, 9, 63]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_stacks_of_similar_lengths_have_room_for_everybody_and_seldom_half_as_much_again(lengths: list[int]) -> None:
    moments = np.array(lengths)
    room = round_up(moments)
    assert (room >= moments).all()
    assert (room < np.maximum(1.5 * moments, 4.5)).all()


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(0, 5)), min_size=1, max_size=30))
def test_bins_hold_every_user_and_nobody_stands_on_another(users: list[tuple[int, int]]) -> None:
    moments, distinct = np.array(users).T
    bins, rows, candidates = fill(moments, distinct, 10)
    slots = [(int(number), row) for number, first, steps in zip(bins, rows, moments, strict=True) for row in range(first, first + steps)]
    assert len(set(slots)) == moments.sum()
    assert max(row for _, row in slots) < 10
    assert all(candidates[n] == distinct[(bins == bins[n]) & (np.arange(len(bins)) < n)].sum() for n in range(len(bins)))
