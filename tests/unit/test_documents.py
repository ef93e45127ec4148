"""What no document names does not exist for users: verbs, environment variables, make targets; and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from footfall_cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = "\n".join((ROOT / name).read_text() for name in ("README.md", "docs/operations.md"))


def verbs(group: object, name: str = "footfall") -> list[str]:
    """Every command line below `group`, such as `footfall release show`."""
    if not isinstance(group, TyperGroup):
        return [name]
    return [line for part, command in sorted(group.commands.items()) for line in verbs(command, f"{name} {part}")]


@pytest.mark.parametrize("verb", verbs(typer.main.get_command(app)))
def test_every_verb_stands_in_the_readme_or_in_operations(verb: str) -> None:
    assert verb in DOCUMENTS


def environment_variables() -> set[str]:
    """Every FOOTFALL_ variable that the source reads or sets."""
    sources = (path for folder in ("src", "flows", "bentos", "monitoring", "expectations") for path in (ROOT / folder).rglob("*.py"))
    return {name for path in sources for name in re.findall(r"\bFOOTFALL_[A-Z_]+", path.read_text())}


def test_every_environment_variable_stands_in_operations() -> None:
    assert sorted(name for name in environment_variables() if f"`{name}`" not in DOCUMENTS) == []


def test_every_make_target_that_the_documents_name_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert sorted(name for name in set(re.findall(r"`make ([a-z]+)", DOCUMENTS)) if f"\n{name}:" not in makefile) == []


@pytest.mark.parametrize("document", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda path: path.name)
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)", document.read_text()) if "://" not in target]

    assert [target for target in targets if not (document.parent / target).exists()] == []
