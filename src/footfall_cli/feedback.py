"""`footfall feedback`: what slates brought, by the events that name them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footfall_cli.console import reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root

if TYPE_CHECKING:
    from footfall.feedback import Tally
    from footfall.store.feedback import Shown

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
_MEANING = {
    "no_outcome": "impressions, searches, reviews and returns",
    "unknown_request": "no such slate is on record: an anonymous one, one that was dropped, or not ours",
    "other_user": "the slate was another user's",
    "unknown_item": "the slate does not hold the item",
    "other_position": "the item stands elsewhere on the slate",
    "too_early": "from before the slate was shown",
    "too_late": "longer after the slate than --days",
}


@reporting
def run(
    since: Annotated[
        datetime | None, typer.Option(formats=_FORMATS, help="Slates and events since then (UTC). Default: all.", show_default=False)
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long after its slate an event still counts.")] = 7,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what came of the slates by release, arm and policy, and which events that name a request count for none."""
    from footfall.feedback import Tally
    from footfall.store import feedback

    engine = engine_of(find_root(workspace))
    start = datetime(1970, 1, 1, tzinfo=UTC) if since is None else since.replace(tzinfo=UTC)
    shown, tally = feedback.shown(engine, start), Tally(timedelta(days=days))
    for exposures, events in feedback.pages(engine, start):
        tally.add(exposures, events)
    policies = [_policy(one, tally) for one in shown]
    refused = {reason: tally.refused[reason] for reason in _MEANING if tally.refused[reason]}
    if as_json:
        found = {"events": tally.events, "attributed": tally.events - tally.refused.total(), "not_attributed": refused}
        say_json({"since": None if since is None else start.isoformat(), "days": days, "policies": policies, **found})
        return
    columns = [name.replace("_", " ") for name in policies[0]] if policies else []
    say_table(
        "slates", columns, [list(map(_cell, row.values())) for row in policies], empty="none on record; POST /v1/recommend with a user_id shows some"
    )
    say(f"{tally.events - tally.refused.total():,} of {tally.events:,} events that name a request count for a line")
    if refused:
        say_table("the others", ["why", "events", "meaning"], [(reason, number, _MEANING[reason]) for reason, number in refused.items()])


def _policy(shown: Shown, tally: Tally) -> dict[str, Any]:
    """One row: lines that were clicked, put into the cart and bought at least once, and their shares of all lines."""
    from footfall.feedback import OUTCOMES

    clicked, carted, bought = (tally.lines[shown.release, shown.arm, shown.policy, outcome] for outcome in OUTCOMES)
    rates = {"click_rate": clicked / shown.lines, "purchase_rate": bought / shown.lines}
    return {**shown._asdict(), "clicked": clicked, "carted": carted, "bought": bought} | {name: round(rate, 6) for name, rate in rates.items()}


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
