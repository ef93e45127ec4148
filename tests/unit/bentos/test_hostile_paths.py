"""Names in a path are only names: whatever stands there, the service stays inside its store and answers no 5xx."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from bentos.routes.table import ENDPOINTS
from bentos.web.endpoints import Endpoint
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import Service
from tests.unit.footfall_cli.test_hostile_names import NAMES, tree, watched

WITH_NAMES = [endpoint for endpoint in ENDPOINTS if endpoint.parameters]


def test_there_are_endpoints_with_names_in_their_path() -> None:
    assert WITH_NAMES


@pytest.mark.parametrize("endpoint", WITH_NAMES, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_no_name_in_a_path_leads_anywhere(service: Service, endpoint: Endpoint, tmp_path: Path, checkout: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "loot").write_text("x")
    before, statuses = tree(outside), set()
    with watched(tmp_path, checkout):
        for name in NAMES:
            for given in {name, unquote(name)}:
                text = given.encode("utf-8", "replace").decode()
                path = endpoint.path
                for parameter in endpoint.parameters:
                    path = path.replace("{" + parameter + "}", text)
                statuses.add(ask(service.app, endpoint.method, path, None if endpoint.body is None else {}).status)
    assert statuses <= {200, 201, 202, 204, 400, 404, 405, 409}
    assert tree(outside) == before
