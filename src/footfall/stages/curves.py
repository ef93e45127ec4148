"""What a person sees of a training run while it goes on: its progress on the terminal, its learning curves by DVCLive and TensorBoard."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, SupportsFloat

from footfall.paths import Paths

CURVE_STEPS = 100
"""Steps a point of the learning curve."""
_PLAIN_SECONDS = 5.0


class Progress:
    """Says how far training is: one line that moves on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self) -> None:
        """Start the clock."""
        self._start = self._said = time.monotonic()
        self._before = -1  # steps of an earlier run that this one goes on from

    def __call__(self, step: int, steps: int, loss: SupportsFloat) -> None:
        """Take in one step."""
        now = time.monotonic()
        if self._before < 0:
            self._before = step - 1
        terminal, last = sys.stderr.isatty(), step == steps
        if not last and now - self._said < (0.1 if terminal else _PLAIN_SECONDS):
            return
        self._said = now
        pace = (step - self._before) / max(now - self._start, 1e-9)
        done = "#" * (24 * step // steps)
        line = f"train [{done:.<24}] step {step}/{steps}  loss {float(loss):.4f}  {pace:.1f} steps/s  {(steps - step) / pace:.0f} s left"
        sys.stderr.write(f"\r{line}\033[K" if terminal and not last else f"\r{line}\033[K\n" if terminal else f"{line}\n")
        sys.stderr.flush()


class Curves:
    """Learning curves: by DVCLive where it is installed, by TensorBoard where it is installed and asked for.

    Args:
        paths: where they lie.
        tensorboard: whether TensorBoard is asked for; each run has a folder of its own there.
        resumed: whether DVCLive's curves of a run that was cut off go on.
    """

    def __init__(self, paths: Paths, *, tensorboard: bool = False, resumed: bool = False) -> None:
        self._step = 0
        self._log: list[Callable[[str, float, int], None]] = []
        self._ends: list[Callable[[], None]] = []
        if _is_installed("dvclive"):
            self._add_dvclive(paths, resumed)
        if tensorboard and not _is_installed("tensorboard"):
            sys.stderr.write("no curves for TensorBoard, which is not installed: pip install tensorboard\n")
        elif tensorboard:
            self._add_tensorboard(paths)

    def _add_dvclive(self, paths: Paths, resumed: bool) -> None:
        dvclive: Any = importlib.import_module("dvclive")
        live = dvclive.Live(str(paths.curves), save_dvc_exp=False, dvcyaml=None, monitor_system=False, resume=resumed)

        def log(name: str, value: float, step: int) -> None:
            live.step = step
            live.log_metric(name, value)

        self._log.append(log)
        self._ends.append(live.end)

    def _add_tensorboard(self, paths: Paths) -> None:
        # By name, for torch is `model`'s alone and `model` opens no file: this is a writer of files that happens to ship with torch.
        tensorboard: Any = importlib.import_module("torch.utils.tensorboard")
        writer = tensorboard.SummaryWriter(str(paths.tensorboard / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")))
        self._log.append(writer.add_scalar)
        self._ends.append(writer.close)

    def __call__(self, step: int, steps: int, loss: SupportsFloat, rate: float) -> None:
        """Log each `CURVE_STEPS`th step and the last."""
        self._step = step
        if step % CURVE_STEPS == 0 or step == steps:
            self._write("train/loss", float(loss))
            self._write("train/learning_rate", rate)

    def figure(self, name: str, value: float) -> None:
        """Log an epoch's figure on validation."""
        self._write(f"validation/{name}", value)

    def close(self) -> None:
        """End the logs."""
        for end in self._ends:
            end()

    def _write(self, name: str, value: float) -> None:
        for log in self._log:
            log(name, value, self._step)


class Telling:
    """Progress and curves of one run; arguments as of `Curves`."""

    def __init__(self, paths: Paths, *, tensorboard: bool = False, resumed: bool = False) -> None:
        self._progress, self._curves = Progress(), Curves(paths, tensorboard=tensorboard, resumed=resumed)

    def step(self, step: int, steps: int, loss: SupportsFloat, rate: float) -> None:
        """Of a step."""
        self._progress(step, steps, loss)
        self._curves(step, steps, loss, rate)

    def figure(self, name: str, value: float) -> None:
        """Of an epoch's figure on validation."""
        sys.stderr.write(f"{chr(10) if sys.stderr.isatty() else ''}validation {name} {value:.4f}\n")
        self._curves.figure(name, value)

    def close(self) -> None:
        """The run has ended."""
        self._curves.close()


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
