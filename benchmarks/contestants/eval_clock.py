"""`python eval_clock.py NAME TASK FOLDER`: evaluate twice, say what was found, how long the second time took and how much memory the process held.

Needs numpy alone, because a peer's environment has nothing of ours. Imports and what a library makes of its inputs come before the clock starts;
the first evaluation warms up what is made on first use.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Print one line of JSON."""
    name, task, folder = sys.argv[1:]
    sys.argv = sys.argv[:1]  # RecBole reads them as its own settings
    sys.path.insert(0, str(Path(__file__).parents[2]))
    contestant = import_module(f"benchmarks.contestants.eval_{name}")
    evaluate = contestant.prepare(import_module("benchmarks.contestants.eval_task").read_task(Path(task)), Path(folder))
    evaluate()
    start, used = time.perf_counter(), time.process_time()
    found = evaluate()
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    said = {"found": found, "version": contestant.VERSION, "seconds": seconds, "cpu_seconds": cpu, "peak_mib": _peak_mib()}
    sys.stdout.write("\n" + json.dumps(said) + "\n")
    return 0


def _peak_mib() -> float:
    """Largest resident size of this process. What getrusage tells is inherited from the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    sys.exit(main())
