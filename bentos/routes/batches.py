"""PUT of up to 1,000 things of a kind: the good ones are kept, the others are named, and the whole may be sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bentos.web.endpoints import REJECTED, Asked, Endpoint, rejection
from bentos.web.fields import Record, Schema, UnfitError, each, object_schema
from bentos.web.problems import Answer, answer

MAX_BATCH = 1000

_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_BATCH}
BATCH_ANSWER: Schema = {
    "title": "BatchAnswer",
    **object_schema({"accepted": _COUNT, "rejected": {"type": "array", "maxItems": MAX_BATCH, "items": REJECTED}}),
}


@dataclass(frozen=True)
class Batch:
    """One kind of thing.

    Attributes:
        name: of the field that holds the list.
        record: one of them.
        refine: its fields -> what is kept; raises `UnfitError`.
        keep: writes all that fit.
    """

    name: str
    record: Record
    refine: Callable[[dict[str, Any], Asked], Any]
    keep: Callable[[list[Any], Asked], Any]

    def endpoint(self, path: str, role: str, summary: str) -> Endpoint:
        """Its route."""
        title = self.name.capitalize() + "Request"
        body = Record(title, {self.name: each(self.record.field(), MAX_BATCH, shortest=1)}, (self.name,), dated=True)
        answers = {200: ("Kept; what was rejected is named", BATCH_ANSWER), 400: ("Nothing fits, or the body does not", BATCH_ANSWER)}
        return Endpoint("PUT", path, role, summary, self._handle, answers, body=body)

    async def _handle(self, asked: Asked) -> Answer:
        return answer(*await asked.in_thread(self._take, asked))

    def _take(self, asked: Asked) -> tuple[dict[str, Any], int]:
        fit, rejected = [], []
        for index, one in enumerate(asked.body[self.name]):
            try:
                fit.append(self.refine(self.record.read(one), asked))
            except UnfitError as unfit:
                rejected.append(rejection(index, unfit, self.name))
        if fit:
            self.keep(fit, asked)
        return {"accepted": len(fit), "rejected": rejected}, 200 if fit else 400
