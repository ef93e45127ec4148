"""What an event says beyond its item and type: what was searched for, and how long a view lasted. The one rule for tables and for requests."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from footfall.core.sequences import Int8, Int32, Sequences
from footfall.core.vocabulary import Vocabulary

Float64 = npt.NDArray[np.float64]

DURATION_BOUNDS = np.array([2.0**power for power in range(14)])
"""Seconds at which the next duration code begins: 1, 2, 4 ... 8192; code 1 is less than a second."""
DURATION_CODES = len(DURATION_BOUNDS) + 2
"""Codes of durations, 0 (unknown) included."""


def normalise_query(text: str) -> str:
    """A query as it is counted and looked up: letters compared without case or width, white space once. Empty when nothing is left.

    >>> normalise_query("  Green  TEA ")
    'green tea'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def encode_queries(queries: Vocabulary, texts: Sequence[str | None]) -> Int32:
    """(N,) int32 query_index of texts as they were typed; 0 for one that `queries` (normalised texts) lacks, and for None."""
    return queries.encode([None if text is None else normalise_query(text) for text in texts])


def duration_codes(seconds: Sequence[float | None] | Float64) -> Int8:
    """(N,) int8: 0 for unknown (None, NaN or less than nothing), 1 below a second, then one more a doubling, up to `DURATION_CODES` - 1.

    >>> duration_codes([None, 0.0, 1.0, 1.9, 2.0, 1e9]).tolist()
    [0, 1, 2, 2, 3, 15]
    """
    given = np.asarray(seconds, dtype=np.float64)
    codes = 1 + np.searchsorted(DURATION_BOUNDS, given, side="right")
    return np.where(given >= 0, codes, 0).astype(np.int8)


def unknown_signals(sequences: Sequences, queries: int, durations: int) -> str | None:
    """What a model of so many queries and duration codes cannot read in these histories, in words; None when it can read all.

    A model of none looks at none, so that any fit.
    """
    for name, array, codes in (("query_index", sequences.query_index, queries and queries + 1), ("duration", sequences.duration, durations)):
        if codes and array is not None and len(array) and not 0 <= int(array.min()) <= int(array.max()) < codes:
            return f"{name} from {array.min()} to {array.max()}; the model knows 0 to {codes - 1}"
    return None
