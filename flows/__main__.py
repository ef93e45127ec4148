"""`python -m flows deploy [--no-schedules]` and `python -m flows run NAME [--PARAMETER VALUE ...]`, in the folder they are called in.

`run` runs one flow in this process: against the server at PREFECT_API_URL when that is set, else with a server of its own for as long as it takes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.environment import enter
from footfall.errors import FootfallError

FLOWS = ("admit", "ingest", "monitor", "reject", "release", "replay", "retrain")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 refused or failed with a reason, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__.splitlines()[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    deploying = verbs.add_parser("deploy", help="register deployments, schedules and the drift automation at the Prefect server")
    deploying.add_argument("--no-schedules", action="store_true", help="register the schedules switched off")
    running = verbs.add_parser("run", help="run one flow in this process")
    running.add_argument("flow", choices=FLOWS)
    given, rest = parser.parse_known_args(arguments)
    if given.verb == "deploy" and rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    parameters = _parameters(parser, rest)
    enter(Path(os.environ.get("FOOTFALL_ROOT", ".")), os.environ.get("PREFECT_API_URL"))
    try:
        result = _deploy(not given.no_schedules) if given.verb == "deploy" else run(given.flow, parameters)
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return 0


def run(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run one flow and return its result."""
    flow = getattr(importlib.import_module(f"flows.{name}"), name)
    result: dict[str, Any] = flow(**parameters)
    return result


def _deploy(schedules: bool) -> dict[str, Any]:
    from flows.deployments import deploy

    return {name: str(identity) for name, identity in deploy(Path.cwd(), schedules=schedules).items()}


def _parameters(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, str]:
    """`--as-of X --reason Y` as {"as_of": "X", "reason": "Y"}; the flow itself checks names and types."""
    if len(rest) % 2 or any(not name.startswith("--") for name in rest[::2]):
        parser.error("parameters come in pairs: --name value")
    return {name[2:].replace("-", "_"): value for name, value in zip(rest[::2], rest[1::2], strict=True)}


if __name__ == "__main__":
    sys.exit(main())
