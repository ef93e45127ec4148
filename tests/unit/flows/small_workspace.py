"""A workspace in which twelve users are everywhere: raw batches, quarantine, a held batch, landing, two releases in DVC's cache and its remote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.versions import repository, workspace
from flows.versions.commands import git
from footfall.contracts import CATALOGUE, EVENTS, EXPOSURES, USERS, C, Contract
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym, write_key
from footfall.settings import Settings, load_settings
from footfall.sources import landing, quarantine
from footfall.store import Engine, consent, events, exposures

CHECKOUT = Path(__file__).parents[3]
KEY = b"key of the small workspace"
USERS_HERE = 12
SEPTEMBER, NOVEMBER = datetime(2017, 9, 1, tzinfo=UTC), datetime(2017, 11, 1, tzinfo=UTC)
MAKE = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from footfall.arrays.histories import write_sequences, write_users
from footfall.core.sequences import Sequences
from footfall.manifest import write_manifest
from footfall.tables import read_parquet, write_parquet

if sys.argv[1] == "tables":
    for name in ("events", "users"):
        whole = [read_parquet(path).replace_schema_metadata(None) for path in sorted(Path(f"data/raw/{name}").glob("*/rows.parquet"))]
        write_parquet(Path(f"data/tables/{name}.parquet"), pa.concat_tables(whole).sort_by("user_id"))
    write_manifest(Path("data/tables"))
else:
    events = read_parquet(Path("data/tables/events.parquet"))
    users = events.column("user_id").to_pylist()
    known = sorted(set(users))
    offsets = np.cumsum([0, *(users.count(user) for user in known)])
    moments = events.column("occurred_at").cast(pa.int64()).to_numpy()
    write_users(Path("data/sequences"), pa.array(known))
    write_sequences(Path("data/sequences"), Sequences(np.ones(len(users), np.int32), np.ones(len(users), np.int8), moments, offsets))
"""
DVC_YAML = f"""
stages:
  events:
    cmd: {sys.executable} make.py tables
    deps: [data/raw]
    params: [data.as_of]
    outs: [data/tables]
  sequences:
    cmd: {sys.executable} make.py sequences
    deps: [data/tables]
    outs: [data/sequences]
"""


def user(number: int) -> str:
    """The pseudonym of the shop's user `user-<number>`."""
    return pseudonym(f"user-{number}", KEY)


def event(name: str, number: int, days: float, **other: Any) -> dict[str, Any]:
    at = SEPTEMBER + timedelta(days=days)
    plain = {C.EVENT_ID: f"{name}-{number}", C.USER_ID: user(number), C.ITEM_ID: "i1", C.EVENT_TYPE: "view", C.OCCURRED_AT: at, C.RECEIVED_AT: at}
    return plain | {C.ORIGIN: "shop"} | other


def rows_of(name: str, days: float, users: int = USERS_HERE, **other: Any) -> list[dict[str, Any]]:
    return [event(name, number, days + number / 100, **other) for number in range(users)]


def table(rows: list[dict[str, Any]], contract: Contract = EVENTS) -> pa.Table:
    return contract.sort(pa.Table.from_pylist(rows, contract.schema))


def accept(paths: Paths, contract: Contract, batch_id: str, rows: list[dict[str, Any]], bad: list[dict[str, Any]] | None = None) -> None:
    """Land and accept a batch; `bad` rows of it go to quarantine."""
    batch = landing.land(paths, contract.name, batch_id, table(rows + (bad or []), contract))
    verdict = Verdict(batch_id, contract.name, "pass", len(rows) + len(bad or []), {"bad": len(bad)} if bad else {}, [])
    if bad:
        aside = table(bad, contract)
        quarantine.set_aside(paths, batch, aside.append_column(C.REASON, pa.array(["bad"] * len(bad))), verdict)
    landing.accept(paths, batch, table(rows, contract), verdict)


