"""What the environment says: places, addresses and secrets. Numbers that change an artefact are in params.yaml instead."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from footfall.errors import SettingsError
from footfall.paths import Paths
from footfall.sealing import Keys, keys_in

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "OTEL_SDK_DISABLED": "true",
}
"""Set in every process that Footfall starts: nothing phones home."""

_ENGINE = re.compile(r"duckdb|local(\[(\*|[1-9]\d*)\])?|spark://\S+")
_LOG = re.compile(r"text|json")
_MEMORY = re.compile(r"[1-9]\d*(MB|GB)")


@dataclass(frozen=True)
class Settings:
    """The environment, read once at a program's door and handed on.

    Attributes:
        root: the checkout or workspace (FOOTFALL_ROOT, default: the current directory).
        store_url: SQLAlchemy URL of the live store (FOOTFALL_STORE, default: SQLite below `.footfall/`).
        pseudonym_key: key of the user-id hash (FOOTFALL_PSEUDONYM_KEY); None means the key file.
        api_keys: accepted HTTP keys (FOOTFALL_API_KEYS, comma separated).
        host, port: where the HTTP service listens (FOOTFALL_HOST, FOOTFALL_PORT).
        engine: where table expressions run (FOOTFALL_ENGINE): "duckdb", or a Spark master as "local[*]" or "spark://host:7077".
        engine_memory: what the engine holds before it spills to disk (FOOTFALL_ENGINE_MEMORY), as "2GB".
        replay_clock: whether requests may state the moment they are asked at (FOOTFALL_REPLAY_CLOCK=1); for replays only.
        tensorboard: whether stage `train` writes its curves for TensorBoard too (FOOTFALL_TENSORBOARD=1).
        explore: chance that a position of a user's slate, from the third on, is drawn among the next best (FOOTFALL_EXPLORE, 0 to 1; default 0).
        log: how the HTTP service's log reads (FOOTFALL_LOG): "text", or "json", one object a line.
        encryption_keys: keys that seal raw batches, quarantine and backups (FOOTFALL_ENCRYPTION_KEY); the first seals, all open; none: no sealing.
    """

    root: Path
    store_url: str
    pseudonym_key: bytes | None = field(repr=False)
    api_keys: tuple[str, ...] = field(repr=False)
    host: str
    port: int
    replay_clock: bool
    encryption_keys: Keys = field(default=(), repr=False)
    engine: str = "duckdb"
    engine_memory: str = "2GB"
    tensorboard: bool = False
    explore: float = 0.0
    log: str = "text"

    @property
    def paths(self) -> Paths:
        """Artefact paths below the root."""
        return Paths(self.root)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment` (default: the process's own).

    Raises:
        SettingsError: a variable holds something unusable.
    """
    env = os.environ if environment is None else environment
    root = Path(env.get("FOOTFALL_ROOT", ".")).resolve()
    key = env.get("FOOTFALL_PSEUDONYM_KEY")
    return Settings(
        root=root,
        store_url=env.get("FOOTFALL_STORE") or f"sqlite:///{Paths(root).store}",
        pseudonym_key=None if key is None else key.encode(),
        api_keys=tuple(part.strip() for part in env.get("FOOTFALL_API_KEYS", "").split(",") if part.strip()),
        host=env.get("FOOTFALL_HOST", "127.0.0.1"),
        port=_port(env.get("FOOTFALL_PORT", "3000")),
        replay_clock=env.get("FOOTFALL_REPLAY_CLOCK") == "1",
        engine=_matching(_ENGINE, env, "FOOTFALL_ENGINE", "duckdb", "duckdb, local[*] or spark://host:port"),
        engine_memory=_matching(_MEMORY, env, "FOOTFALL_ENGINE_MEMORY", "2GB", "a number and MB or GB"),
        encryption_keys=keys_in(env),
        tensorboard=env.get("FOOTFALL_TENSORBOARD") == "1",
        explore=_share(env.get("FOOTFALL_EXPLORE") or "0"),
        log=_matching(_LOG, env, "FOOTFALL_LOG", "text", "text or json"),
    )


def _matching(pattern: re.Pattern[str], env: Mapping[str, str], name: str, usual: str, expected: str) -> str:
    text = env.get(name) or usual
    if not pattern.fullmatch(text):
        raise SettingsError("unusable setting", where=name, expected=expected, found=text, next_step=f"export {name}={usual}")
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise SettingsError("unusable share", where="FOOTFALL_EXPLORE", expected="0 to 1", found=text, next_step="export FOOTFALL_EXPLORE=0.05")
    return share


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise SettingsError("unusable port", where="FOOTFALL_PORT", expected="1 to 65535", found=text, next_step="export FOOTFALL_PORT=3000")
    return int(text)
