"""Serving a built bento from its own copy of the code, so that nothing of a checkout being edited is ever live."""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentos import tracing
from bentos.registry import MODEL_NAME, bentoml_home
from bentos.web.door import is_loopback
from bentos.web.keys import rate_in, read_keys
from footfall.errors import FootfallError, ReleaseError, SettingsError
from footfall.settings import TELEMETRY_OFF, Settings, load_settings
from footfall.signing import SIGNING, verify_keys_in
from footfall.store import open_store, releases

TLS_CERT, TLS_KEY = "FOOTFALL_TLS_CERT", "FOOTFALL_TLS_KEY"
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""glibc's word. With a heap a thread, what one thread gives back the others cannot use: over a million requests the worker grew by 1.5%."""
_TAG = re.compile(MODEL_NAME + ":[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Plan:
    """How to become the server: a command, the folder it runs in, and its environment."""

    command: list[str]
    folder: Path
    environment: dict[str, str]


def plan(settings: Settings, bento_tag: str | None = None) -> Plan:
    """How to serve `bento_tag`, or the champion's bento, or without a champion the newest one.

    Raises:
        SettingsError: the address is reachable from elsewhere, and there are no API keys; or a key cannot be used; or
            spans are asked for that cannot be sent.
        ReleaseError: there is no bento, or its folder leads out of the store.
    """
    if not is_loopback(settings.host) and not settings.api_keys:
        raise SettingsError(
            "refusing to listen beyond loopback without API keys",
            where="FOOTFALL_HOST",
            expected="127.0.0.1, or FOOTFALL_API_KEYS",
            found=settings.host,
            next_step="export FOOTFALL_API_KEYS=$(openssl rand -hex 24)",
        )
    verify_keys_in(), read_keys(settings.api_keys), rate_in()  # what is unusable must not wait until the worker meets it
    home = bentoml_home().resolve()
    tag = bento_tag or _champion_bento(settings) or "footfall:latest"
    folder = _bento_folder(tag, home)
    code = folder / "src"
    environment = {
        **{name: value for name, value in os.environ.items() if name != SIGNING},  # what answers the world holds no key that vouches
        **TELEMETRY_OFF,
        **ONE_HEAP,
        **tracing.switches(),
        "FOOTFALL_ROOT": str(settings.root),
        "FOOTFALL_STORE": settings.store_url,
        "BENTOML_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(code / "src"), str(code)]),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    host = "127.0.0.1" if settings.host == "localhost" else settings.host
    command = [sys.executable, "-m", "bentos.supervise", str(folder), *_certificate(os.environ), "--host", host, "--port", str(settings.port)]
    return Plan(command, code, environment)


def serve(bento_tag: str | None = None) -> None:
    """Become the server: signals and the exit status are its own. Returns only by raising."""
    planned = plan(load_settings(), bento_tag)
    os.chdir(planned.folder)
    sys.stdout.flush()
    os.execve(planned.command[0], planned.command, planned.environment)  # noqa: S606 - there is no shell in between


def _certificate(environment: Mapping[str, str]) -> list[str]:
    """What to say to BentoML for TLS; nothing without a certificate."""
    given = {name: environment.get(name) for name in (TLS_CERT, TLS_KEY)}
    if not any(given.values()):
        return []
    paths = [str(Path(path).resolve()) for path in given.values() if path]
    expected, make = "PEM files of a certificate and its key", "openssl req -x509 -newkey ed25519 -nodes -keyout key.pem -out cert.pem -subj /CN=HOST"
    try:
        if len(paths) < 2:
            raise ValueError("one without the other")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(paths[0], paths[1], password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        found = str(error) or type(error).__name__
        raise SettingsError("unusable certificate", where=f"{TLS_CERT}, {TLS_KEY}", expected=expected, found=found, next_step=make) from error
    return ["--ssl-certfile", paths[0], "--ssl-keyfile", paths[1]]


def _no_password() -> str:
    raise ValueError("a key with a password, which nobody is there to type")


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

    bentos = home / "bentos"
    bentos.mkdir(parents=True, exist_ok=True)
    build = "python -m bentos build MODEL_TAG"
    missing = ReleaseError("no bento to serve", where=home, expected=f"{tag!a:.80}", found="none", next_step=build)
    if not _TAG.fullmatch(tag):
        raise missing
    try:
        folder = Path(BentoStore(bentos).get(tag).path)
    except (BentoMLException, ValueError, OSError) as error:  # ValueError: no tag at all
        raise missing from error
    own = bentos.resolve() / MODEL_NAME / folder.name
    if not folder.name or folder.resolve() != own:  # a link, or a "latest" that names another place
        raise ReleaseError(
            "bento store holds a link", where=folder, expected=own, found="a path out of it", next_step="python -m bentos build MODEL_TAG"
        )
    return folder
