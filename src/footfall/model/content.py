"""Item vectors from an id, attributes and content: one table for inputs and outputs alike, made anew each step.

    item = kept id + gate * (projection of the content vector + mean of the attributes' vectors)

A known item's id row holds what its content does not explain; now and then it is dropped, so that content alone learns to serve. An item that
nobody has touched has no id row: it stands where its content says. What an item's content is, text, image or sound, is nobody's business here.
DropoutNet (Volkovs et al. 2017) for the dropped ids; a small delta on top of content after "Let It Go? Not Quite" (arXiv 2507.19473).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

ID_DROPOUT = 0.1
"""Where nobody says another."""
_DIRECTIONS = 2
"""Principal directions of the content that are read, times the model's width."""
_RIDGE, _FEW = 30.0, 3.0
"""How many items must agree before the projection, and an attribute's vector, begin where the items are."""


@dataclass(frozen=True)
class ItemContent:
    """What is known of V items beside who touched them; row 0, "no item", and rows of items of which nothing is known are zero.

    Attributes:
        vectors: (V + 1, W) float32; W is 0 without any.
        codes: (N,) attribute codes from 0, item after item.
        offsets: (V + 2,) item j owns codes[offsets[j]:offsets[j + 1]].
        id_dropout: chance that an item's id is dropped in a step of training.
    """

    vectors: Float32
    codes: Int64
    offsets: Int64
    id_dropout: float

    @classmethod
    def of(
        cls, items: int, vectors: Float32 | None = None, attributes: tuple[Int64, Int64] | None = None, id_dropout: float = ID_DROPOUT
    ) -> ItemContent:
        """Vectors, attributes (codes and offsets), or both, of `items` items.

        Raises:
            ValueError: they are of another number of items.
        """
        vectors = np.zeros((items + 1, 0), np.float32) if vectors is None else vectors
        codes, offsets = (np.zeros(0, np.int64), np.zeros(items + 2, np.int64)) if attributes is None else attributes
        if len(vectors) != items + 1 or len(offsets) != items + 2 or offsets[-1] != len(codes):
            raise ValueError(f"content of {len(vectors) - 1} and {len(offsets) - 2} items, expected {items}")
        return cls(vectors, codes, offsets, id_dropout)


