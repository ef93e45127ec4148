"""How the service's log reads: lines for people, or one JSON object a line (FOOTFALL_LOG=json).

Whatever failed is told without its words: those of a driver or of a list may quote a row, an id or a query. What an exception is and where it
was raised says what an operator needs; only Footfall's own errors, which never hold such values, also say what was wrong and what to do.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from footfall.errors import FootfallError

JSON_LINES = "json"
_FIELDS = ("release", "route", "status")
"""What a line may say beside its message, where whoever logs knows it."""
_FRAMES = 12
_CAUSES = 8


def set_up_logs(form: str, release: Callable[[], str | None]) -> None:
    """Make every log line of this process safe to keep, those of the server around it too.

    Args:
        form: "json"; "text" leaves lines as the server writes them, but for exceptions.
        release: which release serves, for lines that do not name one.
    """
    logging.getLogger("footfall").setLevel(logging.INFO)
    formatter = JsonLines(release) if form == JSON_LINES else None
    for handler in _handlers():
        handler.addFilter(without_values)
        if formatter is not None:
            handler.setFormatter(formatter)


def without_values(record: logging.LogRecord) -> bool:
    """Let the record through, its exception told without its words."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = "\n".join(line for told in _told(record.exc_info[1]) for line in _as_lines(told))
    return True


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, release, route, status, and of an exception its kinds and places."""

    def __init__(self, release: Callable[[], str | None]) -> None:
        """Keep whom to ask for the release."""
        super().__init__()
        self._release = release

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = {name: getattr(record, name, None) for name in _FIELDS}
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **said,
            "release": said["release"] or self._release(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["errors"] = list(_told(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)


def _told(error: BaseException) -> Iterator[dict[str, Any]]:
    """The exception, then what caused it: its kind, where it passed (innermost last), and the words of our own errors."""
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if cause is None:
            return
        told: dict[str, Any] = {"kind": type(cause).__name__}
        if isinstance(cause, FootfallError):
            told |= {"what": cause.what, "next": cause.next_step}
        frames = traceback.extract_tb(cause.__traceback__)[-_FRAMES:]
        yield told | {"at": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]}
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _as_lines(told: dict[str, Any]) -> list[str]:
    head = " ".join(str(told[name]) for name in ("kind", "what") if told.get(name))
    return [head, *(f"  at {place}" for place in told["at"])]


def _handlers() -> list[logging.Handler]:
    """Every handler that writes lines of this process."""
    loggers = [logging.getLogger(), *(one for one in logging.Logger.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    return list({id(handler): handler for logger in loggers for handler in logger.handlers}.values())
