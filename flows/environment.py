"""The environment of every process that Footfall starts: all state below one root, nothing phones home, that root's own code is imported.

Reused by the command line for the Prefect server, the worker, the HTTP service and the report UI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from footfall.paths import Paths
from footfall.settings import TELEMETRY_OFF

_FOREIGN = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_API_AUTH_STRING", "FOOTFALL_ROOT", "VIRTUAL_ENV", "PYTHONHOME")
"""Of the user's own shell; they would lead a process to another server, root or interpreter. `GIT_*` goes too: hooks set it."""

_PREFECT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",  # an ephemeral server ends with 150 lines of cancelled tasks otherwise
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 are too few on a busy machine
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_COLORS": "false",
}


def process_environment(root: Path, api_url: str | None = None, *, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for a process that works in `root`.

    Args:
        root: checkout or workspace; its `src` and itself come first on PYTHONPATH, so a workspace runs its own committed code.
        api_url: the Prefect server to speak to; None leaves a flow to start its own for as long as it runs.
        base: variables to start from (default: this process's own).
    """
    root = root.resolve()
    paths = Paths(root)
    start = os.environ if base is None else base
    environment = {name: value for name, value in start.items() if name not in _FOREIGN and not name.startswith("GIT_")}
    environment |= TELEMETRY_OFF | _PREFECT
    environment |= {
        "FOOTFALL_ROOT": str(root),
        "PREFECT_HOME": str(paths.prefect_home),
        "BENTOML_HOME": str(paths.bentoml_home),
        "DVC_SITE_CACHE_DIR": str(paths.dvc_site_cache),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), start.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]),
        "PYTHONUNBUFFERED": "1",
    }
    if api_url is not None:
        environment["PREFECT_API_URL"] = api_url
    return environment


def enter(root: Path, api_url: str | None = None) -> None:
    """Make this very process one that works in `root`: call it before Prefect is first imported, which reads its settings then."""
    environment = process_environment(root, api_url)
    Path(environment["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # Prefect makes no parent folders
    for name in _FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(environment)
