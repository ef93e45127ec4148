"""docs/operations.md has every address of the service, and says truly which of them the client has methods for."""

from __future__ import annotations

import re
from pathlib import Path

from bentos.routes.table import ENDPOINTS
from bentos.web.door import METRICS, PROBES
from footfall.client import CALLS

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
(TABLE,) = re.findall(r"^\| address \| \|\n\| --- \| --- \|\n(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
CELLS = [row.split(" | ")[0] for row in TABLE.splitlines()]


def paths(cell: str) -> set[str]:
    return set(re.findall(r"(/[\w./{}]+)`", cell))


def test_every_address_is_in_the_table_with_its_method_and_no_other() -> None:
    for endpoint in ENDPOINTS:
        assert any(endpoint.path in paths(cell) and endpoint.method in cell for cell in CELLS), endpoint.path
    told = set().union(*map(paths, CELLS))
    assert told == {endpoint.path for endpoint in ENDPOINTS} | PROBES - {"/healthz"} | {METRICS}


def test_the_client_has_a_method_for_every_address_that_the_page_says() -> None:
    assert "a method for every address above that begins with `/v1/`" in PAGE
    assert {path for path in set().union(*map(paths, CELLS)) if path.startswith("/v1/")} == {path for _, path in CALLS.values()}
