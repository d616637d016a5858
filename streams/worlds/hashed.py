"""Random numbers that are functions of a seed and an id, for many ids at once.

A counter-based generator: the finaliser of splitmix64 (Steele, Lea & Flood 2014, Fast Splittable
Pseudorandom Number Generators) over the key's parts, one after another.
"""

import numpy as np
from numpy.typing import NDArray

from streams.worlds.tasks import Ints, Reals

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seed: int, ids: Ints, count: int) -> Reals:
    """Numbers in [0, 1) that depend on (seed, id, place) alone, shape (T, count)."""
    key = _mixed(ids.astype(np.uint64) + _mixed(np.array([seed], np.uint64)))
    bits = _mixed(key[:, None] + (np.arange(1, count + 1, dtype=np.uint64) * GOLDEN)[None])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = bits + GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def normals(uniform: Reals) -> Reals:
    """Standard normal numbers from uniform ones, two of them for each; Box & Muller 1958."""
    half = uniform.shape[-1] // 2
    radius = np.sqrt(-2 * np.log1p(-uniform[..., :half]))
    normal: Reals = radius * np.cos(2 * np.pi * uniform[..., half : 2 * half])
    return normal
