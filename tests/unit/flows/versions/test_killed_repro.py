"""kill -9 anywhere between `dvc add` and the commit: the next run ends without a hand step, and no record names half an output."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import yaml

from flows.environment import process_environment
from flows.versions import cache, leftovers, repository, workspace
from flows.versions.commands import dvc, git
from footfall.paths import Paths
from tests.trials import Trial

ROOT = Path(__file__).parents[4]
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
STAGES = ("tables", "sequences", "weights")
RETRAIN = """
import sys
from datetime import datetime
from pathlib import Path
from flows.versions import repository
root, as_of = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
repository.tidy(root)
repository.dvc_add_raw(root)
repository.set_as_of(root, as_of)
repository.repro(root)
repository.commit_candidate(root, f"Train to {as_of:%Y-%m-%d}")
repository.tag(root, f"candidate/{as_of:%Y-%m-%d}")
"""
"""What the retrain flow does to git and DVC, in its order; the flow adds the lease and the release."""
STAGE = """
import hashlib, sys, time
from pathlib import Path
before, out = Path(sys.argv[1]), Path(sys.argv[2])
seed = hashlib.sha256(Path("params.yaml").read_bytes())
for path in sorted(before.rglob("*")):
    if path.is_file():
        seed.update(path.read_bytes())
out.mkdir(parents=True)
for number in range(4):
    with (out / f"{number}.bin").open("wb") as file:
        for part in range(8):  # slowly and in place, so that a kill finds half of it
            seed.update(b"more")
            file.write(seed.digest() * 512)
            file.flush()
            time.sleep(0.004)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with three stages that write in place, and one batch."""
    checkout = tmp_path / "checkout"
    (checkout / ".dvc").mkdir(parents=True)
    (checkout / "reports").mkdir()
    (checkout / "reports" / "README.md").write_text("Small reports.")
    for name in ("params.yaml", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, checkout / name)
    (checkout / "stage.py").write_text(STAGE)
    stages, before = {}, "data/raw"
    for name in STAGES:
        command = f"{sys.executable} stage.py {before} data/{name}"
        stages[name] = {"cmd": command, "deps": [before], "params": ["data.as_of"], "outs": [f"data/{name}"]}
        before = f"data/{name}"
    (checkout / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=checkout, check=True)
    return workspace.init(checkout, tmp_path / "workspace").root


def start(root: Path, as_of: datetime) -> subprocess.Popen[bytes]:
    """A retrain as a process of its own; a batch more each time, as an ingest before it would land."""
    batch = Paths(root).raw / "events" / f"shop-{as_of:%Y-%m-%d}"
    batch.mkdir(parents=True, exist_ok=True)
    (batch / "rows").write_text(as_of.isoformat())
    command, environment = [sys.executable, "-c", RETRAIN, str(root), as_of.isoformat()], process_environment(ROOT)
    with (root.parent / "said.txt").open("w") as said:
        return subprocess.Popen(command, env=environment, stdout=said, stderr=said)


def kill(process: subprocess.Popen[bytes], *, everything: bool) -> None:
    """kill -9: of all processes at once, as when the machine stops, or of the asker alone, whose guard then ends DVC; wait until all are gone."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for one in family if everything else []:
        try:
            one.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(family, timeout=30)


def half_outputs(root: Path) -> list[str]:
    """Outputs that dvc.lock or data/raw.dvc name and of which neither the cache nor the workspace has a whole copy."""
    folder, half = cache.cache_folder(root), []
    for name, (digest, _) in cache.recorded(root).items():
        files = cache.listing(folder, digest)
        if files is None:
            half.append(name)
            continue
        for relative, md5 in files.items():
            stored, placed = cache.object_path(folder, md5), root / name / relative
            if not (stored.exists() and cache.is_whole(stored)) and not (placed.exists() and cache.md5_of(placed) == md5):
                half.append(f"{name}/{relative}")
    return half


@pytest.mark.trial
def test_after_a_kill_the_next_run_ends_by_itself_and_no_record_names_half_an_output(root: Path, trial: Trial) -> None:
    draw, kills = random.Random(8), trial.count(small=1, stated=30)
    began = time.monotonic()
    assert start(root, BEGIN).wait() == 0
    duration = time.monotonic() - began
    number = torn = died = stale = 0
    while died < kills:
        number += 1
        as_of, head = BEGIN + timedelta(days=number), repository.revision(root)
        process = start(root, as_of)
        time.sleep(draw.uniform(0.1, 0.95) * duration)
        if process.poll() is None:
            died += 1
            kill(process, everything=bool(number % 2))
        try:
            assert half_outputs(root) == []
        except yaml.YAMLError:
            torn += 1  # dvc.lock itself was half-written: it names nothing then
        stale += len(leftovers.stale_locks(root))
        again = start(root, as_of)
        assert again.wait() == 0, (root.parent / "said.txt").read_text()
        assert half_outputs(root) == []
        assert repository.is_clean(root)
        assert git(root, "rev-list", "-n1", f"candidate/{as_of:%Y-%m-%d}") != head
        assert all((root / "data" / name / "3.bin").stat().st_size == 8 * 512 * 32 for name in STAGES)
    trial.note(kills=died, locks_torn=torn, lock_files_left=stale, hand_steps=0, half_outputs=0, seconds_of_a_run=round(duration, 1))
    assert "up to date" in dvc(root, "status")[-1]


@pytest.mark.parametrize("content", ["", '{"write": {', '{"write": {"data/raw": {"pid": PID, "cmd": "dvc repro"}}}'], ids=["empty", "torn", "reused"])
def test_a_note_of_dvc_s_locks_that_a_kill_left_stops_nobody(root: Path, content: str) -> None:
    """DVC refuses a torn note for ever, and believes one whose process id another program has got since."""
    note = root / ".dvc" / "tmp" / "rwlock"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(content.replace("PID", str(os.getpid())).replace("data/raw", str(root / "data" / "raw")))

    assert repository.tidy(root)

    (Paths(root).raw / "events").mkdir(parents=True)
    (Paths(root).raw / "events" / "rows").write_text("1")
    repository.dvc_add_raw(root)


def test_a_lock_of_git_s_that_a_kill_left_stops_nobody_but_a_living_one_is_left(root: Path) -> None:
    lock = root / ".git" / "index.lock"
    lock.touch()
    living = subprocess.Popen(["git", "cat-file", "--batch"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert leftovers.sweep(root) == []
    assert living.stdin
    living.stdin.close()
    living.wait()

    assert leftovers.sweep(root) == [lock]
    (root / "reports" / "new.json").write_text(json.dumps({}))
    repository.commit_candidate(root, "Commit")
    assert repository.is_clean(root)
