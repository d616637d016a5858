"""Parts that are trained beforehand: how each is made, and the weights that this package ships.

A file `agent/robot/make_*.py` enters its own ones; `adaptd robot train PART` makes them again. A
file of weights holds tensors; the card beside it says how they came about.

    @part("planar-arm-context", seconds=60, of="context encoder and FiLM of the planar arm")
    def train(seconds: float, seed: int, say: Say) -> Made:
        ...
        return tensors, {"judged": {"held-out": 0.97}}
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from safetensors.torch import load, save
from torch import Tensor

from agent.cards import ship
from agent.faults import nearest
from agent.robot.makers import import_makers

FOLDER: Final = "weights"
MOST: Final = 1_500_000  # bytes of a part that is shipped

Say: TypeAlias = Callable[[str], None]
Card: TypeAlias = Mapping[str, Any]
Made: TypeAlias = tuple[Mapping[str, Tensor], Card]
Train: TypeAlias = Callable[[float, int, Say], Made]


_NOTED: ContextVar[dict[str, str] | None] = ContextVar("noted", default=None)


class UntrainedError(Exception):
    """The weights of a part are not there, or not whole; the message says how to make them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that is trained beforehand.

    Args:
        name: by which `adaptd robot train` knows it; its files have that name, too.
        of: what it is a part of, in a line.
        seconds: CPU-seconds that its training takes, about; what it is asked to keep to.
        train: takes these seconds, a seed and where to say how it goes; gives tensors and what
            the card is to say besides: what it was trained on, how it was judged.
        on: the machine that it needs.
    """

    name: str
    of: str
    seconds: float
    train: Train
    on: Literal["cpu", "gpu"] = "cpu"


PARTS: dict[str, Part] = {}
"""Every part that was entered so far, by name; `every_part` gives all."""


def part(
    name: str, *, seconds: float, of: str, on: Literal["cpu", "gpu"] = "cpu"
) -> Callable[[Train], Train]:
    """Enter a way to train a part under a name.

    Raises:
        ValueError: the name is taken, or would not do for a file.
    """

    def enter(train: Train) -> Train:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise ValueError(f"a part cannot be named {name!r}; write it as planar-arm-context")
        if name in PARTS:
            raise ValueError(f"a part named {name!r} is registered already")
        PARTS[name] = Part(name, of, seconds, train, on)
        return train

    return enter


def every_part() -> Mapping[str, Part]:
    """Import every `make_*` file of this package, and give all that is registered, by name."""
    import_makers()
    return dict(sorted(PARTS.items()))


def find(name: str) -> Part:
    """Look a part up.

    Raises:
        ValueError: there is none of that name; the message says which was probably meant.
    """
    known = every_part()
    if name not in known:
        raise ValueError(f"there is no part {name!r} to train; {nearest(name, known)}")
    return known[name]


def make(one: Part, folder: Path, seconds: float, seed: int, say: Say) -> dict[str, Any]:
    """Train a part, write its weights and card into a folder; give the card."""
    began, used = time.perf_counter(), time.process_time()
    tensors, told = one.train(seconds, seed, say)
    raw = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    about = {
        "of": one.of,
        **told,
        "command": f"adaptd robot train {one.name} --seed {seed} --seconds {seconds:g}",
        "on": one.on,
        "cpu_seconds": round(time.process_time() - used),
        "seconds": round(time.perf_counter() - began),
        "seed": seed,
        "bytes": len(raw),
    }
    card = ship(folder, one.name, raw, about)
    if len(raw) > MOST:
        say(f"{one.name} has {len(raw):,} bytes; what is shipped has {MOST:,} at most")
    return card


def shipped(name: str) -> Mapping[str, Tensor]:
    """Give the tensors of a part; they are shared: change none in place.

    Raises:
        UntrainedError: they are not there, or not those of their card.
    """
    tensors, told = _read(name)
    noted = _NOTED.get()
    if noted is not None:
        noted[name] = told["sha256"]
    return tensors


@contextmanager
def noting() -> Iterator[Mapping[str, str]]:
    """Take note of the parts that are asked for inside: name to checksum."""
    noted: dict[str, str] = {}
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def card(name: str) -> Card:
    """Give the card of a part. Raises like `shipped`."""
    return _read(name)[1]


def there(name: str) -> bool:
    """Say whether a part's weights are shipped."""
    folder = files(__package__) / FOLDER
    return all((folder / f"{name}.{kind}").is_file() for kind in ("safetensors", "json"))


@cache
def _read(name: str) -> tuple[Mapping[str, Tensor], Card]:
    remedy = f"make them by `adaptd robot train {name}`"
    if not there(name):
        raise UntrainedError(f"the weights of {name} are not there; {remedy}")
    folder = files(__package__) / FOLDER
    raw = (folder / f"{name}.safetensors").read_bytes()
    told = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    if hashlib.sha256(raw).hexdigest() != told["sha256"]:
        raise UntrainedError(
            f"the weights of {name} are not those that its card tells of; {remedy}"
        )
    return load(raw), told
