"""One YAML file that a person wrote: values taken out with their kind checked; every error names file and key, and the nearest right key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from footfall.errors import SourceError


class YamlFile:
    """Reads parts of one parsed file.

    Args:
        path: the file, for messages.
        what: what it is called in messages: "mapping".
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what

    def parsed(self, manual: str) -> object:
        """The file's content.

        Raises:
            SourceError: it is missing, or no YAML.
        """
        try:
            return yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SourceError(f"{self.what} cannot be read", where=self.path, found=type(error).__name__, next_step=f"see {manual}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SourceError(f"{self.what} is no YAML", where=self.path, found=str(error).splitlines()[0], next_step=f"mend {self.path}") from error

    def dictionary(self, given: object, key: str, known: Sequence[str]) -> dict[str, Any]:
        """A dictionary of known keys."""
        if not isinstance(given, dict):
            raise self.error(key, f"keys among {', '.join(known)}", type(given).__name__)
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, 1)
                raise self.error(f"{key}: {name}", f"{near[0]}?" if near else ", ".join(known), "an unknown key")
        return given

    def list(self, given: object, key: str) -> list[Any]:
        """A list; nothing is the empty one."""
        if given is None:
            return []
        if not isinstance(given, list):
            raise self.error(key, "a list", type(given).__name__)
        return given

    def text(self, given: object, key: str) -> str:
        """A text that is not empty."""
        if not isinstance(given, str) or not given:
            raise self.error(key, "a text", "nothing" if given is None or given == "" else type(given).__name__)
        return given

    def flag(self, given: object, key: str) -> bool:
        """True or false."""
        if not isinstance(given, bool):
            raise self.error(key, "true or false", given)
        return given

    def one_of(self, given: object, key: str, known: Sequence[str]) -> str | None:
        """One of a few words, or nothing."""
        if given is None:
            return None
        if given not in known:
            raise self.error(key, ", ".join(known), given)
        return str(given)

    def error(self, key: str, expected: object, found: object) -> SourceError:
        """What to raise for a wrong value."""
        return SourceError(f"{self.what} cannot be used", where=f"{self.path}, {key}", expected=expected, found=found, next_step=f"mend {self.path}")
