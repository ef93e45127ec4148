"""Landing: where raw batches wait for the gate, and where the gate's word puts them.

    .footfall/landing/<contract>/<batch_id>/rows.parquet              candidate: written, not yet judged
    data/raw/<contract>/<batch_id>/{rows.parquet,receipt.json,manifest.json}        accepted: immutable
    data/quarantine/held/<contract>/<batch_id>/{rows.parquet,receipt.json,manifest.json}   the whole batch, held

Every move is a rename, so a kill at any moment leaves a batch either candidate or at its end; doing it again ends the same.
Each file remembers the digest of the batch as it was landed (Parquet metadata), so landing a batch twice is seen.
The receipt is the gate's VERDICT and holds no clock. The manifest holds the sha256 of both, and whoever reads a batch checks it first.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CONTRACTS, EVENTS, USERS, C, Contract
from footfall.documents import Verdict
from footfall.errors import ContractError, SourceError
from footfall.identifiers import mask_table
from footfall.manifest import CACHE, MANIFEST, check_manifest, write_manifest
from footfall.paths import Paths
from footfall.tables import read_parquet, read_schema, sync_folder, write_parquet, write_text

ROWS, RECEIPT = "rows.parquet", "receipt.json"
RESTORE = f"{CACHE}, or delete the batch folder and run footfall ingest again"
"""What mends a damaged batch."""
KNOWN_BY_ID = "known by its id"
"""In a digest's place: rows of the batch were erased, and what it was landed with cannot be told any more."""
_DIGEST = b"footfall.landed"
_MASKED: dict[str, dict[str, tuple[str, ...]]] = {
    EVENTS.name: {"texts": (C.QUERY, C.TEXT), "labels": (C.PLACE, C.DEVICE)},
    USERS.name: {"attributes": (C.ATTRIBUTES,)},
}
"""Columns in which people write, by contract. The catalogue is the shop's own word and stays."""
_SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Batch:
    """One batch on its way.

    Attributes:
        path: its candidate folder.
        landed: the very same rows were accepted before.
        masked: direct identifiers that were masked on landing, by kind.
    """

    contract: str
    batch_id: str
    origin: str
    path: Path
    landed: bool = False
    masked: Mapping[str, int] = field(default_factory=dict)


def land(paths: Paths, contract_name: str, batch_id: str, table: pa.Table, *, origin: str | None = None) -> Batch:
    """Write `table` as a candidate batch, in its contract's order, direct identifiers masked.

    Args:
        origin: the source's name; by default the part of `batch_id` before the first hyphen.

    Raises:
        ContractError: the table breaks its contract's shape.
        SourceError: the batch was accepted before with other rows, or its id is no safe file name.
    """
    contract = _contract(contract_name)
    check_id(batch_id)
    given = contract.sort(contract.check(table, where=f"batch {batch_id}"))
    table, masked = mask_table(given, **_MASKED.get(contract_name, {}))
    digest = content_digest(table)
    path = paths.landing / contract_name / batch_id
    batch = Batch(contract_name, batch_id, origin or batch_id.split("-", 1)[0], path, masked=masked)
    accepted = paths.raw / contract_name / batch_id / ROWS
    if accepted.exists():
        unmasked = content_digest(given) if masked else digest  # as a version that masked nothing would have noted it
        if landed_digest(accepted) in (digest, unmasked, KNOWN_BY_ID):
            return Batch(batch.contract, batch.batch_id, batch.origin, accepted.parent, landed=True)
        raise SourceError(
            "batch was accepted before with other rows",
            where=accepted,
            expected="the same rows, or a batch id of its own",
            next_step="land it as another batch",
        )
    write_parquet(path / ROWS, _with_digest(table, digest), sealed=True)
    return batch


def read_candidate(batch: Batch) -> pa.Table:
    """The rows of a landed batch."""
    return _contract(batch.contract).check(read_parquet(batch.path / ROWS, next_step="land the batch again"), where=batch.path)


def accept(paths: Paths, batch: Batch, good: pa.Table, verdict: Verdict) -> Path:
    """Move a batch into data/raw with its receipt; earlier holds of it are lifted. Returns its folder."""
    final = paths.raw / batch.contract / batch.batch_id
    if not final.exists():
        _publish(batch, good, verdict, final)
    shutil.rmtree(paths.quarantine / "held" / batch.contract / batch.batch_id, ignore_errors=True)
    return final


def hold(paths: Paths, batch: Batch, verdict: Verdict) -> Path:
    """Keep the whole batch aside with its receipt: nothing of it goes on. Returns its folder."""
    final = paths.quarantine / "held" / batch.contract / batch.batch_id
    rows = read_candidate(batch)
    shutil.rmtree(final, ignore_errors=True)
    _publish(batch, rows, verdict, final)
    return final


def _publish(batch: Batch, rows: pa.Table, verdict: Verdict, final: Path) -> None:
    """Make the end folder beside the candidate, then rename it to its place: it appears whole or not at all."""
    made = batch.path.with_name(f".{batch.batch_id}.made")
    shutil.rmtree(made, ignore_errors=True)
    digest = landed_digest(batch.path / ROWS)
    try:
        write_batch(made, batch.contract, rows, verdict, digest)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    final.parent.mkdir(parents=True, exist_ok=True)
    made.rename(final)
    sync_folder(final.parent)
    shutil.rmtree(batch.path)


