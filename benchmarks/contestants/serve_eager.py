"""What a shop would write itself: FastAPI, and the network in eager torch for one user, straight from the bundle's weights.

    python -m benchmarks.contestants.serve_eager BUNDLE PORT

It takes and gives the same JSON as ours, reads the history from the request, and does nothing else: no store, no fallback, no limits. What ours finds
out besides (arm, chances, rules) is constant here.
"""

from __future__ import annotations

import math
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import torch.nn.functional as F  # noqa: N812
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field
from torch import Tensor

from footfall.bundle import open_bundle
from footfall.contracts import EVENT_TYPES
from footfall.core.sequence_model import DISTANCE_BUCKETS, GAP_BOUNDS_US

_TYPES = {name: code for code, name in enumerate(EVENT_TYPES)}
_OF_A_SLATE: dict[str, Any] = {"arm": "champion", "policy": "model", "degraded": None, "rules_excluding": []}
_OF_A_LINE: dict[str, Any] = {"propensity": 1.0, "probability": None, "reason": "taste", "rules": []}


class Event(BaseModel):
    """One event of the history."""

    event_type: str
    item_id: str | None = None
    occurred_at: datetime


class Ask(BaseModel):
    """The request."""

    events: list[Event] = Field(min_length=1, max_length=200)
    k: int = Field(10, ge=1, le=100)


class Eager:
    """The network for one history whose events each have a moment of their own."""

    def __init__(self, folder: Path) -> None:
        """Read the bundle."""
        bundle = open_bundle(folder)
        self.release, self._vocabulary = bundle.release_id, bundle.vocabulary
        self._w = {name: torch.from_numpy(array) for name, array in bundle.weights.items()}
        self._heads, self._blocks, self._dim = (int(bundle.config[name]) for name in ("heads", "blocks", "dim"))
        self._bounds = torch.from_numpy(GAP_BOUNDS_US)

    def slate(self, ask: Ask) -> list[tuple[str, float]]:
        """The k best items."""
        events = sorted(ask.events, key=lambda event: event.occurred_at)
        item = torch.from_numpy(self._vocabulary.encode([event.item_id for event in events])).long()
        kind = torch.tensor([_TYPES[event.event_type] for event in events])
        time = torch.tensor([round(event.occurred_at.timestamp() * 1e6) for event in events])
        with torch.inference_mode():
            best = torch.topk(self.logits(item, kind, time)[1:], ask.k)
        return list(zip(self._vocabulary.decode((best.indices + 1).tolist()), best.values.tolist(), strict=True))

    def logits(self, item: Tensor, kind: Tensor, time: Tensor) -> Tensor:
        """(V + 1,) of what comes next."""
        w, rows = self._w, len(item)
        gap = torch.bucketize(torch.diff(time, prepend=time[:1]), self._bounds)
        x = w["item.weight"][item] + w["event_type.weight"][kind] + w["gap_before.weight"][gap]
        steps = torch.arange(rows)
        distance = (steps[:, None] - steps + 1).clamp(0, DISTANCE_BUCKETS - 1)
        told = w["distance.weight"][distance] + w["gap.weight"][torch.bucketize(time[:, None] - time, self._bounds)]
        bias = told[..., : self._heads].permute(2, 0, 1).masked_fill(distance == 0, -math.inf)
        for number in range(self._blocks):
            x = self._block(f"layers.{number}.", x, bias)
        state = F.rms_norm(x[-1:], (self._dim,), w["norm.weight"])[0]
        logits = w["item.weight"] @ state + w["item_bias"]
        weights = told[-1, :, self._heads :] + w["repeat_item.weight"][item] + F.linear(state, w["repeat_state.weight"]) + w["repeat_weight"]
        own, place = torch.unique(item, return_inverse=True)
        decayed = torch.zeros(len(own)).index_add_(0, place, weights.exp().sum(1) * w["repeat_type"][kind])
        return logits.index_add_(0, own, torch.log1p(decayed.relu()))

    def _block(self, name: str, x: Tensor, bias: Tensor) -> Tensor:
        w = self._w
        qkv = F.linear(F.rms_norm(x, (self._dim,), w[f"{name}norm_attention.weight"]), w[f"{name}qkv.weight"])
        q, k, v = qkv.view(len(x), 3, self._heads, -1).permute(1, 2, 0, 3)
        seen = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=bias[None])[0].transpose(0, 1).reshape(x.shape)
        x = x + torch.sigmoid(F.linear(x, w[f"{name}gate_attention.weight"], w[f"{name}gate_attention.bias"])) * F.linear(
            seen, w[f"{name}out.weight"]
        )
        left, right = F.linear(F.rms_norm(x, (self._dim,), w[f"{name}norm_feed.weight"]), w[f"{name}feed_in.weight"]).chunk(2, dim=-1)
        gate = torch.sigmoid(F.linear(x, w[f"{name}gate_feed.weight"], w[f"{name}gate_feed.bias"]))
        return x + gate * F.linear(F.silu(left) * right, w[f"{name}feed_out.weight"])


def make_app(folder: Path) -> FastAPI:
    """The endpoint."""
    torch.set_num_threads(1)
    eager, app = Eager(folder), FastAPI(openapi_url=None)

    @app.get("/readyz")
    async def ready() -> bool:
        return True

    @app.post("/v1/recommend")
    async def recommend(ask: Ask) -> dict[str, Any]:
        slate = eager.slate(ask)
        items = [{"position": n, "item_id": item, "score": score, **_OF_A_LINE} for n, (item, score) in enumerate(slate, 1)]
        return {"request_id": uuid4().hex, "release": eager.release, **_OF_A_SLATE, "items": items}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
