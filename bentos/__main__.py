"""`python -m bentos build [MODEL_TAG]` and `python -m bentos serve [BENTO_TAG]`."""

from __future__ import annotations

import argparse
import sys

from footfall.errors import FootfallError, ReleaseError
from footfall.settings import load_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 done, 1 refused with a reason, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m bentos", description="Build and serve the HTTP service.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    building = verbs.add_parser("build", help="build a bento of this root's code")
    building.add_argument("tag", nargs="?", help="model tag, footfall:<release_id> (default: the champion's)")
    serving = verbs.add_parser("serve", help="serve a built bento from its own copy")
    serving.add_argument("tag", nargs="?", help="bento tag (default: the champion's, or the newest)")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "build":
            _build(chosen.tag)
        else:
            from bentos.serve import serve

            serve(chosen.tag)
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _build(tag: str | None) -> None:
    from bentos.build import build
    from footfall.store import open_store, releases

    settings = load_settings()
    if tag is None:
        engine = open_store(settings.store_url)
        champion = releases.champion(engine)
        engine.dispose()
        if champion is None:
            raise ReleaseError("no champion to build", expected="a promoted release, or a model tag", next_step="footfall release list")
        tag = champion.model_tag
    sys.stdout.write(f"{build(settings.root, tag)}\n")


if __name__ == "__main__":
    sys.exit(main())
