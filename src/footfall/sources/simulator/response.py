"""What truly makes a simulated user click and buy. The events are drawn from these very functions, and policies are compared with them.

A user looks at the position, or does not (`examination`); who looks clicks by liking (`attraction`); who has clicked may put the item into the
cart (`carting`) and then buy it (`buying`). Items of one slate do not influence each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.sources.simulator.draws import Float32, Float64
from footfall.sources.simulator.people import People
from footfall.sources.simulator.world import Standing, World

_PULL = 3.0  # logits between an item that is just a user's taste and one that has nothing to do with it
_FAVOURITE = 1.5
_BIAS = 0.25


def liking(world: World, standing: Standing, users: npt.NDArray[Any], items: npt.NDArray[Any]) -> Float32:
    """(n,) liking in logits of n users for n items on the day of `standing`: taste, favourites, price, and what everybody thinks of the item."""
    people, tastes = world.people, standing.tastes
    liked = _PULL * np.einsum("nd,nd->n", tastes.vectors[users], world.assortment.vectors[items])
    liked += standing.appeal[items]
    liked -= people.thrift[users] * standing.dearness[items]
    liked += _FAVOURITE * (tastes.favourites[users] == items[:, None]).any(axis=1)
    return np.asarray(liked, np.float32)


def likings(world: World, standing: Standing, users: npt.NDArray[Any]) -> Float32:
    """(n, N) liking of n users for all N items; the same numbers as `liking`, but for rounding."""
    people: People = world.people
    liked = _PULL * (standing.tastes.vectors[users] @ world.assortment.vectors.T)
    liked += standing.appeal
    liked -= people.thrift[users][:, None] * standing.dearness
    favourite = np.zeros(liked.shape, np.bool_)
    np.put_along_axis(favourite, standing.tastes.favourites[users], values=True, axis=1)
    return np.asarray(liked + np.float32(_FAVOURITE) * favourite, np.float32)


def examination(positions: npt.NDArray[Any]) -> Float32:
    """Chance that a user who sees the slate looks at a position (1 is the top).

    >>> examination(np.array([1, 5])).tolist()
    [1.0, 0.5]
    """
    return np.asarray(1.0 / (1.0 + _BIAS * (positions - 1.0)), np.float32)


def attraction(liked: Float32) -> Float32:
    """Chance of a click on an item that is looked at."""
    return _logistic(liked - 1.3)


def carting(liked: Float32) -> Float32:
    """Chance that an item that was clicked goes into the cart."""
    return _logistic(0.6 * liked - 1.3)


def buying(liked: Float32) -> Float32:
    """Chance that an item in the cart is bought."""
    return _logistic(0.4 * liked + 0.2)


def satisfaction(liked: Float32, luck: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rating 1 to 5 of a bought item; `luck` is standard normal."""
    return np.asarray(np.clip(np.rint(3.4 + 0.5 * liked + 0.9 * luck), 1, 5), np.int64)


def returning(liked: Float32) -> Float32:
    """Chance that a bought item comes back."""
    return _logistic(-2.8 - 0.5 * liked)


def purchase_given_click(liked: Float32) -> Float64:
    """Chance that an item that was clicked is bought in the same visit."""
    return carting(liked).astype(np.float64) * buying(liked)


def _logistic(logits: Float32) -> Float32:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float32)
