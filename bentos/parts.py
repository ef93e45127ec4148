"""What the routes work with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bentos.measures import Measures
from bentos.slates.answering import Answering


@dataclass(frozen=True)
class Parts:
    """The service puts it into `app.state.parts` once it has started.

    Attributes:
        answering: the service without its HTTP.
        measures: what is counted.
        pseudonymise: a user id as it comes -> as it is kept.
        replay_clock: whether requests may state the moment they are asked at.
        threads: for work that would keep others waiting.
    """

    answering: Answering
    measures: Measures
    pseudonymise: Callable[[str], str]
    replay_clock: bool
    threads: ThreadPoolExecutor