def make(folder: Path) -> Path:
    """Build it below `folder`; returns the workspace."""
    checkout = folder / "checkout"
    (checkout / ".dvc").mkdir(parents=True)
    (checkout / "reports").mkdir()
    (checkout / "reports" / "README.md").write_text("Small reports.")
    for name in ("params.yaml", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(CHECKOUT / name, checkout / name)
    (checkout / "dvc.yaml").write_text(DVC_YAML)
    (checkout / "make.py").write_text(MAKE)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=checkout, check=True)
    root = workspace.init(checkout, checkout / ".footfall" / "workspace").root
    paths = Paths(root)
    write_key(paths.key, KEY)
    item = {C.ITEM_ID: "i1", C.TITLE: "t", C.CATEGORY_PATH: "a", C.ATTRIBUTES: "{}", C.AVAILABLE: True, C.RECOMMENDABLE: True}
    accept(paths, CATALOGUE, "shop-2017-11-01", [item])
    accept(paths, USERS, "shop-2017-11-01", people())
    accept(paths, EVENTS, "shop-2017-09", rows_of("a", 1) + rows_of("b", 2), rows_of("bad", 3))
    accept(paths, EVENTS, "shop-2017-08", [event("early", 11, -20)])
    release(root, "r0")
    accept(paths, EVENTS, "shop-2017-10", rows_of("c", 31) + rows_of("d", 32))
    held = landing.land(paths, EVENTS.name, "shop-2017-11", table(rows_of("held", 62)))
    landing.hold(paths, held, Verdict("shop-2017-11", EVENTS.name, "hold", USERS_HERE, {}, []))
    landing.land(paths, EVENTS.name, "shop-2017-12", table(rows_of("landing", 92)))
    release(root, "r1")
    return root


def people() -> list[dict[str, Any]]:
    return [
        {C.USER_ID: user(number), C.ATTRIBUTES: "{}", C.CONSENT: '{"personalise": true}', C.FIRST_SEEN_AT: SEPTEMBER} for number in range(USERS_HERE)
    ]


def release(root: Path, name: str) -> None:
    """What a retrain leaves: data/raw under DVC, outputs, a commit, a tag, everything pushed."""
    repository.dvc_add_raw(root)
    repository.repro(root)
    repository.commit_candidate(root, f"Train {name}")
    repository.tag(root, f"release/{name}")
    repository.push(root)


def copy(template: Path, folder: Path) -> Path:
    """A workspace of one's own: nothing in it points at the template."""
    shutil.copytree(template.parents[1], folder / "checkout", symlinks=True)
    root = folder / "checkout" / ".footfall" / "workspace"
    workspace.use_cache(root, Paths(folder / "checkout").cache)
    git(root, "config", "--local", f"remote.{workspace.CHECKOUT_REMOTE}.url", str(folder / "checkout"))
    return root


def settings_of(root: Path, store_url: str) -> Settings:
    return replace(load_settings({"FOOTFALL_ROOT": str(root)}), store_url=store_url)


def fill_store(engine: Engine) -> None:
    """Everybody's events, slates and consent."""
    events.append(engine, table(rows_of("a", 1) + rows_of("b", 2) + rows_of("c", 31) + rows_of("d", 32)))
    consent.record(engine, table(people(), USERS))
    shown = {C.POSITION: 1, C.ITEM_ID: "i1", C.SCORE: 1.0, C.PROPENSITY: 1.0, C.POLICY: "p", C.REASON: "r", C.RELEASE: "r1", C.ARM: "champion"}
    rows = [shown | {C.REQUEST_ID: f"q{number}", C.USER_ID: user(number), C.SHOWN_AT: NOVEMBER} for number in range(USERS_HERE)]
    exposures.append(engine, table(rows, EXPOSURES))


def traces(root: Path, name: str) -> list[str]:
    """Files of the checkout, its cache, its remote and its workspace that hold a pseudonym, looked for without Footfall's own eyes."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(root.parents[1].rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if data.startswith(b"PAR1"):
                data = json.dumps(pq.read_table(pa.BufferReader(data)).to_pylist(), default=str).encode()
            if name.encode() in data:
                found.append(str(path.relative_to(root.parents[1])))
    grep = subprocess.run(["git", "rev-list", "--all"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    if subprocess.run(["git", "grep", "-q", name, *grep], cwd=root, check=False).returncode == 0:
        found.append("git history")
    return found
