"""The meta-trained starts that this package ships, each for classes and for numbers.

One is the mixer's, one that of attention and network. `adaptd pretrain` makes them, on generated
streams alone. A file holds the parameters; the card beside it says how they came about.
"""

import json
from functools import cache
from importlib.resources import files

from safetensors.torch import load

from agent.continual.blend import Start
from agent.learners.base import Spec
from agent.nets.starts import Starts

FOLDER = "weights"


def shipped(spec: Spec) -> Start | None:
    """Give the mixer's start for this goal; None where none is there."""
    return _read(_goal(spec))


def shipped_starts(spec: Spec) -> Starts:
    """Give the start of attention and network for this goal; the plain one where none is there."""
    return _read_starts(_goal(spec))


def _goal(spec: Spec) -> str:
    return "numbers" if spec.regression else "classes"


@cache
def _read(goal: str) -> Start | None:
    folder = files(__package__) / FOLDER
    weights, card = folder / f"mixer-{goal}.safetensors", folder / f"mixer-{goal}.json"
    if not weights.is_file() or not card.is_file():
        return None
    told = json.loads(card.read_text(encoding="utf-8"))
    return Start(tuple(told["voices"]), load(weights.read_bytes())["mixer"])


@cache
def _read_starts(goal: str) -> Starts:
    file = files(__package__) / FOLDER / f"start-{goal}.safetensors"
    return Starts.of(load(file.read_bytes())) if file.is_file() else Starts()
