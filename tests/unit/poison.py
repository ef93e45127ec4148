"""Bundles as an attacker would leave them: each function spoils the one in `folder`, and would write `canary` if any of it were run or unpacked."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save, save_file

from footfall.bundle_files import BASELINES, CONFIG, FUSION, VOCABULARY_FILE, WEIGHTS
from footfall.bundle_folder import MANIFEST_SUM
from footfall.manifest import MANIFEST, file_digest

Poison = Callable[[Path, Path], None]


def reseal(folder: Path, **changes: Any) -> None:
    """Write the digests anew, as someone would who made a wrong bundle on purpose."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {name: file_digest(folder / name) for name in manifest["files"] if (folder / name).is_file()} | changes
    (folder / MANIFEST).write_text(json.dumps(manifest))
    (folder / MANIFEST_SUM).write_text(file_digest(folder / MANIFEST) + "\n")


class Gadget:
    """Writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def _replace(name: str, make: Callable[[Path, Path], bytes], *, sealed: bool = True) -> Poison:
    def poison(folder: Path, canary: Path) -> None:
        raw = make(folder / name, canary)
        (folder / name).unlink()
        (folder / name).write_bytes(raw)
        if sealed:
            reseal(folder)

    return poison


def _flip(path: Path, _: Path) -> bytes:
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    return bytes(raw)


def _gadget(_: Path, canary: Path) -> bytes:
    return pickle.dumps(Gadget(canary))


def _zip(_: Path, canary: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for depth in range(1, 6):
            archive.writestr("../" * depth + canary.name, "x")
    return out.getvalue()


def _header(text: str, *, length: int | None = None, body: bytes = b"") -> Callable[[Path, Path], bytes]:
    return lambda _path, _canary: struct.pack("<Q", len(text) if length is None else length) + text.encode() + body


def bomb(word: str, rows: int, times: int) -> Callable[[Path, Path], bytes]:
    """A vocabulary of one word in each of `rows * times` rows: next to nothing as a file."""

    def make(_path: Path, _canary: Path) -> bytes:
        out = io.BytesIO()
        schema = pa.schema([("item_index", pa.int32()), ("item_id", pa.dictionary(pa.int32(), pa.string()))])
        ids = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [word])
        part = pa.table({"item_index": np.full(rows, 1, np.int32), "item_id": ids}, schema)
        with pq.ParquetWriter(out, schema, compression="zstd", store_schema=False) as writer:
            for _ in range(times):
                writer.write_table(part)
        return out.getvalue()

    return make


def _other_type(path: Path, _: Path) -> bytes:
    return save({name: array.astype(np.float64) for name, array in load_file(path).items()})


def _nan(path: Path, _: Path) -> bytes:
    arrays = load_file(path)
    next(iter(arrays.values())).flat[0] = np.nan
    return save(arrays)


def _other_shape(folder: Path, _: Path) -> None:
    arrays = load_file(folder / BASELINES)
    save_file(arrays | {"popularity": np.zeros(len(arrays["popularity"]) + 1)}, folder / BASELINES)
    reseal(folder)


def _link(folder: Path, canary: Path) -> None:
    (folder / WEIGHTS).rename(canary.parent / "elsewhere")
    (folder / WEIGHTS).symlink_to(canary.parent / "elsewhere")


def _linked_manifest(folder: Path, canary: Path) -> None:
    (folder / MANIFEST).rename(canary.parent / "manifest elsewhere")
    (folder / MANIFEST).symlink_to(canary.parent / "manifest elsewhere")


def _hard_link_changed_from_outside(folder: Path, canary: Path) -> None:
    outside = canary.parent / "outside"
    outside.hardlink_to(folder / WEIGHTS)
    with outside.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\x7f\x7f")


def _pipe(folder: Path, _: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def _extra(folder: Path, canary: Path) -> None:
    (folder / "sitecustomize.py").write_text(f"open({str(canary)!r}, 'w')")


def _extra_folder(folder: Path, canary: Path) -> None:
    (folder / "__pycache__").mkdir()


def _missing(folder: Path, _: Path) -> None:
    (folder / FUSION).unlink()


def _wrong_hash(folder: Path, _: Path) -> None:
    reseal(folder, **{CONFIG: "0" * 64})


def _climbing_name(folder: Path, canary: Path) -> None:
    (canary.parent / "loot").write_text("x")
    reseal(folder, **{"../loot": file_digest(canary.parent / "loot")})


def _sparse(folder: Path, _: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(200 << 20)


def _huge_manifest(folder: Path, _: Path) -> None:
    with (folder / MANIFEST).open("ab") as file:
        file.write(b" " * (1 << 20))
    (folder / MANIFEST_SUM).write_text(file_digest(folder / MANIFEST) + "\n")


def _strange_manifest(folder: Path, _: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text()) | {"files": 5}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    (folder / MANIFEST_SUM).write_text(file_digest(folder / MANIFEST) + "\n")


def _config(**changes: Any) -> Poison:
    def make(path: Path, _: Path) -> bytes:
        return json.dumps(json.loads(path.read_text()) | changes).encode()

    return _replace(CONFIG, make)


def _fusion(field: str, value: object) -> Poison:
    def make(path: Path, _: Path) -> bytes:
        return json.dumps(json.loads(path.read_text()) | {field: value}).encode()

    return _replace(FUSION, make)


_OVERFLOW = json.dumps({"logits": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}})
_OVERLAP = json.dumps({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in ("logits", "item.weight")})

POISONS: dict[str, Poison] = {
    **{f"a flipped byte in {name}": _replace(name, _flip, sealed=False) for name in (CONFIG, WEIGHTS, VOCABULARY_FILE, BASELINES, FUSION)},
    "a flipped byte in the manifest": _replace(MANIFEST, _flip, sealed=False),
    "a flipped byte in the manifest's sum": _replace(MANIFEST_SUM, _flip, sealed=False),
    **{f"a pickle gadget as {name}": _replace(name, _gadget) for name in (CONFIG, WEIGHTS, VOCABULARY_FILE, BASELINES, FUSION)},
    "a pickle gadget as the manifest": _replace(MANIFEST, _gadget, sealed=False),
    "an archive that climbs": _replace(WEIGHTS, _zip),
    "a manifest that climbs": _climbing_name,
    "a link": _link,
    "a linked manifest": _linked_manifest,
    "a hard link changed from outside": _hard_link_changed_from_outside,
    "a pipe": _pipe,
    "a header of 2^63 bytes": _replace(WEIGHTS, _header("{}", length=1 << 63)),
    "a header of 16 MiB": _replace(WEIGHTS, _header('{"__metadata__": {"x": "' + "y" * (16 << 20) + '"}}')),
    "an array of 2^80 numbers": _replace(WEIGHTS, _header(_OVERFLOW, body=bytes(8))),
    "arrays on top of each other": _replace(WEIGHTS, _header(_OVERLAP, body=bytes(8))),
    "a wrong hash": _wrong_hash,
    "a wrong shape": _other_shape,
    "a wrong type": _replace(WEIGHTS, _other_type),
    "a NaN": _replace(WEIGHTS, _nan),
    "an extra file": _extra,
    "an extra folder": _extra_folder,
    "a missing file": _missing,
    "a truncated file": _replace(WEIGHTS, lambda path, _: path.read_bytes()[:-10], sealed=False),
    "a truncated file with the right hash": _replace(WEIGHTS, lambda path, _: path.read_bytes()[:-10]),
    "a file that claims 200 MiB": _sparse,
    "a manifest of a mebibyte": _huge_manifest,
    "a manifest that lists a number": _strange_manifest,
    "a word of 64 KiB in a hundred thousand rows": _replace(VOCABULARY_FILE, bomb("x" * 65536, 1000, 100)),
    "a table of 17 million rows": _replace(VOCABULARY_FILE, bomb("x", 1 << 20, 17)),
    "a configuration nested too deep": _replace(CONFIG, lambda _path, _canary: b"[" * 100_000),
    "a configuration with a number too long": _replace(CONFIG, lambda _path, _canary: b'{"items": ' + b"9" * 10_000 + b"}"),
    "fusion nested too deep": _replace(FUSION, lambda _path, _canary: b"[" * 100_000),
    "fusion weights that are a list": _fusion("weights", [1]),
    "a half-life that is text": _fusion("half_life_days", "90"),
    "a temperature of nothing": _fusion("temperature", 0),
}
"""What is wrong with a bundle, by its name. All are refused whether or not signatures are asked for."""


def copy_bundle(source: Path, folder: Path) -> Path:
    """A bundle and its signature, to be spoiled."""
    shutil.copytree(source, folder)
    signature = source.with_name(source.name + ".sig")
    if signature.exists():
        shutil.copy(signature, folder.with_name(folder.name + ".sig"))
    return folder
