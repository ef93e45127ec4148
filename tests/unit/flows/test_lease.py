"""The retrain lease, held by real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.lease import lease, lease_is_held, read_lease
from footfall.errors import BusyError

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from flows.lease import lease
with lease(Path(sys.argv[1]), 'test'):
    print('held', flush=True)
    time.sleep(60)
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "retrain.lease"
    with _holder(path) as process:
        with pytest.raises(BusyError, match='"purpose": "test"'), lease(path, "second"):
            pass
        process.kill()


def test_what_holds_the_lease_may_ask_for_it_again(tmp_path: Path) -> None:
    path = tmp_path / "retrain.lease"
    with lease(path, "retrain to 2017-11-26") as outer:
        with lease(path, "its release") as inner:
            assert inner == outer
        assert lease_is_held(path)
        note = read_lease(path)
        assert note is not None
        assert note["purpose"] == "retrain to 2017-11-26"
    assert not lease_is_held(path)


def test_a_killed_holder_frees_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "retrain.lease"
    with _holder(path) as process:
        assert lease_is_held(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with lease(path, "after"):
            pass


def test_a_guarded_command_dies_with_its_asker(tmp_path: Path) -> None:
    flag = tmp_path / "alive"
    command = f"while true; do touch {flag}; sleep 0.05; done"
    asker = subprocess.Popen([sys.executable, str(ROOT / "flows" / "versions" / "guard.py"), "sh", "-c", command], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while not flag.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert flag.exists()
    assert asker.stdin is not None
    asker.stdin.close()  # what the kernel does when the asking process dies
    assert asker.wait(timeout=10) == 128 + signal.SIGTERM
    flag.unlink()
    time.sleep(0.3)
    assert not flag.exists()


def test_a_guarded_command_gives_its_own_exit_status() -> None:
    with subprocess.Popen([sys.executable, str(ROOT / "flows" / "versions" / "guard.py"), "sh", "-c", "exit 7"], stdin=subprocess.PIPE) as asker:
        assert asker.wait(timeout=30) == 7  # with its input still open: a closed one means that the asker is gone
