"""Stage `events`: accepted raw batches up to `as_of` -> canonical tables.

data/raw/<contract>/*/rows.parquet -> data/tables/{events,catalogue,users}.parquet
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import CATALOGUE, EVENTS, USERS, C, Contract
from footfall.errors import FootfallError, SourceError
from footfall.frames.engine import frame, run
from footfall.frames.events import canonical_events
from footfall.manifest import write_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.sources.landing import RESTORE, ROWS, check_batch, list_batches
from footfall.tables import read_parquet, write_parquet

_ROW = "row"


def make_tables(paths: Paths, params: Params) -> None:
    """Read every accepted batch and write the three canonical tables.

    Raises:
        SourceError: a batch's file is missing or damaged (it is named; nothing is written), or there are no batches.
        ContractError: a batch breaks its contract.
    """
    as_of = round(params.data.as_of.timestamp() * 1_000_000)
    events = clean(pa.concat_tables(read_raw(paths, EVENTS)), as_of)
    catalogue = latest_rows(CATALOGUE, read_raw(paths, CATALOGUE))
    users = latest_rows(USERS, read_raw(paths, USERS))
    users = users.filter(pc.less(users.column(C.FIRST_SEEN_AT), pa.scalar(params.data.as_of, users.schema.field(C.FIRST_SEEN_AT).type)))
    for contract, table in ((EVENTS, events), (CATALOGUE, catalogue), (USERS, users)):
        write_parquet(paths.tables / f"{contract.name}.parquet", table)
    write_manifest(paths.tables)


def clean(raw: pa.Table, as_of: int) -> pa.Table:
    """Canonical events among raw ones. The engine sees only what decides; the wide rows are then taken from Arrow."""
    narrow = raw.select([C.EVENT_ID, C.USER_ID, C.OCCURRED_AT, C.RECEIVED_AT, C.ORIGIN]).append_column(_ROW, pa.array(np.arange(raw.num_rows)))
    rows = run(canonical_events(frame(narrow), as_of).select(_ROW)).column(_ROW)
    return raw.combine_chunks().take(rows.combine_chunks())


def read_raw(paths: Paths, contract: Contract) -> list[pa.Table]:
    """The accepted batches of one contract, in the order of their ids.

    Raises:
        SourceError: none at all, or one that cannot be read.
    """
    folders = list_batches(paths, contract.name)
    if not folders:
        raise SourceError("no accepted batch", where=paths.raw / contract.name, expected="at least one batch", next_step="footfall ingest")
    tables = []
    for folder in folders:
        check_batch(folder)
        table = read_parquet(folder / ROWS, next_step=RESTORE)
        tables.append(contract.check(table.replace_schema_metadata(None), where=folder / ROWS))
    return tables


def latest_rows(contract: Contract, snapshots: list[pa.Table]) -> pa.Table:
    """One row a key, from the last snapshot that has it, in the contract's order."""
    table = pa.concat_tables(snapshots)
    number = pa.array(range(table.num_rows), pa.int64())
    (key,) = contract.key
    last = table.select([key]).append_column("number", number).group_by(key).aggregate([("number", "max")])
    return contract.sort(table.take(last.column("number_max"))).combine_chunks()


def main() -> int:
    """Run the stage below the current directory."""
    paths = Paths.here()
    try:
        make_tables(paths, load_params(paths.params))
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
