"""One Prefect server for all flow tests: a real one, because automations need it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.environment import process_environment
from footfall.paths import Paths


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _healthy(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prefect server that this session started; flows of this process use it."""
    root = tmp_path_factory.mktemp("prefect")
    Paths(root).prefect_home.mkdir(parents=True)
    port = _free_port()
    api = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (root / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=process_environment(root, api), stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 120
            while not _healthy(api):
                assert server.poll() is None, (root / "server.log").read_text()
                assert time.monotonic() < deadline, "the Prefect server did not answer within two minutes"
                time.sleep(0.2)
            with temporary_settings({PREFECT_API_URL: api, PREFECT_HOME: Paths(root).prefect_home}):
                yield api
                APILogWorker.drain_all()  # what the runs still have to say goes to the server while it is there
                EventsWorker.drain_all()
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


@pytest.fixture
def root(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Path:
    """A root with nothing but this project's params that flows of this process work in."""
    shutil.copy(checkout / "params.yaml", tmp_path)
    monkeypatch.setenv("FOOTFALL_ROOT", str(tmp_path))
    return tmp_path
