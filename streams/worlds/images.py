"""Omniglot's characters (Lake, Salakhutdinov & Tenenbaum 2015), its alphabets kept apart.

A character turned by 90, 180 or 270 degrees is another class (Santoro et al. 2016), of the same
alphabet and so of the same split.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.worlds.labelled import ClassSet, loaded
from streams.worlds.tasks import SPLITS, Ints, Split, disjoint, within

SIDE = 28
TURNS = 4


@dataclass(frozen=True, slots=True)
class OmniglotSettings:
    """Omniglot's two small background sets, from a .npz file of 28 x 28 images.

    Train on the alphabets of set 1, but for some that validate; test on those that are in set 2
    alone.

    Args:
        path: the file: `images`, `alphabet`, `alphabet_names`, `character_id`, `in_small1`.
        ways: classes of a task.
        validation: alphabets of set 1 that are kept for validation.
        test: alphabets to be tested on; none named are all those that are not in set 1.
        turned: whether a character turned by 90, 180 and 270 degrees is another class.
        side: of an image in pixels: 28, or 14 or 7, by averages.
    """

    path: Path
    ways: int = 5
    validation: tuple[str, ...] = ("Balinese",)
    test: tuple[str, ...] = field(default=())
    turned: bool = True
    side: int = SIDE

    def __post_init__(self) -> None:
        within("ways", self.ways, 2, 1000)
        if self.side not in {28, 14, 7}:
            raise ValueError(f"side: {self.side} is not 28, 14 or 7")


def omniglot(settings: OmniglotSettings) -> ClassSet:
    """Make the world.

    Raises:
        ValueError: an alphabet is unknown or in two splits, or an array is not in the file.
        FileNotFoundError: the file is not there.
    """
    data = loaded(
        settings.path, "images", "alphabet", "alphabet_names", "character_id", "in_small1"
    )
    names: list[str] = data["alphabet_names"].tolist()
    alphabets = _alphabets(settings, names, set(np.unique(data["alphabet"][data["in_small1"]])))
    x, group = _turned(_shrunk(data["images"], settings.side), data["character_id"], settings)
    alphabet = np.tile(data["alphabet"], len(x) // len(data["alphabet"]))
    splits = {
        split: np.unique(group[np.isin(alphabet, [names.index(one) for one in alphabets[split]])])
        for split in SPLITS
    }
    return ClassSet(x, group, splits, settings.ways)


def _alphabets(
    settings: OmniglotSettings, names: list[str], first: set[int]
) -> dict[Split, list[str]]:
    """Say which alphabets are in which split."""
    for one in (*settings.validation, *settings.test):
        if one not in names:
            raise ValueError(f"alphabet {one!r} is unknown; there are {', '.join(names)}")
    test = list(settings.test) or [one for at, one in enumerate(names) if at not in first]
    kept = [one for at, one in enumerate(names) if at in first and one not in settings.validation]
    splits: dict[Split, list[str]] = {
        "train": kept,
        "validation": list(settings.validation),
        "test": test,
    }
    disjoint(splits, "alphabets")
    return splits


def _shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    step = SIDE // side
    blocks = images.reshape(len(images), side, step, side, step)
    means: NDArray[np.float64] = blocks.mean((2, 4))
    return np.rint(means).astype(np.uint8)


def _turned(
    images: NDArray[np.uint8], character: NDArray[Any], settings: OmniglotSettings
) -> tuple[NDArray[np.uint8], Ints]:
    """Give flat rows and their classes: character times four and the turn."""
    turns = range(TURNS if settings.turned else 1)
    x = np.concatenate([np.rot90(images, turn, (1, 2)) for turn in turns])
    _, place = np.unique(character, return_inverse=True)
    group = np.concatenate([place.astype(np.int64) * TURNS + turn for turn in turns])
    return x.reshape(len(x), -1), group
