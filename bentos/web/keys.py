"""API keys: who may do what, and how often.

    FOOTFALL_API_KEYS=KEY                          one key for everything
    FOOTFALL_API_KEYS=home:read:KEY,shop:write:KEY,ops:admin:KEY

A key is known to logs and metrics by its name; its text is said nowhere. Roles are a ladder: write may read, admin may do all.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bentos.web.endpoints import ADMIN, ROLES
from footfall.errors import SettingsError

VARIABLE: Final = "FOOTFALL_API_KEYS"
RATE: Final = "FOOTFALL_RATE"
SHORTEST: Final = 16
"""Characters of a key: 64 bits, were it hexadecimal. What is shorter can be tried out."""
MAKE_A_KEY: Final = f"export {VARIABLE}=$(openssl rand -hex 24)"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SECRET = re.compile(r"[!-+\--9;-~]+")
_EXPECTED = f"KEY or NAME:{'|'.join(ROLES)}:KEY, the key of {SHORTEST} or more printable characters without : and ,"


@dataclass(frozen=True)
class Key:
    """Who may come in.

    Attributes:
        name: for people.
        role: one of ROLES.
        digest: sha256 of its text; all that is kept of it.
    """

    name: str
    role: str
    digest: bytes = field(repr=False)

    def may(self, role: str) -> bool:
        """Whether it is enough for what asks for this role."""
        return ROLES.index(self.role) >= ROLES.index(role)


def read_keys(entries: Iterable[str]) -> tuple[Key, ...]:
    """The keys that FOOTFALL_API_KEYS lists.

    Raises:
        SettingsError: one cannot be used, or stands there twice; its text is not repeated.
    """
    keys: list[Key] = []
    for number, entry in enumerate(entries, 1):
        name, role, text = entry.split(":", 2) if entry.count(":") == 2 else (f"key-{number}", ADMIN, entry)
        found = _fault(name, role, text)
        digest = _digest(text.encode())
        if found is None and any(name == key.name or digest == key.digest for key in keys):
            found = "a name or a key a second time"
        if found is not None:
            raise SettingsError("unusable API key", where=f"{VARIABLE}, entry {number}", expected=_EXPECTED, found=found, next_step=MAKE_A_KEY)
        keys.append(Key(name, role, digest))
    return tuple(keys)


def _fault(name: str, role: str, text: str) -> str | None:
    if not _NAME.fullmatch(name):
        return "no name"
    if role not in ROLES:
        return "no role"
    if not _SECRET.fullmatch(text):
        return "other characters"
    return f"{len(text)} characters" if len(text) < SHORTEST else None


def whose(given: bytes, keys: tuple[Key, ...]) -> Key | None:
    """The key with this text. All are compared, whole and in constant time, whichever fits: the time it takes says nothing."""
    digest, found = _digest(given), None
    for key in keys:
        if hmac.compare_digest(digest, key.digest):
            found = key
    return found


def rate_in(environment: Mapping[str, str] | None = None) -> float | None:
    """Requests a second that each key may send, or None for as many as it likes.

    Raises:
        SettingsError: no number above 0.
    """
    text = (os.environ if environment is None else environment).get(RATE, "")
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < 1e9:
        raise SettingsError("unusable rate", where=RATE, expected="requests a second, above 0", found=text[:40], next_step=f"export {RATE}=100")
    return rate


class Quota:
    """A bucket of tokens a key: it fills at `rate` a second up to one second's worth (one at least), and each request takes one.

    Args:
        rate: requests a second.
        clock: seconds that never go back.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._most = max(1.0, rate)
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, name: str) -> float:
        """0 when the request may come in, which takes a token; else the seconds until there is one."""
        now = self._clock()
        tokens, before = self._buckets.get(name, (self._most, now))
        tokens = min(self._most, tokens + (now - before) * self._rate)
        enough = tokens >= 1.0
        self._buckets[name] = (tokens - 1.0 if enough else tokens, now)
        return 0.0 if enough else (1.0 - tokens) / self._rate


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
