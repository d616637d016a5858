"""Weights out, and back in: a folder with `weights.safetensors` and its card.

The card says what the weights are of and how they came about, as JSON for `load` and as Markdown
for people. Nothing in the folder is run when it is read.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of

import agent
from agent.build import build
from agent.faults import SettingsError, nearest
from agent.learners.base import Spec
from agent.learners.meta import Meta
from agent.learners.registry import Entry, every_learner
from agent.training.keep import durable

WEIGHTS, CARD, CARD_FOR_PEOPLE = "weights.safetensors", "card.json", "card.md"
FORMAT = 1


class WeightsError(Exception):
    """Weights cannot be used; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Card:
    """What weights are, and how they came about.

    Args:
        learner: name in the registry.
        options: of the learner, all of them.
        spec: features, classes and outputs it was made for.
        tasks: name of the world.
        task_settings: of the world.
        outer: how it was trained.
        training: settings of the run, with its seed.
        splits: what was trained on, chosen by, and reported.
        scores: lines of the final table, as plain values.
        said: what the comparison with the baselines says, in words.
        seconds: of training.
        stopped: why it ended.
        command: what was typed.
        date: of the end, ISO 8601.
        version: of this package; and torch's.
        sha256: of the weights.
        format: of the card.
    """

    learner: str
    options: Mapping[str, Any]
    spec: Mapping[str, Any]
    tasks: str = ""
    task_settings: Mapping[str, Any] = field(default_factory=dict)
    outer: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, str] = field(
        default_factory=lambda: {"trained": "train", "chosen": "validation", "reported": "test"}
    )
    scores: tuple[Mapping[str, Any], ...] = ()
    said: str = ""
    seconds: float = 0.0
    stopped: str = ""
    command: str = ""
    date: str = ""
    version: Mapping[str, str] = field(
        default_factory=lambda: {"adaptd": agent.__version__, "torch": torch.__version__}
    )
    sha256: str = ""
    format: int = FORMAT

    @classmethod
    def of(cls, learner: str, options: object, spec: Spec, **more: Any) -> "Card":
        """Begin a card from a learner's name, options and spec."""
        return cls(learner, plain(options), asdict(spec), **more)


def plain(settings: object) -> Any:
    """Give a dataclass of settings as JSON has it: tables, lists, words and numbers."""
    return json.loads(json.dumps(asdict(settings), default=str))  # type: ignore[call-overload]


def save(folder: Path, learner: Meta, card: Card) -> Card:
    """Write the weights and their card; give the card as written."""
    weights = {
        name: leaf.detach().cpu().clone().contiguous()
        for name, leaf in learner.state_dict().items()
    }
    content = bytes_of(weights)
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    durable(folder / WEIGHTS, content)
    durable(folder / CARD, (json.dumps(asdict(card), indent=2) + "\n").encode())
    durable(folder / CARD_FOR_PEOPLE, for_people(card).encode())
    return card


def load(path: Path, *, classes: int | None = None) -> Meta:
    """Give a trained learner back, in eval mode.

    Args:
        path: the folder, or the file of weights in it.
        classes: how many to answer with, if others than it was trained with; no weight depends
            on that.

    Raises:
        WeightsError: something is missing, damaged, or of another version of the learner.
    """
    folder = path if path.is_dir() else path.parent
    card, entry, options = _made_from(folder)
    spec = Spec(**card.spec)
    if classes is not None:
        spec = replace(spec, classes=classes)
    learner = entry(spec, options)
    if not isinstance(learner, Meta):
        raise WeightsError(f"{folder}: {card.learner} has no weights")
    try:
        content = (folder / WEIGHTS).read_bytes()
        weights = tensors_of(content)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise WeightsError(f"{folder}: the weights are not those that the card is of; copy both")
    _fits(folder, learner, weights)
    learner.load_state_dict(weights)
    return learner.eval()


def card_of(folder: Path) -> Card:
    """Read a card.

    Raises:
        WeightsError: there is none, or it is of another format.
    """
    path = folder / CARD
    try:
        table = json.loads(path.read_bytes())
        if table["format"] != FORMAT:
            raise WeightsError(
                f"{path} has format {table['format']}, this version reads {FORMAT}: train again,"
                " or use the version that wrote it"
            )
        return Card(**{**table, "scores": tuple(table["scores"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no card: {error}") from error


def _made_from(folder: Path) -> tuple[Card, Entry, object]:
    card, known = card_of(folder), every_learner()
    if card.learner not in known:
        raise WeightsError(f"{folder}: learner {card.learner}: {nearest(card.learner, known)}")
    entry = known[card.learner]
    try:
        options = build(type(entry.options()), without_none(card.options))
    except SettingsError as error:
        raise WeightsError(
            f"{folder}: the card's options are not those of this version's {card.learner}: {error}"
        ) from error
    return card, entry, options


def without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None, as TOML does: it is so by default."""
    return {
        name: without_none(value) if isinstance(value, Mapping) else value
        for name, value in table.items()
        if value is not None
    }


def _fits(folder: Path, learner: Meta, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights of other names or shapes, naming them."""
    here = {name: tuple(leaf.shape) for name, leaf in learner.state_dict().items()}
    there = {name: tuple(leaf.shape) for name, leaf in weights.items()}
    differing = [
        f"{name}: {there.get(name, 'absent')} in the file, {here.get(name, 'absent')} here"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]
    if differing:
        raise WeightsError(f"{folder}: the weights do not fit: {'; '.join(differing)}")


def for_people(card: Card) -> str:
    """Give a card as Markdown."""
    facts = {
        "Learner": f"`{card.learner}` for {_words(card.spec)}",
        "Tasks": f"`{card.tasks}` {_words(card.task_settings)}",
        "Trained by": f"{card.outer}, {_words(card.training)}",
        "Options": _words(card.options),
        "Splits": _words(card.splits),
        "Ended": f"{card.date}, after {card.seconds:.0f} s: {card.stopped}",
        "Command": f"`{card.command}`",
        "Version": _words(card.version),
        "Weights": f"`{WEIGHTS}`, SHA-256 `{card.sha256}`",
    }
    lines = [f"# {card.learner} on {card.tasks}", ""]
    lines += [f"- **{name}**: {value}" for name, value in facts.items()]
    if card.said:
        lines += ["", "## Against the baselines, on held-out tasks", "", card.said]
    if card.scores:
        names = list(card.scores[0])
        lines += ["", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
        lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in card.scores]
    return "\n".join(lines) + "\n"


def _words(table: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} ({_words(value)})" if isinstance(value, Mapping) else f"{name} {value}"
        for name, value in table.items()
    )
