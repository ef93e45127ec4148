"""What is worth trying again: the world (a source, the store), never the maths."""

from __future__ import annotations

from typing import Any

from footfall.errors import ContractError, DiskError, FootfallError, SourceError, StoreError

RETRY_DELAYS = [2.0, 10.0]


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a task failed because the world did not answer: the operating system, a source or the store; not because data or code are wrong."""
    return is_of_the_world(state.data)


def is_of_the_world(error: object) -> bool:
    """Whether an error may go away by itself."""
    if isinstance(error, ContractError):
        return False
    if isinstance(error, FootfallError):
        return isinstance(error, StoreError | DiskError) or (isinstance(error, SourceError) and isinstance(error.__cause__, OSError))
    return isinstance(error, OSError)