def write_batch(folder: Path, contract_name: str, rows: pa.Table, verdict: Verdict, digest: str) -> None:
    """Write a batch's files into a folder that nobody reads yet.

    Args:
        folder: where; what else lies there gets into the manifest too.
        contract_name: the rows' contract.
        rows: what is left of the batch.
        verdict: its receipt.
        digest: what `land` will compare when the same batch comes again: `content_digest` of all its rows, or `KNOWN_BY_ID`.
    """
    contract = _contract(contract_name)
    rows = contract.sort(contract.check(rows, where=folder))
    write_parquet(folder / ROWS, _with_digest(rows, digest), sealed=True)
    write_text(folder / RECEIPT, verdict.to_json())
    write_manifest(folder)


def list_batches(paths: Paths, contract_name: str) -> list[Path]:
    """Folders of the accepted batches of one contract, in the order of their ids."""
    return sorted(folder for folder in (paths.raw / contract_name).glob("*") if (folder / ROWS).exists() or (folder / RECEIPT).exists())


def check_batch(folder: Path, names: Iterable[str] | None = None) -> None:
    """Hold a batch's files (default: all of them) against its manifest, before any of them is used.

    A batch that was accepted before manifests existed has none and passes; the next ingest gives it one (`complete`).

    Raises:
        SourceError: a file is missing, unexpected, or not what was accepted.
    """
    if (folder / MANIFEST).exists() or {path.name for path in folder.iterdir()} != {ROWS, RECEIPT}:
        check_manifest(folder, names, next_step=RESTORE)


def complete(paths: Paths) -> list[Path]:
    """Give every accepted batch from before manifests its own, once its rows (by their page checksums) and its receipt have been read whole.

    One that cannot be read gets none: whoever reads it next names it, and no other batch has to wait for that.
    """
    done = []
    for folder in sorted(path.parent for path in paths.raw.glob(f"*/*/{ROWS}") if not (path.parent / MANIFEST).exists()):
        try:
            read_receipt(folder)
            read_parquet(folder / ROWS, next_step=RESTORE)
        except (SourceError, ContractError):
            continue
        write_manifest(folder)
        done.append(folder)
    return done


def list_held(paths: Paths) -> list[Verdict]:
    """Receipts of all held batches."""
    receipts = sorted((paths.quarantine / "held").glob(f"*/*/{RECEIPT}"))
    return [Verdict.from_json(path.read_text(encoding="utf-8"), where=path) for path in receipts]


def read_receipt(folder: Path) -> Verdict:
    """The receipt of an accepted or held batch."""
    path = folder / RECEIPT
    if not path.exists():
        raise SourceError("batch has no receipt", where=path, next_step=RESTORE)
    check_batch(folder, [RECEIPT])
    return Verdict.from_json(path.read_text(encoding="utf-8"), where=path)


def known_items(paths: Paths) -> list[str]:
    """Ids of all items in the accepted catalogue batches, sorted: what the gate holds events against."""
    items: set[str] = set()
    for folder in list_batches(paths, "catalogue"):
        check_batch(folder)
        items.update(read_parquet(folder / ROWS, (C.ITEM_ID,), next_step=RESTORE).column(C.ITEM_ID).to_pylist())
    return sorted(items)


def content_digest(table: pa.Table) -> str:
    """sha256 of a table's values: not of a file, so that another Parquet or Arrow version gives the same."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        digest.update(f"{name}\0{array.type}\0{len(array)}\0".encode())
        digest.update(np.packbits(array.is_null().to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_string(array.type):
            filled = pc.fill_null(array, "")
            digest.update(pc.binary_length(filled).to_numpy().tobytes())
            digest.update("".join(filled.to_pylist()).encode())
        elif pa.types.is_timestamp(array.type):
            digest.update(pc.fill_null(array.cast(pa.int64()), 0).to_numpy().tobytes())
        else:
            digest.update(pc.fill_null(array, False if pa.types.is_boolean(array.type) else 0).to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


def _with_digest(table: pa.Table, digest: str) -> pa.Table:
    return table.replace_schema_metadata({_DIGEST: digest.encode()})


def landed_digest(path: Path) -> str:
    """`content_digest` of a batch as it was landed, before the gate took rows out of it, or `KNOWN_BY_ID`; empty without any."""
    metadata = read_schema(path, next_step=RESTORE).metadata or {}
    digest: bytes = metadata.get(_DIGEST, b"")
    return digest.decode()


def _contract(name: str) -> Contract:
    if name not in CONTRACTS:
        raise SourceError("unknown contract", where="landing", expected=", ".join(CONTRACTS), found=name)
    return CONTRACTS[name]


def check_id(batch_id: str) -> None:
    """Refuse a batch id that is no safe file name."""
    if not _SAFE.fullmatch(batch_id) or ".." in batch_id:
        raise SourceError("batch id is no safe file name", where="landing", expected=_SAFE.pattern, found=repr(batch_id))
