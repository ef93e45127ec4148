"""What came of a slate: events that name their request, each put to the line that was shown; and of that a log by which other policies are judged.

An event counts for the line of its request that holds its item: of the same user, not before the slate was shown, and not later than a window
after it. A position that the event states must be that line's. What fits nowhere counts for nothing, and is counted by its reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import EVENTS, EXPOSURES, PURCHASE, C
from footfall.core.metrics import Float64
from footfall.core.offpolicy import Log
from footfall.core.sequences import Int64

Outcome = Literal["view", "cart", "purchase"]

OUTCOMES: Final[tuple[Outcome, ...]] = ("view", "cart", PURCHASE)
"""Event types that are an outcome, in the order of `Feedback.counts`; a click is a view."""
WITHIN: Final = timedelta(days=7)
REASONS: Final = ("duplicate", "no_outcome", "unknown_request", "other_user", "unknown_item", "other_position", "too_early", "too_late")
"""Why an event counts for no line; of several the first. `no_outcome`: an impression, search, review or return."""


@dataclass(frozen=True)
class Feedback:
    """What N lines brought.

    Attributes:
        lines: EXPOSURES in the contract's order.
        counts: (N, 3) views, carts and purchases of each line.
        events: how many events named a request.
        refused: how many of these count for no line, by reason; reasons without an event are left out.
    """

    lines: pa.Table
    counts: Int64
    events: int
    refused: dict[str, int]

    def of(self, policy: str, release: str | None = None) -> Feedback:
        """Only the lines of one policy, and of one release where it is given; what was refused stays as it is."""
        mask = pc.equal(self.lines[C.POLICY], policy)
        if release is not None:
            mask = pc.and_(mask, pc.equal(self.lines[C.RELEASE], release))
        return Feedback(self.lines.filter(mask), self.counts[mask.to_numpy()], self.events, self.refused)


def attribute(exposures: pa.Table, events: pa.Table, within: timedelta = WITHIN) -> Feedback:
    """Put each event that names a request to the line of that slate.

    An event without a position goes to the uppermost line with its item. Of two events of one id the first in the table counts.

    Args:
        exposures: EXPOSURES, whole slates.
        events: EVENTS; those without a request id are passed over.
        within: how long after a slate was shown an event still counts, to the microsecond.

    Raises:
        ContractError: a table breaks its contract, or two lines stand at one position.
    """
    lines = EXPOSURES.sort(EXPOSURES.check(exposures, where="feedback"))
    EXPOSURES.check_key(lines, where="feedback")
    asked = EVENTS.check(events, where="feedback")
    asked = asked.filter(pc.is_valid(asked[C.REQUEST_ID]))
    outcome = _codes(asked[C.EVENT_TYPE], pa.array(OUTCOMES))
    line, why = _placed(lines, asked, outcome, within)
    counted, width = why == 0, len(OUTCOMES)
    counts = np.bincount(line[counted] * width + outcome[counted], minlength=lines.num_rows * width).reshape(-1, width)
    numbers = np.bincount(why, minlength=len(REASONS) + 1)[1:].tolist()
    return Feedback(lines, counts, asked.num_rows, {reason: number for reason, number in zip(REASONS, numbers, strict=True) if number})


def log_of(feedback: Feedback, outcome: Outcome, target: Float64, covered: Float64 | None = None) -> Log:
    """The log that `core.offpolicy` estimates from: a line is worth 1 where the outcome came at least once, otherwise 0.

    Args:
        feedback: of one logging policy (`Feedback.of`).
        outcome: what is worth something.
        target: (N,) chance that the policy which is judged puts the line's item at the line's position, in the order of `feedback.lines`.
        covered: (N,) as `Log.covered`.

    Raises:
        ValueError: there is no line, or the chances do not fit the lines.
    """
    lines = feedback.lines
    reward = (feedback.counts[:, OUTCOMES.index(outcome)] > 0).astype(np.float64)
    slate = _codes(lines[C.REQUEST_ID], lines[C.REQUEST_ID].unique())
    first = np.unique(slate, return_index=True)[1]
    users = lines[C.USER_ID].take(pa.array(first))
    known = users.unique().drop_null()
    user = _codes(users, known)
    owner = np.where(user >= 0, user, len(known) + np.arange(len(first)))  # nobody in particular is everybody for themselves
    position = lines[C.POSITION].to_numpy().astype(np.int64)
    return Log(slate, position, reward, lines[C.PROPENSITY].to_numpy(), target, covered, owner)


class Tally:
    """How many lines brought something, added up over pages of events in the order of time.

    It remembers the lines of the last `within` that brought something, so that a second click in a later page is not a second line.

    Attributes:
        lines: lines with at least one such outcome, by (release, arm, policy, outcome).
        events: how many events named a request.
        refused: how many of these count for no line, by reason.
    """

    def __init__(self, within: timedelta = WITHIN) -> None:
        self.lines: Counter[tuple[str, str, str, Outcome]] = Counter()
        self.events, self.refused = 0, Counter[str]()
        self._within = within
        self._seen: dict[tuple[str, int, Outcome], datetime] = {}

    def add(self, exposures: pa.Table, events: pa.Table) -> None:
        """Count one page: `attribute` of EVENTS none of which is older than those of the page before, and the slates that they name.

        Raises:
            ContractError: as `attribute`.
        """
        found = attribute(exposures, events, self._within)
        self.events += found.events
        self.refused.update(found.refused)
        row, kind = np.nonzero(found.counts)
        for line, number in zip(found.lines.take(pa.array(row)).to_pylist(), kind.tolist(), strict=True):
            key = (line[C.REQUEST_ID], line[C.POSITION], OUTCOMES[number])
            if key not in self._seen:
                self._seen[key] = line[C.SHOWN_AT]
                self.lines[line[C.RELEASE], line[C.ARM], line[C.POLICY], OUTCOMES[number]] += 1
        if events.num_rows:
            oldest = pc.max(events[C.OCCURRED_AT]).as_py() - self._within
            self._seen = {key: shown for key, shown in self._seen.items() if shown >= oldest}


def _placed(lines: pa.Table, asked: pa.Table, outcome: Int64, within: timedelta) -> tuple[Int64, Int64]:
    """(M,) the line of each event, and (M,) why it counts for none: 1 and up as in REASONS, 0 where it counts."""
    (line_request, request), (line_item, item), (line_user, user) = (_both(lines, asked, name) for name in (C.REQUEST_ID, C.ITEM_ID, C.USER_ID))
    slate = _first(line_request, request)
    width = max(int(line_item.max(initial=0)), 0) + 2
    by_item = _first(line_request * width + line_item + 1, request * width + item + 1)
    line_position = lines[C.POSITION].to_numpy().astype(np.int64)
    stated = pc.is_valid(asked[C.POSITION]).to_numpy()
    deep = int(line_position.max(initial=0)) + 2
    position = np.clip(pc.fill_null(asked[C.POSITION], 0).to_numpy().astype(np.int64), 0, deep - 1)
    line = np.where(stated, _first(line_request * deep + line_position, request * deep + position), by_item)
    shown, at = _us(lines[C.SHOWN_AT]), _us(asked[C.OCCURRED_AT])
    first = np.unique(_codes(asked[C.EVENT_ID], asked[C.EVENT_ID].unique()), return_index=True)[1]
    refusals = (
        ~np.isin(np.arange(asked.num_rows), first),
        outcome < 0,
        slate < 0,
        _at(line_user, slate) != user,
        by_item < 0,
        (line < 0) | (_at(line_item, line) != item),
        at < _at(shown, slate),
        at > _at(shown, slate) + within // timedelta(microseconds=1),
    )
    return line, np.select(refusals, range(1, len(REASONS) + 1), 0)


def _both(lines: pa.Table, asked: pa.Table, name: str) -> tuple[Int64, Int64]:
    """The column in lines and in events as numbers from 0; -1 where it is null, or stands in no line."""
    known = lines[name].unique().drop_null()
    return _codes(lines[name], known), _codes(asked[name], known, unknown=-2 if name == C.USER_ID else -1)


def _codes(column: Any, known: pa.Array, unknown: int = -1) -> Int64:
    return np.asarray(pc.fill_null(pc.index_in(column, value_set=known), unknown).to_numpy(), np.int64)


def _us(moments: pa.ChunkedArray) -> Int64:
    return np.asarray(moments.cast(pa.int64()).to_numpy(), np.int64)


def _first(known: Int64, wanted: Int64) -> Int64:
    """(M,) the first place in `known` that holds the wanted number; -1 for none."""
    if not len(known):
        return np.full(len(wanted), -1)
    order = np.argsort(known, kind="stable")
    place = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
    return np.where(known[place] == wanted, place, -1)


def _at(values: Int64, place: Int64) -> Int64:
    """(M,) the values at these places; -1 at no place."""
    return np.where(place >= 0, values[place], -1) if len(values) else np.full(len(place), -1)
