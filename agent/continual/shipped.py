"""The meta-trained start of the mixer that this package ships, one for classes, one for numbers.

`adaptd pretrain` makes them, on generated streams alone. A file holds the parameters and, in its
metadata, the voices that they are of; the card beside it says how they came about.
"""

import json
from functools import cache
from importlib.resources import files

from safetensors.torch import load

from agent.continual.blend import Start
from agent.learners.base import Spec

FOLDER = "weights"


def shipped(spec: Spec) -> Start | None:
    """Give the start for this goal; None where none is there."""
    return _read("numbers" if spec.regression else "classes")


@cache
def _read(goal: str) -> Start | None:
    folder = files(__package__) / FOLDER
    weights, card = folder / f"mixer-{goal}.safetensors", folder / f"mixer-{goal}.json"
    if not weights.is_file() or not card.is_file():
        return None
    told = json.loads(card.read_text(encoding="utf-8"))
    return Start(tuple(told["voices"]), load(weights.read_bytes())["mixer"])
