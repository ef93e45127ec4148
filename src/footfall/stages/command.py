"""How a stage is run from the command line: below the current directory, with what went wrong in words and an exit status for DVC."""

from __future__ import annotations

import sys
from collections.abc import Callable

from footfall.errors import FootfallError
from footfall.params import Params, load_params
from footfall.paths import Paths


def run_stage(make: Callable[[Paths, Params], object]) -> int:
    """Run `make` on the current directory and its params.yaml; 0 done, 1 failed with a reason on stderr."""
    paths = Paths.here()
    try:
        make(paths, load_params(paths.params))
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
