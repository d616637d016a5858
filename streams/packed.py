"""Many names as two arrays: a quarter of a million ids cost milliseconds, not a second of JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Give all names' bytes one after the other, and each one's length in characters."""
    joined = "".join(names).encode("utf-8", "surrogatepass")
    lengths = np.fromiter(map(len, names), np.int32, len(names))
    return np.frombuffer(joined, np.uint8).copy(), lengths


def unpack(joined: NDArray[Any], lengths: NDArray[Any]) -> list[str]:
    """Give back what `pack` took."""
    text = joined.tobytes().decode("utf-8", "surrogatepass")
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
