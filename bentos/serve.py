"""Serving a built bento from its own copy of the code, so that nothing of a checkout being edited is ever live."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bentos.registry import bentoml_home
from bentos.web.door import is_loopback
from footfall.errors import FootfallError, ReleaseError, SettingsError
from footfall.settings import TELEMETRY_OFF, Settings, load_settings
from footfall.store import open_store, releases


@dataclass(frozen=True)
class Plan:
    """How to become the server: a command, the folder it runs in, and its environment."""

    command: list[str]
    folder: Path
    environment: dict[str, str]


def plan(settings: Settings, bento_tag: str | None = None) -> Plan:
    """How to serve `bento_tag`, or the champion's bento, or without a champion the newest one.

    Raises:
        SettingsError: the address is reachable from elsewhere, and there are no API keys.
        ReleaseError: there is no bento.
    """
    if not is_loopback(settings.host) and not settings.api_keys:
        raise SettingsError(
            "refusing to listen beyond loopback without API keys",
            where="FOOTFALL_HOST",
            expected="127.0.0.1, or FOOTFALL_API_KEYS",
            found=settings.host,
            next_step="export FOOTFALL_API_KEYS=$(openssl rand -hex 24)",
        )
    home = bentoml_home().resolve()
    tag = bento_tag or _champion_bento(settings) or "footfall:latest"
    folder = _bento_folder(tag, home)
    code = folder / "src"
    environment = {
        **os.environ,
        **TELEMETRY_OFF,
        "FOOTFALL_ROOT": str(settings.root),
        "FOOTFALL_STORE": settings.store_url,
        "BENTOML_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(code / "src"), str(code)]),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    host = "127.0.0.1" if settings.host == "localhost" else settings.host
    command = [sys.executable, "-m", "bentoml", "serve", str(folder), "--host", host, "--port", str(settings.port)]
    return Plan(command, code, environment)


def serve(bento_tag: str | None = None) -> None:
    """Become the server: signals and the exit status are its own. Returns only by raising."""
    planned = plan(load_settings(), bento_tag)
    os.chdir(planned.folder)
    sys.stdout.flush()
    os.execve(planned.command[0], planned.command, planned.environment)  # noqa: S606 - there is no shell in between


def _champion_bento(settings: Settings) -> str | None:
    try:
        engine = open_store(settings.store_url)
        try:
            champion = releases.champion(engine)
        finally:
            engine.dispose()
    except FootfallError as error:
        # the service starts without its store, and says that slates are degraded until it is back
        sys.stderr.write(f"serving the newest bento, because the store does not answer: {error.what}\n")
        return None
    return None if champion is None else champion.bento_tag


def _bento_folder(tag: str, home: Path) -> Path:
    from bentoml._internal.bento import BentoStore
    from bentoml.exceptions import BentoMLException

    (home / "bentos").mkdir(parents=True, exist_ok=True)
    try:
        return Path(BentoStore(home / "bentos").get(tag).path)
    except (BentoMLException, ValueError) as error:  # ValueError: no tag at all
        raise ReleaseError("no bento to serve", where=home, expected=tag, found="none", next_step="python -m bentos build MODEL_TAG") from error
