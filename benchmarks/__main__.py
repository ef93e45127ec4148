"""`python -m benchmarks NAME [options]`: run one race; without a name, list them."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

RACES: dict[str, str] = {
    "data": "10 million clicks to sessions, split and arrays, against pandas, polars, DuckDB and replay-rec; cost and memory up to 50 million",
    "simulator": "events a second of the simulated shop",
    "store": "a user's last 200 events, and events in a second, at 10 million stored",
}
"""Name of a race -> what it measures. The race is `benchmarks.<name>` with `run(root, full) -> Path`."""


def main(arguments: list[str] | None = None) -> int:
    """Run one race, or all with the name `all`; `--full` for the stated sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Races against named peers and the physical floor.")
    parser.add_argument("name", nargs="?", choices=[*RACES, "all"])
    parser.add_argument("--full", action="store_true", help="the stated sizes, not those that fit two cores in half an hour")
    given = parser.parse_args(arguments)
    if given.name is None:
        sys.stdout.writelines(f"{name:<12} {what}\n" for name, what in RACES.items())
        return 0
    for name in RACES if given.name == "all" else [given.name]:
        import_module(f"benchmarks.{name}").run(Path.cwd(), given.full)
    return 0


if __name__ == "__main__":
    sys.exit(main())
