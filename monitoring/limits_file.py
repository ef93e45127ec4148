"""Writing calibrated limits into params.yaml: only the lines of `monitor: limits:` change; comments and every other line stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from footfall.errors import ParamsError
from footfall.params import load_params
from footfall.tables import write_text

_NOTE = "# written by `python -m monitoring calibrate`; the largest quiet value beside each"


def write_limits(path: Path, limits: Mapping[str, float], largest: Mapping[str, float]) -> None:
    """Put `limits` into `path`, the largest quiet value of each as its comment.

    Raises:
        ParamsError: the file has no `limits` in a section `monitor`, or is no params file.
    """
    load_params(path)
    write_text(path, replace_limits(path.read_text(encoding="utf-8"), limits, largest, where=path))
    load_params(path)


def replace_limits(text: str, limits: Mapping[str, float], largest: Mapping[str, float], *, where: object = None) -> str:
    """The params text with the block `limits` of the section `monitor` replaced."""
    lines = text.splitlines()
    try:
        section = next(number for number, line in enumerate(lines) if re.match(r"monitor:", line))
        first = next(number for number in range(section + 1, len(lines)) if re.match(r"\s+limits:", lines[number]))
    except StopIteration:
        raise ParamsError(
            "no place for limits", where=where, expected="monitor: limits:", next_step="add 'limits: {}' to the section monitor"
        ) from None
    indent = len(lines[first]) - len(lines[first].lstrip())
    last = first + 1
    while last < len(lines) and len(lines[last]) - len(lines[last].lstrip()) > indent:
        last += 1
    space = " " * indent
    width = max((len(name) for name in limits), default=0) + 9
    entries = [f"{space}  {f'{name}: {limit:.4f}':<{width}}  # {largest[name]:.4f}" for name, limit in limits.items()]
    block = [f"{space}limits:  {_NOTE}", *entries] if limits else [f"{space}limits: {{}}"]
    return "\n".join([*lines[:first], *block, *lines[last:]]) + "\n"
