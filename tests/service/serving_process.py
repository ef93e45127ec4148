"""The service on a port, without BentoML, serving a bundle; or one whose release takes some seconds a history, and answers no more than that allows.

python serving_process.py STORE_URL BUNDLE PORT [SECONDS_A_HISTORY]
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


def main(url: str, bundle: str, port: str, seconds_a_history: str = "0") -> None:
    """Serve until a signal comes; then write what waits."""

    class SlowScorer(streaming_scorer.StreamingScorer):
        """Scores as it should, only slowly; it sleeps, so that the machine under test is not what is slow."""

        def scores(self, sequences: Sequences) -> Float32:
            """As ever."""
            found = super().scores(sequences)
            time.sleep(float(seconds_a_history) * len(sequences))
            return found

    streaming_scorer.StreamingScorer = SlowScorer  # type: ignore[misc]  # the recommender looks it up when it opens a bundle
    with streaming_service(url, Path(bundle)) as app:
        uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", lifespan="off", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
