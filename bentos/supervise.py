"""`python -m bentos.supervise BENTO ...`: `bentoml serve`, without the door that its supervisor leaves open.

BentoML's supervisor takes commands on a loopback port, from whoever asks: any user of the machine could make it start any program as this one.
Here it takes them on a socket in a folder that nobody else may enter, and the one port that listens is the service's own.
A worker that dies is replaced at once.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from typing import Any

LOOK_S = 1.0
"""How often it looks whether a worker has died; BentoML's 10 would add up to so many seconds to the start of the next one."""


def main() -> None:
    """Serve, with the arguments of `bentoml serve`. Does not return before the service ends."""
    from bentoml._internal.utils import circus
    from bentoml_cli.cli import cli

    folder = tempfile.mkdtemp(prefix="footfall-")  # mode 0700

    class PrivateArbiter(circus.Arbiter):
        """A supervisor that only its own user can speak to."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            own = {"endpoint": f"ipc://{folder}/control", "pubsub_endpoint": f"ipc://{folder}/events"}
            super().__init__(*arguments, **(named | own | {"check_delay": LOOK_S}))
            self.exit_stack.callback(shutil.rmtree, folder, ignore_errors=True)

    circus.Arbiter = PrivateArbiter  # type: ignore[misc]  # whatever it makes from now on is one
    cli(["serve", *sys.argv[1:]])


if __name__ == "__main__":
    main()
