"""Stage `events`: accepted raw batches up to `as_of` -> canonical tables.

data/raw/<contract>/*/rows.parquet -> data/tables/{events,catalogue,users}.parquet
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CATALOGUE, EVENTS, USERS, C, Contract
from footfall.errors import SourceError
from footfall.frames.events import canonical_events
from footfall.manifest import MANIFEST, write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.sources.landing import RESTORE, ROWS, check_batch, list_batches
from footfall.stages.command import run_stage
from footfall.stages.opening import open_stage_engine, open_tables, read_table
from footfall.tables import replacing_folder, write_batches, write_parquet


def make_tables(paths: Paths, params: Params) -> None:
    """Read every accepted batch and write the three canonical tables. Events are never held in memory whole.

    Raises:
        SourceError: a batch's file is missing or damaged (it is named; nothing is written), or there are no batches.
        ContractError: a batch breaks its contract.
    """
    as_of = round(params.data.as_of.timestamp() * 1_000_000)
    checked = {contract: checked_batches(paths, contract) for contract in (EVENTS, CATALOGUE, USERS)}
    catalogue = latest_rows(CATALOGUE, [read_table(path, CATALOGUE, next_step=RESTORE) for path in checked[CATALOGUE]])
    users = latest_rows(USERS, [read_table(path, USERS, next_step=RESTORE) for path in checked[USERS]])
    users = users.filter(pc.less(users.column(C.FIRST_SEEN_AT), pa.scalar(params.data.as_of, users.schema.field(C.FIRST_SEEN_AT).type)))
    with replacing_folder(paths.tables) as folder, open_stage_engine(paths) as engine:
        events = canonical_events(open_tables(engine, checked[EVENTS], EVENTS, next_step=RESTORE), as_of)
        rows = (EVENTS.check(pa.Table.from_batches([batch])) for batch in engine.batches(events))
        write_batches(folder / f"{EVENTS.name}.parquet", EVENTS.schema, rows)
        for contract, table in ((CATALOGUE, catalogue), (USERS, users)):
            write_parquet(folder / f"{contract.name}.parquet", table)
        write_manifest(folder)


def checked_batches(paths: Paths, contract: Contract) -> dict[Path, bool]:
    """The rows' files of the accepted batches of one contract, in the order of their ids, and whether a manifest vouches for their bytes.

    Raises:
        SourceError: none at all, or one that is not what was accepted.
    """
    folders = list_batches(paths, contract.name)
    if not folders:
        raise SourceError("no accepted batch", where=paths.raw / contract.name, expected="at least one batch", next_step="footfall ingest")
    for folder in folders:
        check_batch(folder)
    return {folder / ROWS: (folder / MANIFEST).exists() for folder in folders}


def latest_rows(contract: Contract, snapshots: list[pa.Table]) -> pa.Table:
    """One row a key, from the last snapshot that has it, in the contract's order."""
    table = pa.concat_tables(snapshots)
    number = pa.array(range(table.num_rows), pa.int64())
    (key,) = contract.key
    last = table.select([key]).append_column("number", number).group_by(key).aggregate([("number", "max")])
    return contract.sort(table.take(last.column("number_max"))).combine_chunks()


if __name__ == "__main__":
    sys.exit(run_stage(make_tables))
