"""The page of a verdict: whole by itself, escaped, and with every rule on it."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from html.parser import HTMLParser

import pytest

from expectations.gate import Past, judge
from expectations.page import render
from footfall.documents import Verdict
from footfall.errors import ContractError
from tests.unit.rows import day, events, user

VERDICT = judge(
    "events", events({}, {"quantity": 0}), subject="shop-2017-03", until=day(900), past=Past((), (date(2017, 3, 1), date(2017, 4, 1)))
).verdict


class Tags(HTMLParser):
    """Tags in their order, and what they point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "onclick")]
        if tag not in ("meta", "rect", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


def test_a_page_needs_no_network_and_no_script_and_closes_its_tags() -> None:
    page = render(VERDICT)
    tags = Tags(page)
    assert (tags.open, tags.links) == ([], [])
    assert {"script", "link", "img", "iframe"} & set(tags.names) == set()
    assert not any(word in page for word in ("http:", "https:", "@import", "url("))
    assert tags.names.count("svg") == 2
    assert '<html lang="en">' in page


def test_every_rule_stands_on_the_page_with_what_was_expected_and_observed() -> None:
    page = render(VERDICT)
    for check in VERDICT.checks:
        assert check["rule"] in page
    assert "1 of 2 rows break it" in page
    assert "not asked: too little history" in page


def test_what_comes_from_data_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    sample = {"row": 0, evil: evil}
    checks = [{"rule": evil, "severity": "batch", "ok": False, "expected": evil, "observed": evil, "error": evil, "samples": [sample]}]
    released = {"by": evil, "at": evil, "note": evil}
    page = render(dataclasses.replace(VERDICT, subject=evil, checks=checks, next_step=evil, released=released, quarantined={evil: 1}))
    assert evil not in page
    assert "&lt;script&gt;" in page


def test_samples_name_rows_and_no_user() -> None:
    assert user("ann") not in render(VERDICT) + VERDICT.to_json()
    samples = [sample for check in VERDICT.checks for sample in check["samples"]]
    assert {"row": 1, "event_id": "e001", "item_id": "apple", "event_type": "purchase", "quantity": 0} in samples
    assert [check["samples"] for check in VERDICT.without_samples().checks] == [[]] * len(VERDICT.checks)


def test_a_receipt_of_the_first_version_reads_as_one_of_this() -> None:
    said = {"subject": "s", "contract": "events", "outcome": "pass", "rows": 1, "quarantined": {}, "checks": [], "next_step": None}
    old = json.dumps({"schema": "footfall.verdict/1", **said})
    assert Verdict.from_json(old) == Verdict("s", "events", "pass", 1, {}, [])
    assert render(Verdict.from_json(old))
    with pytest.raises(ContractError, match="another schema"):
        Verdict.from_json(old.replace("verdict/1", "verdict/3"))
