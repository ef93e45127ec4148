"""The service on a port, without BentoML, with a release that takes 20 ms a history: about 50 slates a second and no more.

python slow_process.py STORE_URL BUNDLE PORT
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import uvicorn

from footfall.core import streaming_scorer
from footfall.core.sequences import Sequences
from footfall.core.streaming_block import Float32
from tests.unit.bentos.streaming_service import streaming_service

SECONDS_A_HISTORY = 0.02


class SlowScorer(streaming_scorer.StreamingScorer):
    """Scores as it should, only slowly; it sleeps, so that the machine under test is not what is slow."""

    def scores(self, sequences: Sequences) -> Float32:
        """As ever."""
        found = super().scores(sequences)
        time.sleep(SECONDS_A_HISTORY * len(sequences))
        return found


def main(url: str, bundle: str, port: str) -> None:
    """Serve until a signal comes."""
    streaming_scorer.StreamingScorer = SlowScorer  # type: ignore[misc]  # the recommender looks it up when it opens a bundle
    with streaming_service(url, Path(bundle)) as app:
        uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", lifespan="off", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
