"""Erased users leave the files: quarantine, held batches, candidates, raw batches and the stages' tables.

Each function removes the rows of everybody in `erased` from one place, or with `remove=False` only counts them, and can be run again after
a kill at any moment. The caller holds the ingest lease. Counts are rows by subject.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from footfall.arrays.histories import read_sequences
from footfall.contracts import CONTRACTS, C
from footfall.documents import Verdict
from footfall.manifest import MANIFEST, write_manifest
from footfall.paths import Paths
from footfall.sources import landing, quarantine
from footfall.sources.erased import ASKED, PEOPLE, Erased
from footfall.sources.replacing import replacing
from footfall.tables import read_parquet, read_schema, write_parquet

RULE = "erased"
"""In a receipt's checks: how many rows of the batch have been erased since it was accepted."""

Counts = Counter[str]


def from_quarantine(paths: Paths, erased: Erased, *, remove: bool = True) -> Counts:
    """Bad rows that were put aside one by one. Do this after `from_raw`, which needs them to know what its batches were landed with."""
    total = Counts()
    for batch in quarantine.list_all(paths):
        gone = count(batch.path, erased)
        total += gone
        if gone and remove:
            bad, _ = erased.split(read_parquet(batch.path))
            if bad.num_rows:
                write_parquet(batch.path, bad, sealed=True)
            else:
                batch.path.unlink()
    return total


def from_held(paths: Paths, erased: Erased, *, remove: bool = True) -> Counts:
    """Batches that were held whole."""
    return _from_folders(paths, sorted((paths.quarantine / "held").glob("*/*")), erased, remove=remove)


def from_raw(paths: Paths, erased: Erased, *, remove: bool = True) -> Counts:
    """Accepted batches: rewritten without the rows, with a note in the receipt and a digest by which the same batch is known when it comes again."""
    return _from_folders(paths, sorted(paths.raw.glob("*/*")), erased, remove=remove)


def from_landing(paths: Paths, erased: Erased, *, remove: bool = True) -> Counts:
    """Candidates between landing and the gate: nobody works on one now, so it is dropped whole and the next ingest lands it again."""
    total = Counts()
    for rows in sorted(paths.landing.glob(f"*/*/{landing.ROWS}")):
        gone = count(rows, erased)
        total += gone
        if gone and remove:
            shutil.rmtree(rows.parent)
    if remove:
        drop_halves(paths)
    return total


def from_tables(paths: Paths, erased: Erased, *, remove: bool = True) -> Counts:
    """The canonical tables that lie here: rewritten; DVC makes them anew when it next looks."""
    found, total = {}, Counts()
    for path in sorted(paths.tables.glob("*.parquet")):
        gone = count(path, erased)
        total += gone
        if gone:
            found[path.name] = erased.split(read_parquet(path))[0]
    if found and remove:
        with replacing(paths, paths.tables) as new:
            for name, kept in found.items():
                write_parquet(new / name, kept)
            if (new / MANIFEST).exists():
                write_manifest(new)
    return total


def from_sequences(paths: Paths, erased: Erased, *, remove: bool = True) -> Counts:
    """The arrays that lie here: dropped whole, because every user's place in them depends on all others; DVC makes them anew."""
    total = in_sequences(paths.sequences, erased)
    if total and remove:
        with replacing(paths, paths.sequences) as new:
            shutil.rmtree(new)
            new.mkdir()
    return total


def in_sequences(folder: Path, erased: Erased) -> Counts:
    """Erased moments in a folder of arrays; a damaged folder counts for whoever stands in its list of users."""
    if not (folder / "users.parquet").exists():
        return Counts()
    users = read_parquet(folder / "users.parquet", (C.USER_ID,)).column(C.USER_ID).combine_chunks()
    found = Counts()
    for user, subject in erased.among(users).items():
        row = users.index(user).as_py()
        sequences = read_sequences(folder)
        moments = sequences.occurred_at[sequences.offsets[row] : sequences.offsets[row + 1]]
        found[subject] += int((moments <= erased.until[subject]).sum())
    return +found


