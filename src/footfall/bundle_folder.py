"""A bundle's folder, held against its manifest, its sum and, where keys are given, its signature, before anything of it is parsed.

Every file is opened once and never through a link; what was hashed is what is handed on. Only the manifest itself is parsed here.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from footfall.bundle_files import FILES, OPTIONAL, QUERIES_FILE, fault, read_document
from footfall.contracts import CATALOGUE, EVENTS, QUERIES, VOCABULARY
from footfall.documents import Manifest
from footfall.manifest import MANIFEST, digest_of
from footfall.signing import MAX_BYTES, VerifyKeys, check_signature, sign
from footfall.tables import write_text

MANIFEST_SUM = "manifest.sha256"
_SIGNATURE = ".sig"
_SPOKEN = {contract.name: contract.version for contract in (EVENTS, CATALOGUE, VOCABULARY)}
_MANIFEST_BYTES = 1 << 20
_LARGE = 64 << 20
"""A file larger than this is hashed before it is held in memory: one that only claims to be large costs nothing."""


@dataclass(frozen=True)
class Verified:
    """What a bundle is, proven: sha256 of its manifest, the manifest, the bytes of every file that it lists."""

    digest: str
    manifest: Manifest
    files: dict[str, bytes]


def verified(folder: Path, verify_keys: VerifyKeys = ()) -> Verified:
    """Read a whole bundle and prove it. Nothing of it but the manifest has been parsed when this returns, and that only after its signature.

    Raises:
        BundleError: no signature by one of `verify_keys`; or a file is missing, too many, a link, no plain file, or not what the manifest says.
    """
    raw = _manifest_bytes(folder)
    if verify_keys:
        check_signature(raw, _signature_bytes(folder), verify_keys, where=signature_path(folder))
    digest = digest_of(raw)
    _check_sum(folder, digest)
    manifest = _manifest(folder, raw)
    return Verified(digest, manifest, _files(folder, manifest))


def signature_path(folder: Path) -> Path:
    """Where the signature of the bundle in `folder` lies: beside it, because nothing in a bundle may depend on itself."""
    return folder.with_name(folder.name + _SIGNATURE)


def sign_bundle(folder: Path, signing_key: bytes, digest: str) -> None:
    """Put a signature beside a bundle, once it is proven to be whole and the one that was meant.

    Args:
        folder: the bundle.
        signing_key: of whoever releases.
        digest: sha256 of the manifest of the bundle that was judged, or its beginning.

    Raises:
        BundleError: this is another bundle, or a damaged one.
    """
    found = verified(folder).digest
    raw = _manifest_bytes(folder)
    if not digest or not found.startswith(digest) or digest_of(raw) != found:
        raise fault("another bundle lies there", folder, expected=f"manifest with sha256 {digest}", found=f"sha256 {found}")
    write_text(signature_path(folder), sign(raw, signing_key))


def require_signature(folder: Path, verify_keys: VerifyKeys) -> None:
    """Hold the signature of the bundle in `folder` against its manifest, and look no further.

    Raises:
        SignatureError: it is not signed by one of these keys.
        BundleError: there is no bundle.
    """
    check_signature(_manifest_bytes(folder), _signature_bytes(folder), verify_keys, where=signature_path(folder))


def spoken(files: Collection[str]) -> dict[str, int]:
    """Contract versions of a bundle with these files."""
    return _SPOKEN | ({QUERIES.name: QUERIES.version} if QUERIES_FILE in files else {})


def _manifest_bytes(folder: Path) -> bytes:
    try:
        with _plain(folder / MANIFEST) as file:
            raw = file.read(_MANIFEST_BYTES + 1)
    except OSError as error:
        raise fault("no bundle here", folder, expected=f"a folder with {MANIFEST}", found=type(error).__name__) from error
    if len(raw) > _MANIFEST_BYTES:
        raise fault("manifest is too large", folder / MANIFEST, expected=f"at most {_MANIFEST_BYTES} bytes", found="more")
    return raw


def _signature_bytes(folder: Path) -> bytes | None:
    try:
        with _plain(signature_path(folder)) as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None


def _manifest(folder: Path, raw: bytes) -> Manifest:
    manifest = read_document(folder, MANIFEST, Manifest, raw)
    named = manifest.files if isinstance(manifest.files, dict) else {}
    if set(named) - set(OPTIONAL) != set(FILES):
        raise fault("manifest lists other files", folder / MANIFEST, expected=sorted(FILES), found=sorted(named))
    if manifest.contracts != spoken(named):
        raise fault(
            "bundle speaks another contract version",
            folder / MANIFEST,
            expected=spoken(named),
            found=manifest.contracts,
            next_step="use the code it was made with",
        )
    return manifest


def _check_sum(folder: Path, found: str) -> None:
    """Hold the manifest against its sum; bundles made before there was one have none."""
    try:
        with _plain(folder / MANIFEST_SUM) as file:
            stated = file.read(len(found) + 2)
    except FileNotFoundError:
        return
    if stated != f"{found}\n".encode():
        raise fault("bundle file is damaged", folder / MANIFEST, expected=f"the sha256 in {MANIFEST_SUM}", found=f"sha256 {found}")


def _files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """The bytes of every file, after comparing the folder with the manifest."""
    present = {path.name for path in folder.iterdir()}
    if extra := sorted(present - set(manifest.files) - {MANIFEST, MANIFEST_SUM}):
        raise fault("bundle holds a file that the manifest does not list", folder, expected=sorted(manifest.files), found=extra)
    return {name: _file(folder / name, str(digest)) for name, digest in sorted(manifest.files.items())}


def _file(path: Path, digest: str) -> bytes:
    raw, found = b"", None
    try:
        with _plain(path) as file:
            if os.fstat(file.fileno()).st_size > _LARGE:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
            if found in (None, digest):
                raw = file.read()
                found = digest_of(raw)
    except FileNotFoundError as error:
        raise fault("bundle lacks a file", path, expected=f"sha256 {digest}", found="nothing") from error
    if found != digest:
        raise fault("bundle file is damaged", path, expected=f"sha256 {digest}", found=f"sha256 {found}")
    return raw


def _plain(path: Path) -> BufferedReader:
    """Open a plain file, and neither follow a link nor wait for a pipe.

    Raises:
        BundleError: it is a link, a folder, a pipe or a device.
        OSError: it cannot be opened.
    """
    if path.is_symlink():
        raise fault("bundle holds a link", path, expected="plain files")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise fault("bundle holds a link", path, expected="plain files", found="something else")
    return file
