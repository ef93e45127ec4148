"""Building a bento: a copy of the code, together with the release it was built with.

    python -m bentos.build ROOT MODEL_TAG      prints the bento's tag

The build runs in a process of its own, whose imports are the code of that root and of nothing else. It needs no network.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from bentos.registry import bentoml_home, bundle_path
from footfall.errors import ReleaseError
from footfall.settings import TELEMETRY_OFF

SERVICE = "bentos.service:Footfall"
INCLUDE = ["src/footfall/**/*.py", "bentos/**/*.py", "pyproject.toml", "constraints.txt"]
"""What a bento holds: the library, the service, and how to install what they need. No data, no state, no keys."""

EXCLUDE = [".footfall/", "data/"]
"""State and data: the build copies while it walks, and would copy earlier bentos and itself, folder in folder, until a path gets too long."""

_BUILD_TIMEOUT_S = 180


def build(root: Path, tag: str, *, home: Path | None = None) -> str:
    """Build a bento of the code in `root` with the model `tag`, and return the bento's tag.

    The same code and model give the same tag, and are built once.

    Raises:
        ReleaseError: the model is unknown, or the build failed.
    """
    root, home = root.resolve(), bentoml_home(home).resolve()
    bundle_path(tag, home=home)
    environment = {
        **os.environ,
        **TELEMETRY_OFF,
        "BENTOML_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "bentos.build", str(root), tag]
    try:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ReleaseError("bento was not built in time", where=root, expected=f"within {_BUILD_TIMEOUT_S} s", next_step="footfall doctor") from error
    if done.returncode != 0:
        found = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no output"]
        raise ReleaseError("bento could not be built", where=root, found=found[0], next_step=f"cd {root} && python -m bentos build {tag}")
    return done.stdout.strip().splitlines()[-1]


def code_digest(root: Path) -> str:
    """Twelve hexadecimal digits of what a bento of `root` would hold."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in INCLUDE for path in root.glob(pattern) if path.is_file()}):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()[:12]


def requirements(root: Path) -> list[str]:
    """What must be installed where a bento of `root` is to run without this environment: the core and the group `serve`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["serve"]]


def build_here(root: Path, tag: str) -> str:
    """The build itself, in a process that imports from `root`."""
    import bentoml
    from bentoml.exceptions import NotFound

    name, _, release_id = tag.partition(":")
    bento_tag = f"{name}:{release_id}-{code_digest(root)}"
    try:
        return str(bentoml.bentos.get(bento_tag).tag)
    except NotFound:
        pass
    bento = bentoml.bentos.build(
        SERVICE,
        version=bento_tag.partition(":")[2],
        labels={"release": release_id},
        include=INCLUDE,
        exclude=EXCLUDE,
        models=[tag],
        python={"lock_packages": False, "packages": requirements(root)},
        build_ctx=str(root),
    )
    return str(bento.tag)


if __name__ == "__main__":
    sys.stdout.write(f"{build_here(Path(sys.argv[1]), sys.argv[2])}\n")