def drop_halves(paths: Paths) -> None:
    """Remove what a killed process left half-written: hidden files and folders, which no reader looks at but which hold rows."""
    found = [*paths.tables.glob(".*"), *paths.sequences.glob(".*")]
    for place in (paths.landing, paths.raw, paths.quarantine / "held", paths.quarantine / "rows"):
        found += [*place.glob("*/.*"), *place.glob("*/*/.*")]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _from_folders(paths: Paths, folders: list[Path], erased: Erased, *, remove: bool) -> Counts:
    total = Counts()
    for folder in folders:
        if (folder / landing.ROWS).exists():
            gone = count(folder / landing.ROWS, erased)
            total += gone
            if remove:
                _rewrite(paths, folder, erased, gone)
    return total


def _rewrite(paths: Paths, folder: Path, erased: Erased, gone: Counts) -> None:
    """Replace one batch by what is left of it, unless nothing of it, nor of its rows in quarantine, is erased."""
    contract, aside_path = folder.parent.name, paths.quarantine / "rows" / folder.parent.name / f"{folder.name}.parquet"
    aside = read_parquet(aside_path) if folder.is_relative_to(paths.raw) and aside_path.exists() else None
    left_aside, gone_aside = (None, Counts()) if aside is None else erased.split(aside)
    if not gone and not gone_aside:
        return
    landing.check_batch(folder)
    rows = read_parquet(folder / landing.ROWS, next_step=landing.RESTORE)
    kept, _ = erased.split(rows)
    landed, after = landing.landed_digest(folder / landing.ROWS), _digest(contract, kept, left_aside)
    if not gone and landed in (after, landing.KNOWN_BY_ID):
        return  # a killed erasure came as far as here, and the quarantine waits
    digest = after if landed == _digest(contract, rows, aside) else landing.KNOWN_BY_ID
    verdict = _noted(landing.read_receipt(folder), erased, gone + gone_aside, aside, left_aside)
    with replacing(paths, folder) as new:
        landing.write_batch(new, contract, kept, verdict, digest)
    (paths.data_reports / contract / f"{folder.name}.html").unlink(missing_ok=True)


def _digest(contract: str, rows: pa.Table, aside: pa.Table | None) -> str:
    """What all rows of a batch, good and bad, would be landed with."""
    whole = [rows.replace_schema_metadata(None)]
    if aside is not None:
        whole.append(aside.drop_columns([C.REASON]).replace_schema_metadata(None))
    known = CONTRACTS[contract]
    return landing.content_digest(known.sort(pa.concat_tables([known.check(table) for table in whole])))


def _noted(verdict: Verdict, erased: Erased, gone: Counts, aside: pa.Table | None, left_aside: pa.Table | None) -> Verdict:
    """The receipt with a note a subject; samples of rows leave it, because they may be of erased ones."""
    reasons = Counter(verdict.quarantined)
    if aside is not None and left_aside is not None:
        reasons -= Counter(aside.column(C.REASON).to_pylist()) - Counter(left_aside.column(C.REASON).to_pylist())
    said = {"rule": RULE, "severity": "row", "ok": True, "expected": "rows of erased users are gone", "error": None}
    notes = [{**said, "observed": f"{rows} rows by erasure {erased.name(subject)}"} for subject, rows in sorted(gone.items())]
    noted = replace(verdict, rows=verdict.rows - gone.total(), quarantined=dict(sorted(reasons.items())), checks=[*verdict.checks, *notes])
    return noted.without_samples()


def count(path: Path, erased: Erased) -> Counts:
    """Erased rows of one file; only the columns that say so are read."""
    if not erased:
        return Counts()
    names = [name for name in read_schema(path).names if name in ASKED]
    return erased.split(read_parquet(path, names))[1] if set(names) & set(PEOPLE) else Counts()
