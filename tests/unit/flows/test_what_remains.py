"""What an erasure does not reach is said in its certificate."""

from __future__ import annotations

from pathlib import Path

from flows.certificates import remains
from footfall.documents import ErasureCertificate
from footfall.paths import Paths
from footfall.store import Engine


def test_slates_that_were_written_for_everybody_are_named_as_long_as_they_lie_here(tmp_path: Path, sqlite: Engine) -> None:
    paths, known = Paths(tmp_path), ErasureCertificate("e1", "digest", "2020-05-20T12:00:00+00:00")
    before = remains(paths, sqlite, known)
    paths.slates.mkdir(parents=True)
    (paths.slates / "email-1.parquet").touch()
    said = [line for line in remains(paths, sqlite, known) if line not in before]
    assert len(said) == 1
    assert f"delete email-1.parquet in {paths.slates}" in said[0]
