"""Sealing: files that nobody reads without the key, by AES-256-GCM.

    header   "FOOTSEAL" | version, 1 byte | key id, 8 bytes | salt, 16 bytes
    chunk    1 when it is the last, else 0 | length, 4 bytes | at most 4 MiB, encrypted, with its tag

Every file has a key of its own, derived from the given one and the salt; chunk n has nonce n. The header, the chunk's number and its last-flag
are authenticated with it, so that a flipped byte, a cut, a swapped chunk and bytes after the end are all errors.
`seal` takes the salt from the content: equal bytes under one key are equal sealed bytes, as everywhere else in the project, and what that
shows to somebody without the key is only that two files are equal. A stream, whose content is not known at its start, draws its salt.
Reading recognises a sealed file by its first bytes; only what must be sealed asks for it when it is written.
This module knows nothing of tables, and where the key comes from only by the variable's name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from footfall.errors import SealError, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE: Final = "FOOTFALL_ENCRYPTION_KEY"
MAGIC: Final = b"FOOTSEAL"
CHUNK: Final = 4 * 2**20
KEY_BYTES: Final = 32
MAKE_A_KEY: Final = f"export {VARIABLE}=$(openssl rand -base64 32), and keep a copy where the data is not"

_VERSION, _TAG = 1, 16
_HEADER, _FRAME, _PLACE = struct.Struct(">8sB8s16s"), struct.Struct(">BI"), struct.Struct(">QB")
_LET_GO = "dvc checkout, or restore the file from a backup"

Keys = tuple[bytes, ...]
"""The first seals, all open; none: nothing is sealed."""


def keys_in(environment: Mapping[str, str] | None = None) -> Keys:
    """The keys that the environment holds (default: the process's own), comma separated, each 32 bytes as base64.

    Raises:
        SettingsError: one of them is no key; its text is not repeated.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    return tuple(_parse(part.strip()) for part in text.split(",") if part.strip())


def key_id(key: bytes) -> str:
    """A short name of a key, which tells nothing of it."""
    return hashlib.sha256(b"footfall key id" + key).hexdigest()[:16]


def is_sealed(path: Path) -> bool:
    """Whether the file begins like a sealed one; False for a missing file."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:
        return False


def seal(data: bytes, keys: Keys) -> bytes:
    """`data` sealed by the first of `keys`; equal bytes give equal bytes."""
    salt = hmac.digest(hmac.digest(keys[0], b"footfall salt", "sha256"), data, "sha256")[:16]
    sink = io.BytesIO()
    with SealedSink(sink, keys, salt) as file:
        file.write(data)
    return sink.getvalue()


def unseal(data: bytes, keys: Keys, *, where: object = None) -> bytes:
    """What was sealed.

    Raises:
        SealError: there is no key or another one, or a byte is not as it was written.
    """
    return b"".join(_opened(io.BytesIO(data), keys, where))


def open_sealed(file: IO[bytes], keys: Keys, *, where: object = None) -> io.BufferedReader:
    """A reader of what was sealed into `file`, chunk by chunk; reading raises what `unseal` does."""
    return io.BufferedReader(_Source(_opened(file, keys, where)), CHUNK)


class SealedSink(io.RawIOBase):
    """A file to write to: sealed chunk by chunk into `sink`, by the first of `keys`. Whole once it is closed, and only without an error.

    Args:
        sink: where the sealed bytes go; it is left open.
        keys: at least one.
        salt: 16 bytes that no other content has; drawn by default.
    """

    def __init__(self, sink: IO[bytes], keys: Keys, salt: bytes | None = None) -> None:
        self._sink, self._number, self._waiting = sink, 0, bytearray()
        self._header = _HEADER.pack(MAGIC, _VERSION, bytes.fromhex(key_id(keys[0])), salt or secrets.token_bytes(16))
        self._cipher = _cipher(keys[0], self._header)
        sink.write(self._header)

    def writable(self) -> bool:
        """It is for writing only."""
        return True

    def write(self, data: Any) -> int:
        """Seal every whole chunk that is there now; the rest waits."""
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._emit(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish the file; after an error it stays without its last chunk, and so unreadable."""
        if kind is None:
            self._emit(bytes(self._waiting), last=True)
        self.close()

    def _emit(self, data: bytes, *, last: bool) -> None:
        sealed = self._cipher.encrypt(self._number.to_bytes(12), data, self._header + _PLACE.pack(self._number, last))
        self._sink.write(_FRAME.pack(last, len(sealed)) + sealed)
        self._number += 1


class _Source(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._waiting = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._waiting = chunk
        part = self._waiting[: len(buffer)]
        buffer[: len(part)] = part
        self._waiting = self._waiting[len(part) :]
        return len(part)


def _opened(file: IO[bytes], keys: Keys, where: object) -> Iterator[bytes]:
    from cryptography.exceptions import InvalidTag

    header = file.read(_HEADER.size)
    cipher = _cipher(_key_of(header, keys, where), header)
    number, last = 0, False
    while not last:
        frame = file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            raise _damaged(where, f"it ends after {number} chunks")
        mark, length = _FRAME.unpack(frame)
        sealed = file.read(length) if _TAG <= length <= CHUNK + _TAG else b""
        try:
            yield cipher.decrypt(number.to_bytes(12), sealed, header + _PLACE.pack(number, mark))
        except InvalidTag as error:
            raise _damaged(where, f"chunk {number} is not as it was written") from error
        number, last = number + 1, mark == 1
    if file.read(1):
        raise _damaged(where, "bytes after its end")


def _key_of(header: bytes, keys: Keys, where: object) -> bytes:
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        raise _damaged(where, "its beginning is missing")
    _, version, wanted, _ = _HEADER.unpack(header)
    if version != _VERSION:
        raise SealError("sealed by another version", where=where, expected=_VERSION, found=version, next_step="update Footfall")
    here = {key_id(key): key for key in keys}
    if wanted.hex() in here:
        return here[wanted.hex()]
    found = f"key {', '.join(here)}" if here else f"no {VARIABLE}"
    next_step = f"add the key to {VARIABLE}, behind a comma" if here else f"export {VARIABLE}, the key that it was sealed by"
    raise SealError("sealed by a key that is not here", where=where, expected=f"key {wanted.hex()}", found=found, next_step=next_step)


def _cipher(key: bytes, header: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hmac.digest(key, b"footfall file" + header, "sha256"))


def _damaged(where: object, found: str) -> SealError:
    return SealError("sealed file is damaged", where=where, expected="the bytes that were written", found=found, next_step=_LET_GO)


def _parse(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        found = f"{len(key)} bytes" if key else "no base64"
        raise SettingsError("unusable encryption key", where=VARIABLE, expected=f"{KEY_BYTES} bytes as base64", found=found, next_step=MAKE_A_KEY)
    return key
