"""Environments of peers that cannot share ours: made on demand below .footfall/bench-venvs, and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SASREC_PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    # torch first: whatever else accepts any torch would bring the one with CUDA.
    "rectools": (("torch==2.13.0",), ("rectools[torch]==0.19.0",)),
    "recbole": (("torch==2.13.0",), ("recbole==1.2.1", "numpy==1.26.4", "pandas==2.2.3", "scipy==1.14.1", "setuptools<81")),
}
"""Peers that train and evaluate sequence models: environment -> what to install, one call each."""

INDEXES = (("faiss-cpu==1.15.1", "usearch==2.26.6", "numpy==2.4.6"),)
"""Peers that find the nearest vectors."""

_MADE = "made.txt"


def python_with(root: Path, name: str, *steps: Sequence[str]) -> Path | None:
    """The Python of an environment that has these packages.

    Args:
        root: the checkout.
        name: of the environment.
        steps: what to install, one call each.

    Returns:
        None when it cannot be made; the reason has been said on stderr.
    """
    folder = root / ".footfall" / "bench-venvs" / name
    python, wanted = folder / "bin" / "python", "\n".join(" ".join(step) for step in steps)
    if (folder / _MADE).exists() and (folder / _MADE).read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"making an environment for {name} in {folder.relative_to(root)}\n")
    sys.stdout.flush()
    for command in ([sys.executable, "-m", "venv", str(folder)], *([str(python), "-m", "pip", "install", "--quiet", *step] for step in steps)):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            sys.stderr.write(f"PEER MISSING: {name} cannot be installed, so nothing is said about it: {reason}\n")
            return None
    (folder / _MADE).write_text(wanted, encoding="utf-8")
    return python
