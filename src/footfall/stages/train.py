"""Stage `train`: arrays -> weights.

data/sequences/, data/content/ -> data/weights/{config.json,model.safetensors}, reports/training.json
The report holds no clock, so that equal runs write equal bytes. Rate and time left go to the terminal, learning curves to `stages.curves`.

    python -m footfall.stages.train                             one process, as DVC runs it
    torchrun --nproc-per-node 4 -m footfall.stages.train        four, on as many GPUs where there are any; the first writes
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from footfall.arrays import REMAKE
from footfall.arrays.histories import read_sequences
from footfall.arrays.vocabularies import read_queries, read_vocabulary
from footfall.arrays.windows import read_split, read_targets
from footfall.core.sequences import Sequences
from footfall.core.signals import DURATION_CODES
from footfall.manifest import check_manifest, write_manifest
from footfall.model.head_training import teach_heads
from footfall.model.parallel import Processes, alone, joined
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.trainer import Trained, train
from footfall.model.training import State, from_bytes, to_bytes
from footfall.params import Params
from footfall.paths import Paths
from footfall.settings import load_settings
from footfall.stages.checkpoint import EVERY_S, Checkpoint
from footfall.stages.command import run_stage
from footfall.stages.curves import CURVE_STEPS, Telling
from footfall.stages.item_content import read_item_content, write_projection
from footfall.stages.validation import FIGURE, Validation
from footfall.tables import replacing, write_text


def make_weights(paths: Paths, params: Params, keep_every_s: float = EVERY_S, processes: Processes | None = None, tensorboard: bool = False) -> None:
    """Write data/weights and reports/training.json; a run that was killed goes on where its last state was, to the same bytes.

    With several processes all call this, and the first alone reads a state, writes and tells.

    Raises:
        SourceError: the arrays cannot be read, or hold nothing to learn from or to stop by.
    """
    processes = processes or alone()
    check_manifest(paths.sequences, next_step=REMAKE)
    sequences, split = read_sequences(paths.sequences), read_split(paths.sequences)
    checkpoint = Checkpoint(paths, params, keep_every_s, processes.count)
    kept = _taken_up(checkpoint, processes)
    validation = Validation(sequences, read_targets(paths.sequences, "validation"), split.train_end, processes) if params.train.patience else None
    told = Telling(paths, tensorboard=tensorboard, resumed=kept is not None) if processes.is_first else None

    def judge(model: SequenceModel) -> float | None:
        figure = None if validation is None else validation(model)
        if told is not None and figure is not None:
            told.figure(FIGURE, figure)
        return figure

    on_step, keep = (told.step, checkpoint.keep) if told else (None, None)
    vocabulary = read_vocabulary(paths.sequences)
    content, attributes = read_item_content(paths.content, vocabulary, params.content.id_dropout)
    config = _config(paths, params, sequences, len(vocabulary))
    trained = train(sequences, split.train_end, config, params.train, on_step, judge, keep, kept, processes, content=content)
    if told is not None:
        told.close()
        write_projection(paths.weights, trained.content, attributes)
        passes = teach_heads(trained.model, sequences, split.train_end, params.heads, params.train.seed, params.train.threads)
        write_weights(paths.weights, trained.model)
        write_text(paths.training_report, json.dumps(report(trained, params) | {"heads": passes}, indent=1, sort_keys=True) + "\n")
        checkpoint.clear()


def _config(paths: Paths, params: Params, sequences: Sequences, items: int) -> SequenceConfig:
    queries = len(read_queries(paths.sequences) or ())
    return SequenceConfig.of(params.model, items, queries, 0 if sequences.duration is None else DURATION_CODES)


def _taken_up(checkpoint: Checkpoint, processes: Processes) -> State | None:
    """The state to go on from, which the first process alone can read: another may be on another machine."""
    kept = checkpoint.kept() if processes.is_first else None
    if processes.count == 1:
        return kept
    data = processes.hand_on(None if kept is None else to_bytes(kept))
    return None if data is None else from_bytes(data)


def report(trained: Trained, params: Params) -> dict[str, Any]:
    """What training saw: `losses` are means of `CURVE_STEPS` steps each, the last perhaps of fewer; `validation` each epoch's figure, if asked for.

    Both are lists of points, which `dvc plots` draws.
    """
    losses, figures = trained.losses, trained.figures
    epochs = len(figures) or params.train.epochs
    points = [losses[first : first + CURVE_STEPS] for first in range(0, len(losses), CURVE_STEPS)]
    return {
        "epochs": epochs,
        "best_epoch": 1 + figures.index(max(figures)) if figures else epochs,
        "events": trained.events,
        "events_seen": trained.events * epochs,
        "targets": trained.targets,
        "targets_seen": trained.targets * epochs,
        "steps": len(losses),
        "items": trained.model.config.items,
        "parameters": trained.model.num_parameters(),
        "final_loss": losses[-1],
        "losses": [{"step": min((n + 1) * CURVE_STEPS, len(losses)), "loss": sum(point) / len(point)} for n, point in enumerate(points)],
        "validation": [{"epoch": n + 1, FIGURE: figures[n] if figures else None} for n in range(epochs)],
    }


def write_weights(folder: Path, model: SequenceModel) -> None:
    """Write a model as `from_pretrained` reads it; each file is on disk before it gets its name, and equal models give equal bytes."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    with replacing(folder / "model.safetensors") as file:
        file.write(save(arrays, metadata={"format": "pt"}))
    write_text(folder / "config.json", model.config.to_json_string(use_diff=False))
    write_manifest(folder)


def make_weights_together(paths: Paths, params: Params) -> None:
    """`make_weights` in every process that torchrun started, or in this one."""
    tensorboard = load_settings().tensorboard
    with joined() as processes:
        make_weights(paths, params, processes=processes, tensorboard=tensorboard)


if __name__ == "__main__":
    sys.exit(run_stage(make_weights_together))
