"""Omniglot's real file where it is there, and a made one of the same form."""

from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parent.parent.parent / "shared/data/omniglot_small_8_alphabets_28x28.npz"
needs_omniglot = [
    pytest.mark.data,
    pytest.mark.skipif(not PATH.exists(), reason=f"no ../shared/data/{PATH.name}"),
]
ALPHABETS = ("Alpha", "Beta", "Gamma", "Delta")
CHARACTERS, DRAWERS = 6, 20


def made(folder: Path) -> Path:
    """Write four alphabets of six characters: pixel (a, c) says which alphabet and character."""
    alphabet = np.repeat(np.arange(len(ALPHABETS)), CHARACTERS * DRAWERS).astype(np.uint8)
    character = np.tile(np.repeat(np.arange(CHARACTERS), DRAWERS), len(ALPHABETS))
    images = np.zeros((len(alphabet), 28, 28), np.uint8)
    images[np.arange(len(alphabet)), alphabet, character] = 255
    images[:, 27, 27] = np.tile(np.arange(DRAWERS), len(alphabet) // DRAWERS) + 1
    path = folder / "made.npz"
    np.savez(
        path,
        images=images,
        alphabet=alphabet,
        alphabet_names=np.array(ALPHABETS),
        character_id=(100 + alphabet * CHARACTERS + character).astype(np.uint16),
        in_small1=alphabet < 3,
    )
    return path
