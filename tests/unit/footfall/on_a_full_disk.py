"""What happens on a full disk, told as JSON: run inside a mount namespace of its own, on a small tmpfs that nobody else sees.

    unshare -rm python on_a_full_disk.py MOUNT_POINT every|some

Each write point is tried with no room at all, then with a page more, and so on until it succeeds, so that the disk fills at each of its writes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from footfall.contracts import CATALOGUE, EVENTS, USERS, C, Contract  # noqa: E402
from footfall.documents import Verdict  # noqa: E402
from footfall.errors import FootfallError  # noqa: E402
from footfall.paths import Paths  # noqa: E402
from footfall.sources import landing, quarantine  # noqa: E402
from footfall.stages.bundle import make_bundle  # noqa: E402
from footfall.stages.evaluate import make_metrics  # noqa: E402
from footfall.stages.events import make_tables  # noqa: E402
from footfall.stages.sequences import make_sequences  # noqa: E402
from footfall.store import events as event_store  # noqa: E402
from footfall.store import open_store  # noqa: E402
from footfall.tables import read_parquet  # noqa: E402
from tests.unit.footfall.small_shop import make_shop, scorer_module, small_params  # noqa: E402

PAGE = 4096
SOME = [0, 1, 2, 4, 7, 12, 20, 33, 54, 88, 142, 230, 372, 602]
Act = Callable[[], object]


class Disk:
    """The small disk, a file that fills it, and everything else that lies on it."""

    def __init__(self, root: Path) -> None:
        self.root, self._filler = root, root / "filler"

    def leave(self, room: int) -> None:
        """Fill all but `room` bytes."""
        free = os.statvfs(self.root).f_bavail * os.statvfs(self.root).f_frsize
        with self._filler.open("wb") as file:
            file.write(bytes(max(free - room, 0)))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def files(self) -> dict[str, bytes]:
        """Every file, hidden ones too, but the filler, the store's own, and what the table engine works in."""
        paths = (path for path in self.root.rglob("*") if path.is_file() and path != self._filler)
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths if not {"store", "spill"} & set(path.parts)}


def try_out(disk: Disk, act: Act, rooms: list[int]) -> dict[str, Any]:
    """Do `act` with ever more room until it succeeds; what is wrong stands in `faults`."""
    faults: list[str] = []
    refused, before = 0, disk.files()
    for pages in rooms:
        disk.leave(pages * PAGE)
        try:
            act()
        except FootfallError as error:
            refused += 1
            if "full" not in error.what or not error.next_step:
                faults.append(f"{pages} pages: {error}")
        except BaseException as error:  # noqa: BLE001 (that is what is looked for)
            faults.append(f"{pages} pages: {type(error).__name__}: {error}")
        else:
            break
        finally:
            disk.free()
        if disk.files() != before:
            changed = sorted(name for name in disk.files().keys() | before.keys() if disk.files().get(name) != before.get(name))
            faults.append(f"{pages} pages: left behind or changed: {changed}")
    try:
        act()  # with room again
    except BaseException as error:  # noqa: BLE001
        faults.append(f"with room again: {type(error).__name__}: {error}")
    return {"refused": refused, "faults": faults, "wrote": sorted(set(disk.files()) - set(before))}


def write_points(root: Path) -> dict[str, Act]:
    """Everything that writes, in the order of a run; each is done once it succeeded, so that the next finds what it needs."""
    paths, params = Paths(root), small_params(ROOT)
    made = Paths(Path(sys.argv[1]).parent / "made")
    make_shop(made.root, params)
    tables = {contract.name: contract.check(read_parquet(made.tables / f"{contract.name}.parquet")) for contract in (EVENTS, CATALOGUE, USERS)}
    events = tables[EVENTS.name]
    bad = events.slice(0, 500).append_column(C.REASON, pa.array(["unknown_item"] * 500))

    def batch(contract: Contract, batch_id: str) -> landing.Batch:
        return landing.land(paths, contract.name, batch_id, tables[contract.name])

    def verdict(contract: Contract, outcome: str, quarantined: int = 0) -> Verdict:
        reasons = {"unknown_item": quarantined} if quarantined else {}
        return Verdict("shop-2020-05", contract.name, outcome, tables[contract.name].num_rows, reasons, [])

    for contract in (CATALOGUE, USERS):
        landing.accept(paths, batch(contract, "shop-2020-05"), tables[contract.name], verdict(contract, "pass"))
    held = landing.land(paths, EVENTS.name, "shop-2020-06", events.slice(0, 900))

    def hold() -> None:
        if held.path.exists():
            landing.hold(paths, held, verdict(EVENTS, "hold"))

    def accept() -> None:
        if (paths.landing / EVENTS.name / "shop-2020-05").exists():
            landing.accept(paths, batch(EVENTS, "shop-2020-05"), events, verdict(EVENTS, "pass"))

    shutil.copytree(made.weights, paths.weights)
    shutil.copytree(made.habits, paths.habits)
    return {
        "quarantine": lambda: quarantine.set_aside(paths, held, bad, verdict(EVENTS, "pass", 500)),
        "hold": hold,
        "land": lambda: batch(EVENTS, "shop-2020-05"),
        "accept": accept,
        "tables": lambda: make_tables(paths, params),
        "sequences": lambda: make_sequences(paths, params),
        "bundle": lambda: make_bundle(paths, params),
        "report": lambda: make_metrics(paths, params),
        "store": lambda: fill_store(root / "store" / "live.db", events),
    }


def fill_store(path: Path, events: pa.Table) -> None:
    """Open the live store, which makes it, and append events that it does not know."""
    engine = open_store(f"sqlite:///{path}")
    try:
        event_store.append(engine, events)
    finally:
        engine.dispose()


def main() -> int:
    """Mount, try out, tell."""
    root = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(root)], check=True)
    sys.modules["footfall.model.scorer"] = scorer_module()
    disk, points = Disk(root), write_points(root)
    rooms = SOME if sys.argv[2] == "some" else list(range(700))
    sys.stdout.write(json.dumps({name: try_out(disk, act, rooms) for name, act in points.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