class ContentProjection(nn.Module):
    """Content -> item vectors, by weights alone: what is kept of training, so that an item which came later can be given a vector.

    Args:
        width: of content vectors; 0 without any.
        directions: principal directions of them that are read.
        attributes: attribute codes that training met.
        dim: width of item vectors.
    """

    centre: Tensor
    basis: Tensor

    def __init__(self, width: int, directions: int, attributes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("basis", torch.zeros(width, directions))
        self.projection = nn.Linear(directions, dim, bias=False)
        self.attribute = nn.Embedding(attributes, dim)
        self.gate = nn.Linear(dim, dim)
        nn.init.normal_(self.projection.weight, std=0.02 / max(directions, 1) ** 0.5)  # each direction varies by one: no longer than an id
        nn.init.normal_(self.attribute.weight, std=0.02)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    @classmethod
    def from_weights(cls, weights: Mapping[str, npt.NDArray[Any]]) -> ContentProjection:
        """As it was saved: the arrays of its `state_dict`.

        Raises:
            ValueError: they do not fit each other.
        """
        try:
            (width, directions), (attributes, dim) = weights["basis"].shape, weights["attribute.weight"].shape
            made = cls(width, directions, attributes, dim)
            made.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        except (KeyError, ValueError, RuntimeError) as error:
            raise ValueError(f"no weights of a content projection: {error}") from error
        return made.eval()

    def read(self, vectors: Tensor) -> Tensor:
        """(N, W) content along the principal directions; nothing known stays zero."""
        found: Tensor = ((vectors - self.centre) @ self.basis) * vectors.any(1, keepdim=True)
        return found

    def forward(self, features: Tensor, codes: Tensor, offsets: Tensor) -> Tensor:
        """(N, dim) what content says, through the gate.

        Args:
            features: (N, directions) of `read`.
            codes, offsets: attributes; offsets (N,) say where each item's begin.
        """
        about = self.projection(features)
        if len(codes):
            about = about + self.mean_attributes(codes, offsets)
        gated: Tensor = 2.0 * torch.sigmoid(self.gate(about)) * about
        return gated

    def mean_attributes(self, codes: Tensor, offsets: Tensor) -> Tensor:
        """(N, dim) mean vector of each item's attributes; zero without any."""
        return F.embedding_bag(codes, self.attribute.weight, offsets, mode="mean")

    @torch.no_grad()
    def vector_of(self, vectors: Float32 | None = None, attributes: tuple[Int64, Int64] | None = None) -> Float32:
        """(N, dim) vectors of items outside the vocabulary, from their content alone.

        Args:
            vectors: (N, W) content.
            attributes: codes, and (N + 1,) offsets.

        Raises:
            ValueError: neither, vectors of another width, or a code that training has not met.
        """
        if vectors is None and attributes is None:
            raise ValueError("neither vectors nor attributes")
        items = len(vectors) if vectors is not None else len(attributes[1]) - 1 if attributes is not None else 0
        vectors = np.zeros((items, len(self.centre)), np.float32) if vectors is None else vectors
        codes, offsets = (np.zeros(0, np.int64), np.zeros(items + 1, np.int64)) if attributes is None else attributes
        if vectors.shape != (items, len(self.centre)) or len(offsets) != items + 1:
            raise ValueError(f"content is {vectors.shape}, of {len(offsets) - 1} items; expected ({items}, {len(self.centre)})")
        if codes.max(initial=-1) >= len(self.attribute.weight) or codes.min(initial=0) < 0:
            raise ValueError(f"attribute codes {codes.min()} to {codes.max()}; {len(self.attribute.weight)} are known")
        found: Float32 = self(self.read(torch.from_numpy(vectors)), torch.from_numpy(codes), torch.from_numpy(offsets[:-1])).numpy()
        return found


class ItemFusion(nn.Module):
    """Makes the table of item vectors in training.

    Args:
        content: of the vocabulary's items.
        counts: (V + 1,) events of each item; an item without any is one that nobody has touched.
        dim: width of item vectors.
    """

    features: Tensor
    codes: Tensor
    offsets: Tensor
    told: Tensor
    seen: Tensor

    def __init__(self, content: ItemContent, counts: Tensor, dim: int) -> None:
        super().__init__()
        self._chance = content.id_dropout
        vectors = torch.from_numpy(content.vectors)
        has = vectors.any(1)
        centre, basis = _directions(vectors[has], _DIRECTIONS * dim)
        self.projection = ContentProjection(len(centre), basis.shape[1], int(content.codes.max(initial=-1)) + 1, dim)
        self.projection.centre.copy_(centre)
        self.projection.basis.copy_(basis)
        told = has | torch.from_numpy(np.diff(content.offsets) > 0)
        frozen = {
            "features": self.projection.read(vectors),
            "codes": torch.from_numpy(content.codes),
            "offsets": torch.from_numpy(content.offsets[:-1]),
            "told": told[:, None].float(),
            "seen": (counts > 0)[:, None].float(),
        }
        for name, tensor in frozen.items():
            self.register_buffer(name, tensor, persistent=False)

    @torch.no_grad()
    def start_from(self, ids: Tensor) -> None:
        """Begin where content explains the vectors `ids` (V + 1, dim) best; they are left with what it does not, so their sums stay as they were.

        Attributes begin at the shrunk mean of their items' vectors, the projection at the ridge regression of the rest.
        """
        known, part = self.seen * self.told, self.projection
        wanted = ids * known
        if len(self.codes):
            sizes = torch.diff(self.offsets, append=torch.tensor([len(self.codes)]))
            items = torch.repeat_interleave(torch.arange(len(ids)), sizes)
            sums = torch.zeros_like(part.attribute.weight).index_add(0, self.codes, wanted[items])
            used = torch.zeros(len(sums)).index_add(0, self.codes, known[items, 0])
            part.attribute.weight.copy_(sums / (used + _FEW)[:, None])
            wanted = wanted - part.mean_attributes(self.codes, self.offsets) * known
        x = self.features * known
        left = x.T @ x + _RIDGE * torch.eye(x.shape[1])
        part.projection.weight.copy_(torch.linalg.solve(left, x.T @ wanted).T)
        ids.sub_(part(self.features, self.codes, self.offsets) * known)

    def forward(self, ids: Tensor) -> Tensor:
        """(V + 1, dim) item vectors from the id rows; in training some of those are dropped."""
        kept = self.seen
        if self.training and self._chance:
            kept = kept * torch.maximum((torch.rand_like(kept) >= self._chance).float(), 1.0 - self.told)
        table: Tensor = ids * kept + self.projection(self.features, self.codes, self.offsets) * self.told
        return table

    def biases(self, bias: Tensor) -> Tensor:
        """(V + 1,) biases as training sees them: what nobody has touched keeps the one it began with, else each step would push it down."""
        return torch.where(self.seen[:, 0] > 0, bias, bias.detach())


def _directions(vectors: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """(W,) centre and (W, R) basis of the leading principal directions, scaled so that each varies by one: what all items share says nothing."""
    width = vectors.shape[1]
    if not width or len(vectors) < 2:
        return torch.zeros(width), torch.zeros(width, 1)  # of no direction torch would warn
    centre = vectors.mean(0)
    spread, basis = torch.linalg.eigh((vectors - centre).T.double() @ (vectors - centre).double() / len(vectors))
    spread, basis = spread.flip(0)[:most], basis.flip(1)[:, :most]
    there = spread > 1e-6 * spread[0]
    return centre, (basis[:, there] * spread[there].rsqrt()).float()
