"""`python turns.py NAME SETTINGS`: train one contestant of a race, a few steps whenever it is its turn.

Contestants stay alive and wait while others run, so that turns can be short and nobody pays twice for its imports. Needs the standard library
alone, because a peer's environment has nothing of ours. SETTINGS is a JSON object; what is said goes to stdout, a JSON object a line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO


class Turns:
    """The clock of one contestant.

    Args:
        hear: gives the number of steps of the next turn, a line each.
        say: takes what was measured, a line a turn.
    """

    def __init__(self, hear: TextIO, say: TextIO) -> None:
        self._hear, self._say = hear, say
        self._left = 0
        self._at = self._cpu = 0.0
        self._steps: list[list[float]] = []

    def begin(self, **facts: Any) -> None:
        """Say that everything is ready, and wait for the first turn."""
        self._tell(facts)
        self._wait()

    def stepped(self, targets: int, tokens: int) -> None:
        """A step is over, the making of its batch included; at the end of a turn wait for the next one."""
        self._steps.append([time.perf_counter() - self._at, targets, tokens])
        self._left -= 1
        if not self._left:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            self._tell({"steps": self._steps, "cpu_seconds": time.process_time() - self._cpu, "peak_mib": peak})
            self._wait()
        self._at = time.perf_counter()

    def end(self, **facts: Any) -> None:
        """Say what is known after the last step."""
        self._tell(facts)

    def __deepcopy__(self, memo: object) -> Turns:
        """There is one clock; Lightning trains with a deep copy of all that it is given."""
        return self

    def _tell(self, facts: dict[str, Any]) -> None:
        self._say.write(json.dumps(facts) + "\n")
        self._say.flush()

    def _wait(self) -> None:
        """Nothing heard means that no turn will follow."""
        self._left = int(self._hear.readline() or 0)
        self._steps = []
        self._cpu, self._at = time.process_time(), time.perf_counter()


def main() -> int:
    """Train; whatever a library prints goes to stderr."""
    name, settings = sys.argv[1:]
    say = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.argv = sys.argv[:1]  # RecBole reads it
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import_module(f"benchmarks.contestants.steps_{name}").run(json.loads(settings), Turns(sys.stdin, say))
    return 0


if __name__ == "__main__":
    sys.exit(main())
