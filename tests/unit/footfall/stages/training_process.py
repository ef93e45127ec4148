"""A process to be killed: stage `train` in a folder, its state kept after every step.

python training_process.py FOLDER PARAMS_FILE
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.stages.train import make_weights
from tests.unit.footfall.model.shop_of_habits import PARAMS


def params_of(file: Path) -> Params:
    """Small ones, long enough to be killed in."""
    params = load_params(file)
    train = dataclasses.replace(PARAMS, epochs=12, negatives=16, average=0.9)
    heads = dataclasses.replace(params.heads, lessons=300, passes=2)
    return dataclasses.replace(params, model=dataclasses.replace(params.model, dim=16, max_events=50), train=train, heads=heads)


if __name__ == "__main__":
    make_weights(Paths(Path(sys.argv[1])), params_of(Path(sys.argv[2])), keep_every_s=0.0)
