"""Raw user ids become pseudonyms by a keyed hash before the first write, at landing and at the HTTP door.

The key lives in the environment or in a file of mode 0600; it is no stage's input. Method: HMAC-SHA-256 (RFC 2104), first 120 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from footfall.errors import SettingsError

DEMO_KEY = b"footfall demonstration key: public, so that clones agree"


def pseudonym(raw_user_id: str, key: bytes) -> str:
    """The pseudonym of one raw user id: `u` and 30 hexadecimal digits."""
    return "u" + hmac.new(key, raw_user_id.encode(), hashlib.sha256).hexdigest()[:30]


def read_key(path: Path) -> bytes:
    """The key kept in `path`; a new random one is made (mode 0600) when there is none.

    Raises:
        SettingsError: others can read the file.
    """
    if not path.exists():
        write_key(path, secrets.token_hex(32).encode())
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            "pseudonym key can be read by others",
            where=path,
            expected="mode 0600",
            found=oct(path.stat().st_mode & 0o777),
            next_step=f"chmod 600 {path}",
        )
    return path.read_bytes()


def write_key(path: Path, key: bytes) -> None:
    """Keep `key` in `path`, readable by its owner alone; an existing file is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(key)
