"""A client of the HTTP service, typed, with nothing but the standard library: what a shop's own program talks to Footfall with.

    with Client("http://127.0.0.1:3000", api_key=key) as footfall:
        slate = footfall.recommend("ann", k=5, place="home")
        footfall.send_events([{"event_id": "e1", "user_id": "ann", "event_type": "view", "item_id": slate.items[0].item_id,
                               "occurred_at": datetime.now(UTC), "request_id": slate.request_id, "position": 1}])

Every failure is a `ClientError` with the HTTP status and the service's own words. Nothing is retried, but for this: a connection that breaks is
made anew and asked once more where asking twice does no more than asking once: whatever only reads, PUT, DELETE, and events that all have
an `event_id`. A slate for a user is not, for each is on record as shown. A 503 is the caller's to wait for (`retry_after_s`).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from footfall.client.answers import (
    Because,
    CitedEvent,
    Erasure,
    ItemSlate,
    Line,
    Page,
    Rejected,
    Release,
    Removed,
    Row,
    RuleChange,
    RuleChanges,
    Rules,
    ScoredItem,
    Scores,
    Slate,
    Stored,
    Taken,
)
from footfall.client.calls import CALLS, Event, Filters, Moment, body_of
from footfall.client.connection import TIMEOUT_S, Connection, to_json
from footfall.client.lists import parts_of
from footfall.client.reading import read
from footfall.errors import ClientError
from footfall.rules import Rule

__all__ = ["CALLS", "Because", "CitedEvent", "Client", "ClientError", "Erasure", "Filters", "ItemSlate", "Line", "Page", "Rejected", "Release"]
__all__ += ["Row", "Rule", "RuleChange", "ScoredItem", "Scores", "Slate", "Stored", "Taken"]


class Client:
    """One service. Keeps its connection; for one thread at a time.

    User ids are the shop's own: the service makes pseudonyms of them. `at` of any method states the moment to answer for, in a service whose
    replay clock is on; others refuse it. Arguments that are None are left out, and the service's defaults hold.

    Args:
        url: `http://host:port` or `https://host`.
        api_key: where the service wants one.
        timeout_s: how long to wait for a connection, and for each part of an answer.
        tls: for https; the system's certificates where there is none.

    Raises:
        ClientError: from here and from every method.
    """

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None) -> None:
        """Connect with the first call."""
        self._connection = Connection(url, api_key, timeout_s=timeout_s, tls=tls)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up; a later call connects anew."""
        self._connection.close()

    def recommend(  # noqa: PLR0913 - the fields of the request
        self,
        user_id: str | None = None,
        *,
        events: Sequence[Event] | None = None,
        segments: Sequence[str] | None = None,
        k: int | None = None,
        place: str | None = None,
        context_item_id: str | None = None,
        exclude: Sequence[str] | None = None,
        exclude_bought: bool | None = None,
        filters: Filters | None = None,
        diversity: float | None = None,
        explain: bool | None = None,
        at: Moment | None = None,
    ) -> Slate:
        """A slate for a user of the shop, for the events of this very session, for both, or for nobody in particular."""
        body = body_of(user_id=user_id, events=events, segments=segments, k=k, place=place, context_item_id=context_item_id)
        body |= body_of(exclude=exclude, exclude_bought=exclude_bought, filters=filters, diversity=diversity, explain=explain, at=at)
        return read(Slate, self._ask("recommend", body, again=user_id is None))

    def similar(
        self,
        item_id: str,
        *,
        k: int | None = None,
        place: str | None = None,
        exclude: Sequence[str] | None = None,
        filters: Filters | None = None,
        diversity: float | None = None,
        at: Moment | None = None,
    ) -> ItemSlate:
        """What may be bought in the place of an item."""
        body = body_of(item_id=item_id, k=k, place=place, exclude=exclude, filters=filters, diversity=diversity, at=at)
        return read(ItemSlate, self._ask("similar", body, again=True))

    def complementary(
        self,
        item_ids: Sequence[str],
        *,
        k: int | None = None,
        place: str | None = None,
        exclude: Sequence[str] | None = None,
        filters: Filters | None = None,
        diversity: float | None = None,
        at: Moment | None = None,
    ) -> ItemSlate:
        """What is bought with an item or with a basket."""
        body = body_of(item_ids=item_ids, k=k, place=place, exclude=exclude, filters=filters, diversity=diversity, at=at)
        return read(ItemSlate, self._ask("complementary", body, again=True))

    def score(
        self,
        item_ids: Sequence[str],
        user_id: str | None = None,
        *,
        events: Sequence[Event] | None = None,
        segments: Sequence[str] | None = None,
        at: Moment | None = None,
    ) -> Scores:
        """How some items stand with a user, or with the events of a session."""
        body = body_of(item_ids=item_ids, user_id=user_id, events=events, segments=segments, at=at)
        return read(Scores, self._ask("score", body, again=True))

    def home(
        self,
        user_id: str | None = None,
        *,
        events: Sequence[Event] | None = None,
        segments: Sequence[str] | None = None,
        k: int | None = None,
        exclude: Sequence[str] | None = None,
        filters: Filters | None = None,
        diversity: float | None = None,
        rows: int | None = None,
        at: Moment | None = None,
    ) -> Page:
        """A home page: at most `rows` titled rows of `k` items, ordered for the user."""
        body = body_of(user_id=user_id, events=events, segments=segments, k=k, exclude=exclude)
        body |= body_of(filters=filters, diversity=diversity, rows=rows, at=at)
        return read(Page, self._ask("home", body, again=user_id is None))

    def send_events(self, events: Iterable[Event], *, at: Moment | None = None) -> Stored:
        """Store events, as many as there are, up to 1,000 a request; they are on disk on return.

        The good ones are kept, the others are named in the answer. When a request fails, `ClientError.taken` says how many events had been sent
        before it; sending all again is safe, for the same event is stored once.
        """
        done = self._send("send_events", "events", events, at, needs="event_id")
        return Stored(done["accepted"], done["duplicates"], done["rejected"])

    def put_items(self, items: Iterable[Mapping[str, Any]], *, at: Moment | None = None) -> Taken:
        """Tell of items; each replaces what was known of it. Lists of any length: see `send_events`."""
        return self._put("put_items", "items", items, at)

    def put_users(self, users: Iterable[Mapping[str, Any]], *, at: Moment | None = None) -> Taken:
        """Tell of users: attributes, consent. Lists of any length: see `send_events`."""
        return self._put("put_users", "users", users, at)

    def put_relations(self, relations: Iterable[Mapping[str, Any]], *, at: Moment | None = None) -> Taken:
        """Tell who belongs to whom. Lists of any length: see `send_events`."""
        return self._put("put_relations", "relations", relations, at)

    def put_campaigns(self, campaigns: Iterable[Mapping[str, Any]], *, at: Moment | None = None) -> Taken:
        """Tell what is advertised, and when. Lists of any length: see `send_events`."""
        return self._put("put_campaigns", "campaigns", campaigns, at)

    def erase_user(self, user_id: str) -> Erasure:
        """Erase a user. An id with a slash cannot be said in a path: `footfall erase` takes it."""
        return read(Erasure, self._ask("erase_user", path={"user_id": user_id}, again=True))

    def rules(self) -> list[Rule]:
        """All merchant rules on record, by id."""
        return list(read(Rules, self._ask("rules", again=True)).rules)

    def put_rules(self, rules: Iterable[Rule], *, at: Moment | None = None) -> Taken:
        """Put merchant rules; each replaces the one with its id."""
        rows = ({name: value for name, value in asdict(rule).items() if value is not None} for rule in rules)
        return self._put("put_rules", "rules", rows, at)

    def remove_rule(self, rule_id: str) -> bool:
        """Take a merchant rule away; whether there was one. Asked once more after a broken connection, it may say no of what it removed."""
        return read(Removed, self._ask("remove_rule", path={"rule_id": rule_id}, again=True)).removed

    def rule_changes(self) -> list[RuleChange]:
        """Who changed which merchant rule: the newest, newest first."""
        return list(read(RuleChanges, self._ask("rule_changes", again=True)).changes)

    def release(self) -> Release:
        """Which release serves."""
        return read(Release, self._ask("release", again=True))

    def document(self) -> dict[str, Any]:
        """The OpenAPI document of the service."""
        found: dict[str, Any] = self._ask("document", again=True)
        return found

    def _ask(self, name: str, body: dict[str, Any] | None = None, *, again: bool, path: Mapping[str, str] | None = None) -> Any:
        method, template = CALLS[name]
        return self._connection.ask(method, template, path, None if body is None else to_json(body), again=again)

    def _put(self, name: str, kind: str, rows: Iterable[Mapping[str, Any]], at: Moment | None) -> Taken:
        done = self._send(name, kind, rows, at)
        return Taken(done["accepted"], done["rejected"])

    def _send(self, name: str, kind: str, rows: Iterable[Mapping[str, Any]], at: Moment | None, *, needs: str | None = None) -> dict[str, Any]:
        """All rows in as many requests as they need; the counts together. `needs` names the field without which nothing is sent twice."""
        ending = b"" if at is None else b"," + to_json({"at": at})[1:-1]
        accepted = duplicates = 0
        rejected: list[Rejected] = []
        method, path = CALLS[name]
        for first, part, body in parts_of(kind, rows, ending):
            again = needs is None or all(row.get(needs) is not None for row in part)
            try:
                # 400 with a count: nothing of this request fits, and each row says why
                told = read(Stored, {"duplicates": 0, **self._connection.ask(method, path, None, body, again=again, counted=True)})
            except ClientError as error:
                error.taken = first
                raise
            accepted, duplicates = accepted + told.accepted, duplicates + told.duplicates
            rejected += [Rejected(one.index + first, one.field, one.expected, one.found) for one in told.rejected]
        return {"accepted": accepted, "duplicates": duplicates, "rejected": tuple(rejected)}
