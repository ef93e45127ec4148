"""`footfall trace --release ID`: the code, data and parameters that a release was made of."""

from __future__ import annotations

from typing import Annotated

import typer

from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root


@reporting
def run(
    release_id: Annotated[str, typer.Option("--release", help="A release id, such as r0123456789ab.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name what a release was made of: commit, raw batches with their digests, parameters; and what the gate said of it."""
    from flows.versions.lineage import trace
    from footfall.store import releases

    root = find_root(workspace)
    found = trace(root, releases.get(engine_of(root), release_id))
    if as_json:
        say_json(as_plain(found))
        return
    code, data, decision = found.code, found.data, found.decision or {}
    agrees = "yes" if found.lock_agrees else "NO: dvc.lock at this commit is not the one that the record was made from"
    say_table(
        f"release {found.release_id}",
        ["what", "value"],
        [
            ("state", found.state),
            ("as_of", found.as_of),
            ("parent", found.parent),
            ("commit", code["revision"]),
            ("tags", " ".join(code["tags"])),
            ("subject", code["subject"]),
            ("committed at", code["committed_at"]),
            ("dvc.lock agrees", agrees),
            ("decision", decision.get("outcome")),
            *(("because", reason) for reason in decision.get("reasons", [])),
        ],
    )
    if data["batches"] is None:
        say(f"raw batches: DVC's cache no longer holds the listing {data['raw']}; dvc fetch may bring it")
    else:
        say_table(
            f"raw batches, together {data['raw']}",
            ["table", "batch", "rows", "md5", "sha256"],
            [(b.contract, b.batch_id, b.rows, b.md5, b.sha256) for b in data["batches"]],
        )
    say_table("outputs", ["path", "md5"], sorted(data["outputs"].items()))
    params = [(f"{section}.{name}", value) for section, values in found.params.items() for name, value in values.items()]
    say_table("parameters", ["name", "value"], params)
    policies = found.metrics.get("policies", {})
    say_table("metrics", ["policy", "measures"], [(name, _figures(figures)) for name, figures in sorted(policies.items())])
    if code["tags"]:
        say(f"to have these bytes again: git clone {root} DIR, there git checkout {code['tags'][0]}, then dvc pull from this workspace's remote")


def _figures(figures: dict[str, object]) -> str:
    return "   ".join(f"{name} {value:.4f}" for name, value in sorted(figures.items()) if isinstance(value, float))
