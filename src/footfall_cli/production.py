"""The four processes of production on one machine, each as one command line: what the Procfile runs and what `footfall demo` starts.

`python -m footfall_cli.production NAME` waits until what it needs is there, then becomes the program itself, so that signals
and exit codes are the program's own. Ports come from the environment:
FOOTFALL_ORCHESTRATOR_PORT (4200), FOOTFALL_PORT (3000), FOOTFALL_REPORTS_PORT (8000).
"""

from __future__ import annotations

import os
import ssl
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from footfall.errors import ServiceError, SettingsError
from footfall.paths import Paths

LOOPBACK = "127.0.0.1"
POOL = "footfall"
"""Work pool of the deployments (`flows.deployments`)."""

NAMES = ("orchestrator", "worker", "service", "reports")
PAGES = {"orchestrator": "/api/health", "service": "/readyz", "reports": "/"}
"""The page of each listening process that answers 200 once it is ready."""


@dataclass(frozen=True)
class Ports:
    """Loopback ports of the three processes that listen; `secure` says whether the service speaks TLS."""

    orchestrator: int = 4200
    service: int = 3000
    reports: int = 8000
    secure: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Ports:
        """Read the ports, or take the fixed ones.

        Raises:
            SettingsError: a port is no number.
        """
        names = {"orchestrator": "FOOTFALL_ORCHESTRATOR_PORT", "service": "FOOTFALL_PORT", "reports": "FOOTFALL_REPORTS_PORT"}
        given = {field: environment[name] for field, name in names.items() if environment.get(name)}
        for field, text in given.items():
            if not text.isdigit():
                raise SettingsError("unusable port", where=names[field], expected="1 to 65535", found=text, next_step=f"export {names[field]}=...")
        return cls(**{field: int(text) for field, text in given.items()}, secure=bool(environment.get("FOOTFALL_TLS_CERT")))

    def url(self, name: str) -> str | None:
        """Where `name` answers; None for the worker, which listens nowhere."""
        port = getattr(self, name, None)
        return None if port is None else f"{'https' if self.secure and name == 'service' else 'http'}://{LOOPBACK}:{port}"

    @property
    def api(self) -> str:
        """PREFECT_API_URL."""
        return f"http://{LOOPBACK}:{self.orchestrator}/api"

    def ready_url(self, name: str) -> str | None:
        """The address that answers 200 once `name` is ready; None for the worker."""
        return None if name not in PAGES else f"{self.url(name)}{PAGES[name]}"


def reports_workspace(root: Path) -> Path:
    """The Evidently workspace that the report UI shows."""
    return Paths(root).monitoring_reports / "workspace"


def command(name: str, root: Path, ports: Ports) -> list[str]:
    """The command line of one process."""
    python = sys.executable
    lines = {
        "orchestrator": [python, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(ports.orchestrator)],
        "worker": [python, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", "footfall"],
        "service": [python, "-m", "bentos", "serve"],
        "reports": [python, "-m", "evidently.cli", "ui", "--workspace", str(reports_workspace(root))]
        + ["--host", LOOPBACK, "--port", str(ports.reports)],
    }
    return lines[name]


def environment(root: Path, ports: Ports, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every process of `root` finds in its environment."""
    from flows.environment import process_environment

    own = {"FOOTFALL_ORCHESTRATOR_PORT": str(ports.orchestrator), "FOOTFALL_PORT": str(ports.service), "FOOTFALL_REPORTS_PORT": str(ports.reports)}
    return {**process_environment(root, ports.api), **own, **(extra or {})}


def own_environment(name: str, root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """`env` as the process `name` gets it. The worker's temporary files stay with the state, because its tools leave folders behind.

    The others use the machine's own folder: they make sockets, whose paths may only be a hundred characters long.
    """
    if name != "worker":
        return dict(env)
    temporary = Paths(root).state / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {**env, "TMPDIR": str(temporary)}


def answers(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether `url`, a page on loopback, answers with a status below 300. Nothing is told or believed, so any certificate will do."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=timeout_s, context=anyone if url.startswith("https") else None) as answer:
            return bool(answer.status < 300)
    except (OSError, urllib.error.URLError):
        return False


def wait_until(ready: Callable[[], bool], *, message: str, timeout_s: float = float("inf"), every_s: float = 1.0) -> None:
    """Wait for `ready`, saying once why.

    Raises:
        ServiceError: it did not happen in time.
    """
    deadline = time.monotonic() + timeout_s
    said = False
    while not ready():
        if not said:
            sys.stdout.write(f"waiting: {message}\n")
            sys.stdout.flush()
            said = True
        if time.monotonic() > deadline:
            raise ServiceError("waited in vain", where=message, expected=f"within {timeout_s:.0f} s", next_step="footfall status")
        time.sleep(every_s)


def has_champion(root: Path) -> bool:
    """Whether the live store names a release to serve."""
    from footfall.store import open_store
    from footfall.store.releases import champion
    from footfall_cli.root import settings_of

    if not Paths(root).store.exists() and "FOOTFALL_STORE" not in os.environ:
        return False
    engine = open_store(settings_of(root).store_url)
    try:
        return champion(engine) is not None
    finally:
        engine.dispose()


def _prepare(name: str, root: Path, ports: Ports, env: dict[str, str]) -> None:
    """Wait for what `name` needs before it can be of use."""
    import subprocess

    if name == "worker":
        ready = ports.ready_url("orchestrator")
        wait_until(lambda: ready is not None and answers(ready), message="the orchestrator is not up yet")
        done = subprocess.run([sys.executable, "-m", "flows", "deploy"], cwd=root, env=env, check=False)
        if done.returncode:
            raise ServiceError(
                "deployments were not registered", where="python -m flows deploy", found=f"exit {done.returncode}", next_step="see the lines above"
            )
    elif name == "service":
        wait_until(
            lambda: has_champion(root), message="no champion to serve yet: footfall ingest, then prefect deployment run retrain/on-drift", every_s=3.0
        )
    elif name == "reports":
        reports_workspace(root).mkdir(parents=True, exist_ok=True)


def become(name: str, root: Path) -> NoReturn:
    """Turn this process into the one called `name`, noting it in the ledger so that `footfall status` can show it."""
    import psutil

    from footfall_cli.ledger import MARK, Entry, add_entry

    ports = Ports.from_environment(os.environ)
    env = environment(root, ports, {MARK: os.environ.get(MARK, uuid.uuid4().hex)})
    os.chdir(root)
    own = psutil.Process()
    line = command(name, root, ports)
    add_entry(root, Entry(name, own.pid, own.create_time(), env[MARK], line, ports.url(name), None, "up"))
    _prepare(name, root, ports, env)
    os.execve(line[0], line, own_environment(name, root, env))


def main(arguments: list[str]) -> int:
    """`python -m footfall_cli.production NAME`."""
    from footfall.errors import FootfallError
    from footfall_cli.root import find_root

    if len(arguments) != 1 or arguments[0] not in NAMES:
        sys.stderr.write(f"usage: python -m footfall_cli.production {'|'.join(NAMES)}\n")
        return 2
    try:
        become(arguments[0], find_root())
    except FootfallError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
