"""Who belongs to an experiment: by a hash of the user and of the experiment, so that nothing has to be remembered.

The same user has the same place on every worker and after every start. A larger share takes in more users and lets none go. Another experiment
is another salt, and its places have nothing to do with those of the first: who was tried on once is not tried on always.
"""

from __future__ import annotations

from hashlib import sha256

_BITS = 53
"""As many as a float holds exactly."""


def place_of(user_id: str, experiment: str) -> float:
    """The user's place in an experiment: uniform in 0 <= place < 1.

    Args:
        user_id: a pseudonym.
        experiment: what tells it from others.
    """
    digest = sha256(f"{experiment}\0{user_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 64 - _BITS) / (1 << _BITS)


def takes_part(user_id: str, experiment: str, share: float) -> bool:
    """Whether the user is among the `share` (0 to 1) of all users that the experiment takes in."""
    return place_of(user_id, experiment) < share
