"""`footfall init DIR`: a workspace for unattended runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from footfall_cli.console import as_plain, reporting, say, say_json
from footfall_cli.root import JsonOption, find_checkout


@reporting
def run(
    directory: Annotated[Path, typer.Argument(help="Where the workspace is made; an existing one is left as it is.")],
    allow_dirty: Annotated[bool, typer.Option("--allow-dirty", help="Go on with the committed HEAD when the checkout has other changes.")] = False,
    remote: Annotated[
        str | None, typer.Option("--remote", help="Where data is pushed: a path or any URL that DVC takes. Default: a folder below .footfall/.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a workspace for unattended runs: this checkout's committed HEAD on a branch of its own."""
    from flows.versions.workspace import init

    made = init(find_checkout(), directory, allow_dirty=allow_dirty, remote=remote)
    if as_json:
        say_json(as_plain(made))
        return
    say(f"{'made' if made.created else 'found'} workspace {made.root} at {made.revision[:12]}")
    if made.left_out:
        say(f"not in it, because not committed: {', '.join(made.left_out)}")
    say(f"next: cd {made.root} && footfall ingest --source complete_journey")
