"""Starting, asking and ending the serving process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from footfall.settings import TELEMETRY_OFF


class Serving:
    """`serving_process.py` with a store and a log in `folder`, which holds the bundle; always on the same port."""

    def __init__(self, folder: Path, checkout: Path, seconds_a_history: float = 0.0) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"sqlite:///{folder / 'store.db'}"
        script = checkout / "tests/service/serving_process.py"
        self._command = [sys.executable, str(script), self.url, str(folder / "bundle"), str(self.port), str(seconds_a_history)]
        self._environment = {**os.environ, **TELEMETRY_OFF, "PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(checkout)])}
        self._log = folder / "service.log"
        self.process: subprocess.Popen[bytes]

    def start(self) -> float:
        """Start it, and return the seconds until its first slate."""
        started = time.monotonic()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        while True:
            try:
                assert self.post("/v1/recommend", {})[0] == 200
                return time.monotonic() - started
            except OSError:
                assert self.process.poll() is None, self._log.read_text(encoding="utf-8")
                assert time.monotonic() < started + 60
                time.sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(30)

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
