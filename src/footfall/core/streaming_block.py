"""One block of the sequence model in numpy: attention and SwiGLU over the newest moments of some users, see `model.network.Block`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Arrays = Mapping[str, npt.NDArray[Any]]
Look = tuple[Float32, Float32, Float32]
Rows = tuple[Float32, list[Float32], list[Float32]]

_EPSILON = np.float32(np.finfo(np.float32).eps)


_LINE = 64
"""Bytes of a cache line."""


def on_cache_lines(matrix: npt.NDArray[Any]) -> Float32:
    """The same numbers as float32, beginning where a cache line does, copied where they do not.

    Rows of whole lines are then read without touching one line twice: a product with one vector takes a sixth less time among 12,000 rows of 64.
    """
    given: Float32 = np.ascontiguousarray(matrix, dtype=np.float32)
    if given.ctypes.data % _LINE == 0:
        return given
    room = np.empty(given.nbytes + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    placed: Float32 = room[first : first + given.nbytes].view(np.float32).reshape(given.shape)
    placed[:] = given
    return placed


@dataclass(frozen=True)
class Block:
    """Weights of one block, turned round for rows; a norm's scale stands in the matrix that follows it."""

    qkv: Float32
    out: Float32
    gate_attention: tuple[Float32, Float32]
    feed_in: Float32
    feed_out: Float32
    gate_feed: tuple[Float32, Float32]
    heads: int

    @classmethod
    def of(cls, weights: Arrays, prefix: str, heads: int) -> Block:
        """The block whose parameters' names begin with `prefix`."""

        def turned(name: str, norm: str | None = None) -> Float32:
            matrix = weights[f"{prefix}{name}.weight"].astype(np.float32)
            return np.ascontiguousarray((matrix if norm is None else matrix * weights[f"{prefix}{norm}.weight"]).T)

        def gate(name: str) -> tuple[Float32, Float32]:
            return turned(name), weights[f"{prefix}{name}.bias"]

        qkv, feed_in = turned("qkv", "norm_attention"), turned("feed_in", "norm_feed")
        return cls(qkv, turned("out"), gate("gate_attention"), feed_in, turned("feed_out"), gate("gate_feed"), heads)

    def __call__(self, x: Float32, bias: Sequence[Float32], keys: Sequence[Float32], values: Sequence[Float32]) -> Rows:
        """The newest rows of all users through the block, and each user's (T, dim) keys and values: of the moments before, and of all rows.

        Only attention looks at one user at a time; all else is done for all rows at once.

        Args:
            x: the newest moments of each user, user after user: r of a user's T.
            bias: (H, q, T) of each user, added to the attention's logits of the newest q of the r moments, which alone are gone on with.
            keys, values: (T - r, dim) of each user's moments before.
        """
        asked, first, looks, kept = normed(x) @ self.qkv, 0, list[Look](), list[Float32]()
        for told, *before in zip(bias, keys, values, strict=True):
            end = first + told.shape[2] - len(before[0])
            looks.append(self._look(asked[first:end], told, *before))
            kept.append(x[end - told.shape[1] : end])
            first = end
        seen, all_keys, all_values = ([look[part] for look in looks] for part in range(3))
        x = together(kept)
        x = x + _gate(x, self.gate_attention) * (together(seen) @ self.out)
        asked, inner = normed(x) @ self.feed_in, len(self.feed_out)
        fed: Float32 = silu(asked[:, :inner]) * asked[:, inner:]
        return x + _gate(x, self.gate_feed) * (fed @ self.feed_out), all_keys, all_values

    def _look(self, asked: Float32, bias: Float32, keys: Float32, values: Float32) -> Look:
        """What the newest q moments of one user see of all, (q, dim), and the keys and values of all."""
        dim = keys.shape[1]
        queries, keys, values = (
            asked[-bias.shape[1] :, :dim],
            np.concatenate([keys, asked[:, dim : 2 * dim]]),
            np.concatenate([values, asked[:, 2 * dim :]]),
        )
        width = dim // self.heads
        by_head = [part.reshape(len(part), self.heads, width).transpose(1, 0, 2) for part in (queries, keys, values)]
        weights: Float32 = by_head[0] @ by_head[1].transpose(0, 2, 1)
        weights *= width**-0.5
        weights += bias
        weights -= weights.max(axis=2, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=2, keepdims=True)
        seen: Float32 = (weights @ by_head[2]).transpose(1, 0, 2).reshape(queries.shape)
        return seen, keys, values


def together(arrays: Sequence[Float32]) -> Float32:
    """One after the other; of a single one no copy."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def normed(x: Float32) -> Float32:
    """Rows over their root mean square (Zhang and Sennrich 2019), without a scale."""
    squares: Float32 = np.einsum("...i,...i->...", x, x)
    found: Float32 = x / np.sqrt(squares / np.float32(x.shape[-1]) + _EPSILON)[..., None]
    return found


def _sigmoid(x: Float32) -> Float32:
    """By the hyperbolic tangent, which does not overflow."""
    found = np.tanh(x * np.float32(0.5))
    found += np.float32(1)
    found *= np.float32(0.5)
    return np.asarray(found)


def silu(x: Float32) -> Float32:
    """Each number times its sigmoid (Elfwing et al. 2017)."""
    return x * _sigmoid(x)


def _gate(x: Float32, weights: tuple[Float32, Float32]) -> Float32:
    return _sigmoid(x @ weights[0] + weights[1])
