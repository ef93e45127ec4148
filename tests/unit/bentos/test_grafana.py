"""docs/grafana.json and docs/alerts.yml ask for what /metrics has, and /metrics has nothing that the first leaves out."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bentos.web.counting import Counting
from footfall.store import arms
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import AS_OF, Service
from tests.unit.bentos.test_answers_over_http import bought, post_events, recommend
from tests.unit.bentos.test_arms import broken, candidate, look, raising
from tests.unit.bentos.test_rule_doors import PIN, put
from tests.unit.bentos.test_shadowing import counted, until

DOCS = Path(__file__).parents[3] / "docs"
DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
ALERTS = [rule for group in yaml.safe_load((DOCS / "alerts.yml").read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
NAME = re.compile(r"\bfootfall_\w+")


def queries(part: Any) -> Iterator[str]:
    """Every expression of the dashboard, those of its variables too."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name in ("expr", "query") and isinstance(value, str))
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from queries(one)


def with_arms(service: Service) -> None:
    """A shadow that makes a slate, then a canary that fails on a request."""
    shadow = candidate(service, "b")
    arms.begin_shadow(service.engine, shadow, AS_OF)
    look(service)
    service.answering._shadowing.start()
    recommend(service, user_id="ann")
    until(lambda: counted(service, shadow) == 1)
    service.answering._shadowing.close()
    arms.begin_canary(service.engine, shadow, 0.999_999, AS_OF)
    service.changeover.look()
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, shadow, raising(ValueError))
        recommend(service, user_id="ann")


@pytest.fixture
def samples(start: Callable[..., Service]) -> dict[str, set[str]]:
    """Name -> labels of every sample on the metrics page, after some of everything."""
    service = start()
    app = Counting(service.app, lambda: service.measures)
    post_events(service, bought("c"), bought("c"), {"user_id": "ann"})
    put(service, PIN)
    recommend(service, user_id="ann")
    recommend(service, filters={"brands": ["Nobody"]})
    ask(app, "GET", "/nowhere")
    with_arms(service)
    service.written()
    page = ask(app, "GET", "/metrics").body.decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_and_label_that_is_asked_for_is_there(samples: dict[str, set[str]]) -> None:
    asked = [query for query in queries(DASHBOARD) if "footfall_" in query]
    assert len(asked) >= len(DASHBOARD["panels"])
    for query in asked:
        assert_there(query, samples)


def assert_there(query: str, samples: dict[str, set[str]]) -> None:
    names = NAME.findall(query)
    assert [name for name in names if name not in samples] == [], query
    labels = {word.strip() for group in re.findall(r"by \(([\w, ]+)\)", query) for word in group.split(",")}
    labels |= {label for group in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)\s*[=!]", group)}
    assert labels <= set().union(*(samples[name] for name in names)), query


def test_every_metric_and_label_that_alerts_ask_for_is_there(samples: dict[str, set[str]]) -> None:
    assert [rule["alert"] for rule in ALERTS] == [f"Footfall{what}" for what in ("Down", "Fails", "ReleaseRefused", "ExposuresLost", "StoreAway")]
    for rule in ALERTS:
        assert NAME.findall(rule["expr"])
        assert_there(rule["expr"], samples)
        kept = {word.strip() for group in re.findall(r"by \(([\w, ]+)\)", rule["expr"]) for word in group.split(",")}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) == kept, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_a_release_that_cannot_be_opened_counts_on_while_it_is_tried_again(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentos.releases.opening.RETRY_S", 0.0)
    service = start()
    service.changeover.close()  # the test looks
    (service.bundles / "b" / "config.json").write_text("{}")
    refused = service.promote("b")
    for _ in range(3):
        service.changeover.look()
    page = service.measures.page()[0].decode()
    (line,) = [text for text in page.splitlines() if text.startswith(f'footfall_changeovers_total{{outcome="failed",release="{refused}"}}')]
    assert float(line.rpartition(" ")[2]) == 3


def test_a_legend_names_what_its_query_keeps() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            kept = {word.strip() for group in re.findall(r"by \(([\w, ]+)\)", target["expr"]) for word in group.split(",")} - {"le"}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) == kept, panel["title"]


def test_whatever_the_service_counts_is_on_the_dashboard(samples: dict[str, set[str]]) -> None:
    asked = {re.sub(r"_(total|bucket|count|sum)$", "", name) for query in queries(DASHBOARD) for name in NAME.findall(query)}
    counted = {re.sub(r"_(total|bucket|count|sum|created)$", "", name) for name in samples if name.startswith("footfall_")}
    assert counted == asked


def test_no_panel_lies_on_another() -> None:
    assert DASHBOARD["schemaVersion"] == 39
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    boxes = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for one, other in itertools.combinations(boxes, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
