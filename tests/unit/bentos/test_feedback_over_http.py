"""From a slate over HTTP to what came of it: events that name their request are found at their lines, and other policies are judged by them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import bentos.slates.answering
from footfall.contracts import C
from footfall.core.exploration import Exploration
from footfall.core.offpolicy import Terms, doubly_robust, ips, snips
from footfall.feedback import Feedback, attribute, log_of
from footfall.store import feedback
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import NOON, items, post_events, recommend

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def came_of(slate: dict[str, Any], position: int, kind: str, user: str = "ann", **fields: Any) -> dict[str, Any]:
    """An event of the line at this position."""
    (line,) = [line for line in slate["items"] if line["position"] == position]
    row = {"user_id": user, "event_type": kind, "item_id": line["item_id"], "position": position, "request_id": slate["request_id"]}
    return {**row, "occurred_at": "2020-05-20T12:05:00Z", **fields}


def found(service: Service) -> Feedback:
    """What the store says came of the slates of that day."""
    service.written()
    return attribute(*feedback.period(service.engine, NOON, NOON + DAY, WEEK))


def test_a_view_and_a_purchase_are_found_at_the_slate_that_caused_them(service: Service) -> None:
    slate, other = (recommend(service, user_id=user, k=3).json for user in ("ann", "bob"))
    rows = [came_of(slate, 2, "impression"), came_of(slate, 2, "view"), came_of(slate, 2, "purchase", occurred_at="2020-05-22T12:00:00Z")]
    rows += [came_of(slate, 1, "view", user="bob"), came_of(other, 3, "cart", user="bob")]
    assert post_events(service, *rows).json["accepted"] == 5
    assert post_events(service, rows[1]).json["duplicates"] == 1
    came = found(service)
    lines = [(line[C.REQUEST_ID], line[C.POSITION], *counts) for line, counts in zip(came.lines.to_pylist(), came.counts.tolist(), strict=True)]
    assert [line for line in lines if any(line[2:])] == sorted([(slate["request_id"], 2, 1, 0, 1), (other["request_id"], 3, 0, 1, 0)])
    assert (came.events, came.refused) == (5, {"no_outcome": 1, "other_user": 1})


def test_an_anonymous_slate_is_not_on_record_and_what_came_of_it_is_said(service: Service) -> None:
    post_events(service, came_of(recommend(service, k=2).json, 1, "view"))
    assert found(service).refused == {"unknown_request": 1}


def test_the_shops_own_log_judges_a_policy_before_it_is_shown(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody who is shown `c` clicks, nobody else does: a policy that always shows it brings one click a slate, one that shows `a` none."""
    numbers = itertools.count()
    monkeypatch.setattr(bentos.slates.answering, "_new_id", lambda: f"{next(numbers):032x}")  # the same is drawn each time
    service = start(exploration=Exploration(rate=1.0, first=1, pool=4))
    slates = {f"user {number}": recommend(service, user_id=f"user {number}", k=1) for number in range(400)}
    clicks = [came_of(slate.json, 1, "view", user) for user, slate in slates.items() if items(slate) == ["c"]]
    post_events(service, *clicks)
    came = found(service).of("popularity_28d")
    item = np.array(came.lines[C.ITEM_ID].to_pylist())
    always_c, always_a = (log_of(came, "view", (item == wanted).astype(np.float64), covered=np.ones(len(item))) for wanted in "ca")
    few, half = Terms(minimum_effective=20), np.full(len(item), 0.5)
    for estimate in (ips(always_c, few), snips(always_c, few), doubly_robust(always_c, half, half, few)):
        assert estimate.value == pytest.approx(1.0, abs=0.2)
        assert estimate.gain is not None
        assert estimate.gain.low > 0.5
    assert snips(always_c).reason == f"not enough data: the log is worth {len(clicks)} slates of the target, 100 are needed"
    assert snips(always_a, few).reason == "not enough data: the log is worth 0 rewarded positions of the target, 10 are needed"
