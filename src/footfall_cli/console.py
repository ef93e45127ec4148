"""How every verb speaks: tables and progress for people, one JSON document for programs, errors with a next move, exit codes.

Exit codes: 0 done, 1 refused or failed with a reason, 2 wrong use (Typer's own). This module knows nothing of what the verbs do.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import typer

from footfall.errors import FootfallError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

P = ParamSpec("P")
R = TypeVar("R")

REFUSED = 1
"""Exit code of a verb that was refused or failed with a reason."""


def screen(*, error: bool = False) -> Console:
    """The terminal that people read: standard output, or standard error."""
    from rich.console import Console

    width = None if (sys.stderr if error else sys.stdout).isatty() or "COLUMNS" in os.environ else 140
    return Console(stderr=error, highlight=False, soft_wrap=True, width=width)


def say(text: str) -> None:
    """Print one plain line for people."""
    screen().print(text, markup=False)


def say_json(document: object) -> None:
    """Print one JSON document, the whole of a verb's standard output under `--json`."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n")


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "none") -> None:
    """Print a table, or one line when there are no rows."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    if table.row_count:
        screen().print(table, markup=False)
    else:
        say(f"{title}: {empty}")


def refuse(error: FootfallError, *, as_json: bool) -> NoReturn:
    """Render a deliberate error and leave with exit code 1."""
    if as_json:
        say_json(error.as_dict())
    else:
        screen(error=True).print(f"error: {error}", markup=False, style="red")
    raise typer.Exit(REFUSED)


def reporting(verb: Callable[P, R]) -> Callable[P, R]:
    """Wrap a verb so that every `FootfallError` is rendered with its next move instead of a traceback.

    The verb's keyword `as_json` decides the form.
    """

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except FootfallError as error:
            refuse(error, as_json=bool(kwargs.get("as_json")))

    return wrapped


def progress(*, quiet: bool = False) -> Progress:
    """A bar with rate and remaining time on a terminal; nothing where there is none (verbs print plain lines there)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    console = screen(error=True)
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True)


def interval(values: Sequence[float] | None) -> str:
    """An interval for people: `[.198, .214]`."""
    return "" if values is None else f"[{values[0]:+.4f}, {values[1]:+.4f}]"


def as_plain(value: Any) -> Any:
    """A JSON-ready copy of a dataclass, document, or collection of them."""
    import dataclasses

    from footfall.documents import Document

    if isinstance(value, Document):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return value
