"""Stage `train`: arrays -> weights.

data/sequences/ -> data/weights/{config.json,model.safetensors}, reports/training.json
The report holds no clock, so that equal runs write equal bytes. Rate and time left go to the terminal, learning curves to dvclive/ by DVCLive,
where that is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any, SupportsFloat

from safetensors.numpy import save

from footfall.arrays import REMAKE, read_sequences, read_split, read_vocabulary
from footfall.contracts import EVENT_TYPES
from footfall.errors import FootfallError
from footfall.manifest import check_manifest, write_manifest
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.trainer import Trained, train
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.stages.checkpoint import EVERY_S, Checkpoint
from footfall.tables import replacing, write_text

CURVE_STEPS = 100
"""Steps a point of the learning curve."""
_PLAIN_SECONDS = 5.0


class Progress:
    """Says how far training is: one line that moves on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self) -> None:
        """Start the clock."""
        self._start = self._said = time.monotonic()

    def __call__(self, step: int, steps: int, loss: SupportsFloat) -> None:
        """Take in one step."""
        now = time.monotonic()
        terminal, last = sys.stderr.isatty(), step == steps
        if not last and now - self._said < (0.1 if terminal else _PLAIN_SECONDS):
            return
        self._said = now
        pace = step / max(now - self._start, 1e-9)
        done = "#" * (24 * step // steps)
        line = f"train [{done:.<24}] step {step}/{steps}  loss {float(loss):.4f}  {pace:.1f} steps/s  {(steps - step) / pace:.0f} s left"
        sys.stderr.write(f"\r{line}\033[K" if terminal and not last else f"\r{line}\033[K\n" if terminal else f"{line}\n")
        sys.stderr.flush()


class Curves:
    """Learning curves by DVCLive, where it is installed; else nothing."""

    def __init__(self, folder: Path) -> None:
        """Open the log in `folder`."""
        self._live: Any = None
        if importlib.util.find_spec("dvclive") is not None:
            dvclive: Any = importlib.import_module("dvclive")
            self._live = dvclive.Live(str(folder), save_dvc_exp=False, dvcyaml=None, monitor_system=False)

    def __call__(self, step: int, steps: int, loss: SupportsFloat, rate: float) -> None:
        """Log each `CURVE_STEPS`th step and the last."""
        if self._live is not None and (step % CURVE_STEPS == 0 or step == steps):
            self._live.step = step
            self._live.log_metric("train/loss", float(loss))
            self._live.log_metric("train/learning_rate", rate)

    def close(self) -> None:
        """End the log."""
        if self._live is not None:
            self._live.end()


def make_weights(paths: Paths, params: Params, keep_every_s: float = EVERY_S) -> None:
    """Write data/weights and reports/training.json; a run that was killed goes on where its last state was, to the same bytes.

    Raises:
        SourceError: the arrays cannot be read, or hold nothing to learn from.
    """
    check_manifest(paths.sequences, next_step=REMAKE)
    sequences, split = read_sequences(paths.sequences), read_split(paths.sequences)
    config = SequenceConfig(
        items=len(read_vocabulary(paths.sequences)),
        event_types=len(EVENT_TYPES),
        dim=params.model.dim,
        blocks=params.model.blocks,
        heads=params.model.heads,
        channels=params.model.repeat_channels,
        dropout=params.model.dropout,
        max_events=params.model.max_events,
    )
    progress, curves = Progress(), Curves(paths.curves)

    def on_step(step: int, steps: int, loss: SupportsFloat, rate: float) -> None:
        progress(step, steps, loss)
        curves(step, steps, loss, rate)

    checkpoint = Checkpoint(paths, params, keep_every_s)
    trained = train(sequences, split.train_end, config, params.train, on_step, keep=checkpoint.keep, kept=checkpoint.kept())
    write_weights(paths.weights, trained.model)
    curves.close()
    write_text(paths.training_report, json.dumps(report(trained, params), indent=1, sort_keys=True) + "\n")
    checkpoint.clear()


def report(trained: Trained, params: Params) -> dict[str, Any]:
    """What training saw; `losses` is the mean of each `CURVE_STEPS` steps, the last perhaps of fewer."""
    losses = trained.losses
    points = [losses[first : first + CURVE_STEPS] for first in range(0, len(losses), CURVE_STEPS)]
    return {
        "epochs": params.train.epochs,
        "events": trained.events,
        "events_seen": trained.events * params.train.epochs,
        "targets": trained.targets,
        "targets_seen": trained.targets * params.train.epochs,
        "steps": len(losses),
        "items": trained.model.config.items,
        "parameters": trained.model.num_parameters(),
        "final_loss": losses[-1],
        "losses": [sum(point) / len(point) for point in points],
    }


def write_weights(folder: Path, model: SequenceModel) -> None:
    """Write a model as `from_pretrained` reads it; each file is on disk before it gets its name, and equal models give equal bytes."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    with replacing(folder / "model.safetensors") as file:
        file.write(save(arrays, metadata={"format": "pt"}))
    write_text(folder / "config.json", model.config.to_json_string(use_diff=False))
    write_manifest(folder)


def main() -> int:
    """Run the stage below the current directory."""
    paths = Paths.here()
    try:
        make_weights(paths, load_params(paths.params))
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
