"""Every error that Footfall raises on purpose, as one tree.

    FootfallError
    ├── SettingsError        an environment variable is missing or unusable
    ├── ParamsError          params.yaml holds an unknown key or a wrong value
    ├── ContractError        a table or document breaks its contract (names, types, keys)
    ├── SourceError          raw data cannot be read
    │   └── SealError        a sealed file is damaged, or its key is not here
    ├── DiskError            the disk is full, or refuses to be written
    ├── HoldError            a batch or the canonical tables were held by the gate
    ├── BundleError          a bundle is damaged, foreign or unusable
    ├── StoreError           the live store refuses or cannot be reached
    │   └── StoreDamageError its file is damaged
    ├── ReleaseError         a release is unknown or may not change state that way
    ├── WorkspaceError       a workspace or checkout is not in the state a verb needs
    │   └── ErasureError     a user was erased whose rows this work was made from
    ├── BusyError            another retrain holds the lease
    └── ServiceError         a process that Footfall needs did not start or answer
        └── ClientError      the HTTP service refused a call, or gave no answer to it

Each says what went wrong, where, what was expected, what was found, and the next thing to type.
This module knows nothing of tables, frameworks or files.
"""

from __future__ import annotations

from typing import Any


class FootfallError(Exception):
    """Base of all deliberate errors.

    Args:
        what: one sentence, no full stop: the fault itself.
        where: file, table, field or request in which it was found.
        expected: what would have been right.
        found: what was there instead; never a raw user id or query text.
        next_step: the command or action that most likely mends it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        next_step: str | None = None,
    ) -> None:
        """Keep the parts so that callers can render them as text or JSON."""
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = None if expected is None else str(expected)
        self.found = None if found is None else str(found)
        self.next_step = next_step
        super().__init__(self.__str__())

    def __str__(self) -> str:
        """Render as one short paragraph, a line a part."""
        parts = [("where", self.where), ("expected", self.expected), ("found", self.found), ("next", self.next_step)]
        return "\n".join([self.what, *(f"  {name}: {value}" for name, value in parts if value is not None)])

    def as_dict(self) -> dict[str, str | None]:
        """The same parts as a JSON-ready dictionary, for `--json` and HTTP bodies."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "next": self.next_step,
        }


class SettingsError(FootfallError):
    """An environment variable is missing or unusable."""


class ParamsError(FootfallError):
    """params.yaml holds an unknown key or a wrong value."""


class ContractError(FootfallError):
    """A table or document breaks its contract."""


class SourceError(FootfallError):
    """Raw data cannot be read."""


class DiskError(FootfallError):
    """The disk is full, or refuses to be written."""


class SealError(SourceError):
    """A sealed file is damaged, or was sealed by a key that is not here."""


class HoldError(FootfallError):
    """A batch or the canonical tables were held by the gate."""


class BundleError(FootfallError):
    """A bundle is damaged, foreign or unusable."""


class SignatureError(BundleError):
    """A bundle is not signed by whom it should be."""


class StoreError(FootfallError):
    """The live store refuses or cannot be reached."""


class StoreDamageError(StoreError):
    """The live store's file, or a backup of it, is damaged."""


class ReleaseError(FootfallError):
    """A release is unknown, or may not change state that way."""


class WorkspaceError(FootfallError):
    """A workspace or checkout is not in the state that a verb needs."""


class ErasureError(WorkspaceError):
    """A user was erased meanwhile, and what was being made holds their rows."""


class BusyError(FootfallError):
    """Another retrain holds the lease."""


class ServiceError(FootfallError):
    """A process that Footfall needs did not start or answer."""


class ClientError(ServiceError):
    """The HTTP service refused a call, or gave no answer to it.

    Attributes:
        status: of HTTP; None where there was no answer.
        error: the service's one word for programs, as `invalid` or `unavailable`; None where it said none.
        retry_after_s: when the service asks to come again; None where it does not.
        taken: how many things of a longer list had been sent in whole before this call failed.
    """

    def __init__(self, what: str, *, status: int | None = None, error: str | None = None, retry_after_s: float | None = None, **parts: Any) -> None:
        """Keep the parts; `parts` are those of every FootfallError."""
        self.status, self.error, self.retry_after_s = status, error, retry_after_s
        self.taken = 0
        super().__init__(what, **parts)

    def as_dict(self) -> dict[str, Any]:
        """As of every error, with the status."""
        return {**super().as_dict(), "status": self.status}
