"""Which release serves, as tests ask."""

from __future__ import annotations

from footfall.store import Engine, releases


def champion_id(engine: Engine) -> str | None:
    """Of the champion; None before the first promotion."""
    champion = releases.champion(engine)
    return None if champion is None else champion.release_id
