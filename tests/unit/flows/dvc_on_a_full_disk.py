"""A retrain on a disk that fills up under DVC, told as JSON: run inside a mount namespace of its own.

unshare -rm python dvc_on_a_full_disk.py MOUNT_POINT ROOM...     ROOM: how many bytes are left when it begins
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[3]
sys.path[:0] = [str(HERE / "src"), str(HERE)]

from flows.versions import cache, repository  # noqa: E402
from footfall.errors import DiskError  # noqa: E402
from footfall.paths import Paths  # noqa: E402
from footfall.sources import landing  # noqa: E402
from footfall.tables import read_parquet  # noqa: E402
from tests.unit.flows.copied_shop import accept, make_workspace, retrain  # noqa: E402


def refused(root: Path, number: int) -> str | None:
    """What the retrain says, None when it ends well; either way the next run's first step puts right what it left."""
    try:
        retrain(root, f"r-full-{number}")
    except DiskError as error:
        return str(error)
    return None


def main() -> int:
    """Mount, fill, try, make room, try again."""
    disk = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=True)
    os.environ["TMPDIR"] = str(disk)
    root = make_workspace(disk)
    rows, told = read_parquet(landing.list_batches(Paths(root), "events")[0] / landing.ROWS), []
    for number, room in enumerate(map(int, sys.argv[2:])):
        bundle = (Paths(root).bundle / "manifest.json").read_bytes()
        accept(Paths(root), "events", f"shop-2021-{number:02d}", rows.slice(number, 400))
        status = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(max(status.f_bavail * status.f_frsize - room, 0)))
        said = refused(root, number)
        (disk / "filler").unlink()
        repository.tidy(root)
        served = (Paths(root).bundle / "manifest.json").read_bytes() == bundle
        damaged = len(cache.damaged_objects(root))
        retrain(root, f"r-{number}")
        told.append({"said": said, "old_bundle_is_there": served, "damaged": damaged, "clean": repository.is_clean(root)})
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
