"""A workspace of a small shop: real raw batches, tables, arrays, weights and a bundle under DVC, whose stages copy what was made before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from flows.versions import repository, workspace
from footfall.contracts import CONTRACTS
from footfall.documents import Verdict
from footfall.params import Params
from footfall.paths import Paths
from footfall.sources import landing
from footfall.stages.bundle import make_bundle
from footfall.tables import read_parquet
from tests.unit.footfall.small_shop import make_shop, small_params, use_table_scorer

ROOT = Path(__file__).parents[3]
STAGES = {"events": "tables", "sequences": "sequences", "train": "weights", "habits": "habits", "bundle": "bundle"}
"""Each stage copies what the real one would make, and depends on the one before."""


def params() -> Params:
    """The numbers that the small shop was made with."""
    return small_params(ROOT)


def accept(paths: Paths, contract: str, batch_id: str, table: pa.Table) -> Path:
    """Land and accept a batch whole; returns its folder."""
    batch = landing.land(paths, contract, batch_id, table)
    return landing.accept(paths, batch, table, Verdict(batch_id, contract, "pass", table.num_rows, {}, []))


def make_workspace(folder: Path) -> Path:
    """A workspace below `folder` with three batches of events, one of items and one of users, reproduced, committed and tagged candidate/r1."""
    made = Paths(folder / "made")
    with pytest.MonkeyPatch.context() as patch:
        use_table_scorer(patch)
        make_shop(made.root, params())
        make_bundle(made, params())
    root = workspace.init(_checkout(folder / "checkout", made), folder / "workspace").root
    events = read_parquet(made.tables / "events.parquet")
    third = events.num_rows // 3 + 1
    for number in range(3):
        accept(Paths(root), "events", f"shop-2020-0{number + 1}", events.slice(number * third, third))
    for contract in ("catalogue", "users"):
        accept(Paths(root), contract, "shop-2020-05-31", CONTRACTS[contract].check(read_parquet(made.tables / f"{contract}.parquet")))
    retrain(root, "r1")
    return root


def retrain(root: Path, release_id: str) -> str:
    """What the retrain flow does between ingest and release; returns the commit."""
    repository.dvc_add_raw(root)
    repository.repro(root)
    commit = repository.commit_candidate(root, f"Train {release_id}")
    repository.tag(root, f"candidate/{release_id}")
    return commit


def _checkout(root: Path, made: Paths) -> Path:
    (root / ".dvc").mkdir(parents=True)
    (root / "reports").mkdir()
    (root / "reports" / "README.md").write_text("Small reports.")
    for name in ("params.yaml", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, root / name)
    stages, before = {}, "data/raw"
    for name, out in STAGES.items():
        source = made.root / "data" / out
        stages[name] = {"cmd": f"cp -r {source} data/{out}", "deps": [before], "params": ["data.as_of"], "outs": [f"data/{out}"]}
        before = f"data/{out}"
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root
