"""Flow runs as the demo sees them: started as deployments, waited for, told step by step, found again by who created them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footfall.errors import ServiceError
from footfall_cli.console import screen
from footfall_cli.orchestrator import Orchestrator, Run

if TYPE_CHECKING:
    from rich.status import Status

AUTOMATION_TIMEOUT_S = 90.0
"""How long a drift event may take to become a run; measured 3 s."""

RUN_TIMEOUT_S = 1800.0
_STAGE = re.compile(r"Running stage '([^']+)'")
_PROGRESS = re.compile(r" - (train \[.*)$")
_SAY_EVERY_S = 20.0


class Runs:
    """Runs of one server, told on the way from what the worker's log says of DVC's stages.

    Args:
        server: where the deployments are.
        log: the worker's output.
        tell: says one line to people.
        quiet: tell nothing.
    """

    def __init__(self, server: Orchestrator, log: Path, tell: Callable[[str], None], *, quiet: bool = False) -> None:
        """Remember; ask nothing."""
        self.server, self.log, self.tell, self.quiet = server, log, tell, quiet
        self._read_to = 0
        self._said = 0.0

    def run(self, deployment: str, parameters: dict[str, Any], *, on_release: Callable[[], None] | None = None) -> Run:
        """Start a deployment and wait for its end."""
        return self.wait(self.server.start(deployment, parameters), on_release=on_release)

    def wait(self, run: Run, *, on_release: Callable[[], None] | None = None) -> Run:
        """Wait for a run; `on_release` is called once, when a release flow has begun below it.

        Raises:
            ServiceError: the run did not complete.
        """
        asked, told = datetime.now(UTC) - timedelta(seconds=5), False
        with ExitStack() as stack:
            console = screen(error=True)
            status = stack.enter_context(console.status("")) if console.is_terminal and not self.quiet else None

            def poll(_: Run) -> None:
                nonlocal told
                self._tell_stages(status)
                if on_release is not None and not told and self.newest("release", since=asked) is not None:
                    told = True
                    on_release()

            return self.server.wait(run, timeout_s=RUN_TIMEOUT_S, on_poll=poll)

    def newest(self, flow: str, *, since: datetime) -> Run | None:
        """The newest run of a flow that has begun and was expected at or after `since`."""
        found = [run for run in self.server.runs(flow, since=since) if run.start is not None]
        return found[0] if found else None

    def automated(self, flow: str, *, since: datetime, verdict: str) -> Run:
        """The run of a flow that an automation made, by the server's own record.

        Raises:
            ServiceError: there is none.
        """
        deadline = time.monotonic() + AUTOMATION_TIMEOUT_S
        while time.monotonic() < deadline:
            for run in self.server.runs(flow, since=since):
                if run.created_by is not None and run.created_by[0] == "AUTOMATION":
                    return run
            time.sleep(0.5)
        raise ServiceError(
            f"the automation started no {flow}",
            where=self.server.api,
            expected=f"a run within {AUTOMATION_TIMEOUT_S:.0f} s",
            found=f"none after verdict: {verdict}",
            next_step="read the orchestrator's log",
        )

    def _tell_stages(self, status: Status | None) -> None:
        """Name the DVC stages that the worker's log has announced since the last look, and how far training is."""
        with self.log.open("rb") as file:
            file.seek(self._read_to)
            new = file.read()
        whole = new.rfind(b"\n") + 1
        self._read_to += whole
        for line in new[:whole].decode(errors="replace").splitlines():
            if stage := _STAGE.search(line):
                self.tell(f"   stage {stage[1]}")
                if status is not None:
                    status.update(f"stage {stage[1]}")
            elif found := _PROGRESS.search(line):
                if status is not None:
                    status.update(found[1].replace("[", "\\["))
                elif time.monotonic() - self._said > _SAY_EVERY_S:
                    self._said = time.monotonic()
                    self.tell(f"   {found[1]}")
