"""A small client of the Prefect server's HTTP interface: start a deployment, wait for its run, read who created it.

Standard library only, so that waiting for a run costs no second of imports. What it returns is the server's own record, never a guess.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from footfall.errors import ServiceError

BUSY_S = 30.0
"""How long a busy server is asked again."""
SILENT_S = 15.0
"""How long one answer is waited for."""

_LONGEST = 800
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class Run:
    """One flow run as the server records it.

    Attributes:
        run_id: the server's id.
        name: the run's own name.
        state: COMPLETED, RUNNING, ...; `message` says more.
        created_by: kind (DEPLOYMENT, AUTOMATION, ...) and name of what made the run; None for a run that a person or a parent flow started.
        start, end: when it ran, None while it has not.
        parameters: what it was given.
    """

    run_id: str
    name: str
    state: str
    message: str
    created_by: tuple[str, str] | None
    start: datetime | None
    end: datetime | None
    parameters: dict[str, Any]

    @property
    def final(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.state in FINAL


class Orchestrator:
    """The Prefect server at one address.

    Args:
        api: PREFECT_API_URL, such as `http://127.0.0.1:4200/api`.
    """

    def __init__(self, api: str) -> None:
        """Remember the address; ask nothing."""
        self.api = api

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET (no body) or POST one page; a server that is busy (503: its database is locked for a moment; or silent) is asked again.

        Nothing that is asked here does anything twice: a run is created under a key of its own.

        Raises:
            ServiceError: the server refuses or does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data=data, headers={"Content-Type": "application/json"})
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=SILENT_S) as answer:
                    content = answer.read()
                return json.loads(content) if content else None
            except urllib.error.HTTPError as error:
                found = f"{error.code} {error.read()[:300].decode(errors='replace')}"
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    raise ServiceError(
                        "the orchestrator refused a request", where=path, expected="a 200", found=found, next_step="footfall status"
                    ) from error
            except OSError as error:
                if isinstance(getattr(error, "reason", error), TimeoutError) and time.monotonic() < deadline:
                    continue
                raise ServiceError("the orchestrator does not answer", where=self.api, found=error, next_step="footfall status") from error
            time.sleep(0.5)

    def start(self, deployment: str, parameters: dict[str, Any]) -> Run:
        """Ask for a run of `flow/deployment`; a worker picks it up."""
        name = "/".join(urllib.parse.quote(part) for part in deployment.split("/"))
        found = self.call(f"/deployments/name/{name}")
        return _run(self.call(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters, "idempotency_key": uuid.uuid4().hex}))

    def run(self, run_id: str) -> Run:
        """One run as it stands now."""
        return _run(self.call(f"/flow_runs/{run_id}"))

    def runs(self, flow: str, *, since: datetime | None = None) -> list[Run]:
        """Runs of one flow, newest first; `since`: only those expected at or after that moment."""
        body: dict[str, Any] = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 50}
        if since is not None:
            body["flow_runs"] = {"expected_start_time": {"after_": since.isoformat()}}
        return [_run(document) for document in self.call("/flow_runs/filter", body)]

    def begun(self, flow: str) -> list[Run]:
        """Runs of one flow that have begun, the latest first."""
        body = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"start_time": {"is_null_": False}}, "sort": "START_TIME_DESC", "limit": 20}
        return [_run(document) for document in self.call("/flow_runs/filter", body)]

    def workers(self, pool: str) -> int:
        """How many workers are on line in a work pool; 0 when there is no such pool yet."""
        try:
            found = self.call(f"/work_pools/{urllib.parse.quote(pool)}/workers/filter", {})
        except ServiceError:
            return 0
        return sum(worker.get("status") == "ONLINE" for worker in found)

    def last_errors(self, run_id: str, *, lines: int = 5) -> str:
        """The last lines that a run and its subflows logged as errors."""
        body = {"logs": {"level": {"ge_": 40}, "flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_DESC", "limit": lines}
        return "\n".join(_short(str(line["message"])) for line in reversed(self.call("/logs/filter", body)))

    def wait(self, run: Run, *, timeout_s: float, on_poll: Callable[[Run], None] | None = None, every_s: float = 0.5) -> Run:
        """Wait until a run has ended well.

        Raises:
            ServiceError: it failed, crashed, was cancelled, or did not end in time; its logged errors are in the message.
        """
        deadline = time.monotonic() + timeout_s
        current = self.run(run.run_id)
        while not current.final:
            if time.monotonic() > deadline:
                raise ServiceError(
                    "a run did not end in time",
                    where=current.name,
                    expected=f"within {timeout_s:.0f} s",
                    found=current.state,
                    next_step="footfall status",
                )
            if on_poll is not None:
                on_poll(current)
            time.sleep(every_s)
            current = self.run(run.run_id)
        if current.state != "COMPLETED":
            found = f"{current.state}: {_short(current.message)}\n{self.last_errors(run.run_id)}".strip()
            raise ServiceError("a run did not complete", where=current.name, expected="COMPLETED", found=found, next_step="read the worker's log")
        return current


def _run(document: dict[str, Any]) -> Run:
    state, maker = document.get("state") or {}, document.get("created_by")
    return Run(
        run_id=document["id"],
        name=document["name"],
        state=str(state.get("type", document.get("state_type"))),
        message=str(state.get("message") or ""),
        created_by=None if not maker else (str(maker.get("type")), str(maker.get("display_value") or maker.get("id"))),
        start=_moment(document.get("start_time")),
        end=_moment(document.get("end_time")),
        parameters=document.get("parameters") or {},
    )


def _short(message: str) -> str:
    """A message without the frames of a traceback, and of bearable length; the worker's log has the whole."""
    lines = [line for line in message.splitlines() if line.strip()]
    start = max((number for number, line in enumerate(lines) if line.startswith(("    ", "  File "))), default=-1) + 1
    text = "\n".join(lines[start:])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
