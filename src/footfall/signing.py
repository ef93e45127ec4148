"""Signatures of bundles: who released it, by Ed25519 over the manifest's bytes, which hold the sha256 of all else.

    bundle/        as DVC made it: nothing in it depends on a key, the clock or itself
    bundle.sig     beside it, in the model store: one line "footfall.signature/1 KEY SIGNATURE"

Who releases has FOOTFALL_SIGNING_KEY, 32 random bytes as base64; who serves has FOOTFALL_VERIFY_KEYS, the public keys that it trusts.
The service needs no secret for it, and whoever can write to the model store still cannot make it open something else.
This module knows nothing of what a manifest means.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Final

from footfall.errors import SettingsError, SignatureError

SIGNING: Final = "FOOTFALL_SIGNING_KEY"
VERIFY: Final = "FOOTFALL_VERIFY_KEYS"
SCHEMA: Final = "footfall.signature/1"
MAKE_A_KEY: Final = f"export {SIGNING}=$(openssl rand -base64 32), and keep it where nothing is served"
SIGN_IT: Final = "where the signing key is: footfall release sign RELEASE"
MAX_BYTES: Final = 256
"""A signature's file is shorter; no more of one is read."""

_BYTES = 32
_PURPOSE = b"footfall bundle manifest\x00"
_LINE = re.compile(rb"footfall\.signature/1 ([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)\n")

VerifyKeys = tuple[bytes, ...]
"""Public keys, of which one must have signed; none: signatures are not asked for."""


def signing_key_in(environment: Mapping[str, str] | None = None) -> bytes | None:
    """The secret key of whoever releases (default: the process's own environment), or None.

    Raises:
        SettingsError: it is no key; its text is not repeated.
    """
    text = (os.environ if environment is None else environment).get(SIGNING, "").strip()
    return _parse(text, SIGNING, MAKE_A_KEY) if text else None


def verify_keys_in(environment: Mapping[str, str] | None = None) -> VerifyKeys:
    """The public keys that are trusted, comma separated. A variable that is set but holds no key is an error: it must not mean "trust all".

    Raises:
        SettingsError: one of them is no key.
    """
    text = (os.environ if environment is None else environment).get(VERIFY)
    if text is None or text == "":
        return ()
    return tuple(_parse(part.strip(), VERIFY, "footfall release verify-key") for part in text.split(","))


def verify_key(signing_key: bytes) -> str:
    """The public key of a secret one, as FOOTFALL_VERIFY_KEYS wants it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(signing_key).public_key().public_bytes_raw()).decode()


def sign(manifest: bytes, signing_key: bytes) -> str:
    """The signature of a manifest's bytes; equal bytes under one key give an equal signature."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = Ed25519PrivateKey.from_private_bytes(signing_key).sign(_PURPOSE + manifest)
    return f"{SCHEMA} {_key_id(base64.b64decode(verify_key(signing_key)))} {base64.b64encode(made).decode()}\n"


def check_signature(manifest: bytes, signature: bytes | None, keys: VerifyKeys, *, where: object) -> None:
    """Hold a signature against a manifest's bytes.

    Args:
        manifest: what must have been signed.
        signature: the signature file; None where there is none.
        keys: who may have signed; at least one.
        where: the file, for the error.

    Raises:
        SignatureError: there is no signature, it is no signature, it is another key's, or it is of other bytes.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    trusted = {_key_id(key): key for key in keys}
    expected = f"a signature by key {', '.join(trusted)}"
    if signature is None:
        raise SignatureError("bundle is not signed", where=where, expected=expected, found="none", next_step=SIGN_IT)
    line = _LINE.fullmatch(signature)
    if line is None or base64.b64encode(base64.b64decode(line[2])) != line[2]:  # of base64's ways to write the last bits, one is right
        raise SignatureError("bundle's signature cannot be read", where=where, expected=expected, found="another text", next_step=SIGN_IT)
    name = line[1].decode()
    if name not in trusted:
        raise SignatureError("bundle is signed by a foreign key", where=where, expected=expected, found=f"key {name}", next_step=SIGN_IT)
    try:
        Ed25519PublicKey.from_public_bytes(trusted[name]).verify(base64.b64decode(line[2]), _PURPOSE + manifest)
    except (InvalidSignature, ValueError) as error:
        found = "a signature of other bytes"
        raise SignatureError("bundle is not what was signed", where=where, expected=expected, found=found, next_step=SIGN_IT) from error


def _key_id(public: bytes) -> str:
    return hashlib.sha256(b"footfall key id" + public).hexdigest()[:16]


def _parse(text: str, variable: str, next_step: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _BYTES:
        found = f"{len(key)} bytes" if key else "no base64"
        raise SettingsError("unusable key", where=variable, expected=f"{_BYTES} bytes as base64", found=found, next_step=next_step)
    return key
