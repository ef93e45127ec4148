"""DVC reruns a stage when a file in its `deps` changes, so every first-party module that a stage imports must stand there."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path, PurePosixPath
from typing import Any

import grimp
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PACKAGES = ("footfall", "expectations")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom, imports inside functions included; those for type checkers only change no output."""
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


def module_of(command: str) -> str:
    """The module that a stage's command runs: what follows `python -m`."""
    words = shlex.split(command)
    return words[words.index("-m") + 1]


def file_of(module: str) -> str:
    """The file of one module, relative to the root."""
    parts = module.split(".")
    path = PurePosixPath("src" if parts[0] == "footfall" else ".", *parts)
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def does_nothing(file: str) -> bool:
    """Whether a file holds a docstring at most, so that no edit of it could change an output."""
    body = ast.parse((ROOT / file).read_text()).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def files_behind(module: str, graph: grimp.ImportGraph) -> set[str]:
    """Files whose edit could change what `module` does: its own, all it imports first-party, and the packages around them."""
    modules = {f"{module}.__main__"} & graph.modules or {module}
    while True:
        around = {name.rpartition(".")[0] for name in modules} - {""}
        upstream = set().union(*(graph.find_upstream_modules(name) for name in modules))
        if around | upstream <= modules:
            return {file for file in map(file_of, modules) if not does_nothing(file)}
        modules |= around | upstream


def named(file: str, dependencies: list[str]) -> bool:
    """Whether `dependencies` name the file or a folder it lies in."""
    return any(PurePosixPath(file).is_relative_to(dependency) for dependency in dependencies)


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_imports_stands_in_its_deps(stage: str, graph: grimp.ImportGraph) -> None:
    behind = files_behind(module_of(STAGES[stage]["cmd"]), graph)

    missing = sorted(file for file in behind if not named(file, STAGES[stage]["deps"]))

    assert not missing, f"add to dvc.yaml, stages.{stage}.deps: {', '.join(missing)}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_that_a_stage_names_as_code_exists(stage: str) -> None:
    code = [dependency for dependency in STAGES[stage]["deps"] if not str(dependency).startswith(("data/", "reports/"))]

    assert [dependency for dependency in code if not (ROOT / dependency).exists()] == []


def test_the_stages_are_those_of_the_design() -> None:
    assert list(STAGES) == ["events", "validate", "sequences", "content", "train", "habits", "bundle", "evaluate"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_the_source_of_the_folder_that_it_stands_in(stage: str) -> None:
    assert STAGES[stage]["cmd"].startswith("PYTHONPATH=src python -m ")


def test_a_module_left_out_of_deps_would_be_noticed(graph: grimp.ImportGraph) -> None:
    behind = files_behind("footfall.stages.train", graph)

    assert "src/footfall/params.py" in behind
    assert not named("src/footfall/params.py", ["src/footfall/core", "src/footfall/params"])
    assert named("src/footfall/core/sequences.py", ["src/footfall/core"])
