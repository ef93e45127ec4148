"""`python clock.py NAME CLICKS FOLDER`: run one contestant and say what it found, how long it took and how much memory its process held.

Needs the standard library alone, because a peer's environment has nothing of ours. Imports come before the clock starts.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Print one line of JSON."""
    name, clicks, folder = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parents[2]))
    contestant = import_module(f"benchmarks.contestants.clicks_{name}")
    start, used = time.perf_counter(), time.process_time()
    found = contestant.run(clicks, folder)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({**found, "version": contestant.VERSION, "seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
