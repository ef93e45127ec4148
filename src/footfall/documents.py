"""The small JSON documents that cross a boundary: VERDICT, DECISION, REVIEW, MANIFEST and METRICS, each with a schema name and version.

A document is a frozen dataclass; `to_json` writes it with sorted keys and a final newline, so that equal documents are equal bytes.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from footfall.errors import ContractError


@dataclass(frozen=True)
class Document:
    """What all documents share: a schema name, and strict reading and writing."""

    SCHEMA: ClassVar[str] = ""

    def as_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, `schema` first."""
        return {"schema": self.SCHEMA, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """Sorted, indented JSON with a final newline."""
        return json.dumps(self.as_dict(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: object = None) -> Self:
        """Read a document of exactly this schema.

        Raises:
            ContractError: no JSON, another schema or version, a missing or unknown key.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ContractError("document is no JSON", where=where, expected=cls.SCHEMA, found=str(error)) from error
        found = document.pop("schema", None) if isinstance(document, dict) else None
        if found != cls.SCHEMA:
            raise ContractError("document has another schema", where=where, expected=cls.SCHEMA, found=found)
        names = {f.name for f in dataclasses.fields(cls)}
        if set(document) != names:
            raise ContractError("document has other keys", where=where, expected=sorted(names), found=sorted(document))
        return cls(**document)


@dataclass(frozen=True)
class Verdict(Document):
    """What the gate said of one batch or of the canonical tables.

    `outcome` is "pass" or "hold"; `quarantined` counts rows by reason; each check is {"rule", "severity": "row" | "batch", "ok", "expected",
    "observed", "error", "samples"}. An error inside a check stands in `error`, never as bad data. Samples name rows by ids: no user, no text.
    `profile` counts what the batch holds and `measures` holds that against the accepted batches before it; both None where nobody asked.
    `released` is {"by", "at", "note"} of the person who let a held batch in.
    """

    SCHEMA: ClassVar[str] = "footfall.verdict/2"
    BEFORE: ClassVar[str] = "footfall.verdict/1"
    subject: str
    contract: str
    outcome: str
    rows: int
    quarantined: dict[str, int]
    checks: list[dict[str, Any]]
    next_step: str | None = None
    profile: dict[str, Any] | None = None
    measures: list[dict[str, Any]] | None = None
    released: dict[str, str] | None = None

    @classmethod
    def from_json(cls, text: str, *, where: object = None) -> Self:
        """Read a verdict of this schema or of the one before, which had no samples, profile or measures.

        Raises:
            ContractError: no JSON, another schema or version, a missing or unknown key.
        """
        if f'"{cls.BEFORE}"' in text:
            text = _lifted(text, cls.BEFORE, cls.SCHEMA, {"profile": None, "measures": None, "released": None})
        return super().from_json(text, where=where)

    def without_samples(self) -> Self:
        """The same verdict without the ids of single rows: for reports that are kept where rows are not, and for erasure."""
        return dataclasses.replace(self, checks=[{**check, "samples": []} for check in self.checks])


def _lifted(text: str, before: str, schema: str, added: dict[str, Any]) -> str:
    """A document of the schema `before` with the keys that `schema` added; any other text as it is."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    if not isinstance(document, dict) or document.get("schema") != before:
        return text
    return json.dumps({**document, **added, "schema": schema})


@dataclass(frozen=True)
class Decision(Document):
    """What the release gate said of a challenger: `outcome` is "promote" or "refuse", with every reason and the evidence."""

    SCHEMA: ClassVar[str] = "footfall.decision/1"
    challenger: str
    champion: str | None
    outcome: str
    reasons: list[str]
    evidence: dict[str, Any] = field(default_factory=dict)


DRIFT, NO_DRIFT = "drift", "no drift"
"""What a review's verdict may be."""


@dataclass(frozen=True)
class Review(Document):
    """One drift report as a reviewable object.

    `verdict` is DRIFT or NO_DRIFT; `state` is "open", "retrain", "snoozed" or "dismissed"; moments are ISO 8601 UTC.
    """

    SCHEMA: ClassVar[str] = "footfall.review/1"
    review_id: str
    created_at: str
    release: str | None
    reference: list[str]
    current: list[str]
    verdict: str
    reasons: list[str]
    measures: list[dict[str, Any]]
    report_html: str | None
    report_json: str | None
    state: str = "open"
    decided_by: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Manifest(Document):
    """What a bundle says of itself: nothing in it depends on the clock or on the bundle's own digest."""

    SCHEMA: ClassVar[str] = "footfall.manifest/1"
    files: dict[str, str]
    inputs: dict[str, str]
    as_of: str
    train_end: str
    validation_end: str
    params: dict[str, Any]
    contracts: dict[str, int]


@dataclass(frozen=True)
class Metrics(Document):
    """reports/metrics.json: the protocol, every policy's metrics, slices, paired differences between policies, and the heads'.

    Of what a slate's lines say: whether `purchase_chance` comes true, and which share of the `explanations` passes their test. `exposure` is how much
    of what policies show goes to the long tail and to each brand (`core.exposure_figures`).
    """

    SCHEMA: ClassVar[str] = "footfall.metrics/4"
    BEFORE: ClassVar[dict[str, dict[str, Any]]] = {
        "footfall.metrics/1": {"heads": {}, "purchase_chance": {}, "explanations": {}, "exposure": {}},
        "footfall.metrics/2": {"purchase_chance": {}, "explanations": {}, "exposure": {}},
        "footfall.metrics/3": {"exposure": {}},
    }
    protocol: dict[str, Any]
    policies: dict[str, dict[str, Any]]
    slices: dict[str, dict[str, Any]]
    differences: dict[str, dict[str, Any]] = field(default_factory=dict)
    heads: dict[str, Any] = field(default_factory=dict)
    purchase_chance: dict[str, Any] = field(default_factory=dict)
    explanations: dict[str, Any] = field(default_factory=dict)
    exposure: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str, *, where: object = None) -> Self:
        """Read metrics of this schema or of those before: the first had one cut-off and fewer policies and slices.

        Raises:
            ContractError: no JSON, another schema or version, a missing or unknown key.
        """
        for before, added in cls.BEFORE.items():
            text = _lifted(text, before, cls.SCHEMA, added)
        return super().from_json(text, where=where)


@dataclass(frozen=True)
class ErasureCertificate(Document):
    """What became of one erasure: where the user was, when they were gone from there, and what still bears their traces. It does not say who.

    Each place is {"place", "rows", "at"}: rows found there, and when they were gone (null: not yet). Each of `releases` is {"release_id",
    "revision"}: it was trained on raw batches that are gone, and cannot be rebuilt byte for byte. `left` counts by place what a last look found.
    """

    SCHEMA: ClassVar[str] = "footfall.erasure/1"
    erasure_id: str
    subject: str
    requested_at: str
    finished_at: str | None = None
    seconds: float | None = None
    places: list[dict[str, Any]] = field(default_factory=list)
    releases: list[dict[str, str]] = field(default_factory=list)
    remains: list[str] = field(default_factory=list)
    left: dict[str, int] | None = None
