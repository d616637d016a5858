"""Who sits at the table beside the default agent: registered learners, and trained ones."""

from collections.abc import Sequence
from pathlib import Path

import torch

from agent.continual.seat import Seat
from agent.faults import nearest
from agent.learners.base import Learner, Spec
from agent.learners.registry import every_learner
from agent.training.weights import CARD, WeightsError, card_of, load


def seats(
    spec: Spec, learners: Sequence[str], device: torch.device | None = None
) -> dict[str, Learner]:
    """Seat learners by registered name, or by the folder that `adaptd train` wrote.

    Raises:
        ValueError: a name is unknown, a folder holds no weights, or those of other rows or goal.
    """
    seated: dict[str, Learner] = {}
    for text in learners:
        name, learner = _made(spec, text)
        name = name if name not in seated else f"{name}-{len(seated)}"
        if isinstance(learner, torch.nn.Module):
            learner.to(device)
        seated[name] = Seat(name, learner)
    return seated


def versions(learners: Sequence[str]) -> dict[str, str]:
    """Give the checksums of the trained ones' weights, by folder: a state belongs to them."""
    trained = [text for text in learners if (Path(text) / CARD).exists()]
    return {text: card_of(Path(text)).sha256 for text in trained}


def _made(spec: Spec, text: str) -> tuple[str, Learner]:
    folder = Path(text)
    if (folder / CARD).exists():
        return _trained(spec, folder)
    if (entry := every_learner().get(text)) is None:
        raise ValueError(
            f"{text!r} is neither a folder with a {CARD} nor a learner;"
            f" {nearest(text, every_learner())}"
        )
    return text, entry(spec)


def _trained(spec: Spec, folder: Path) -> tuple[str, Learner]:
    try:
        card = card_of(folder)
        made_for = Spec(**card.spec)
        if made_for.features != spec.features or made_for.regression != spec.regression:
            raise ValueError(
                f"{folder}: trained for {_words(made_for)}, and this stream's rows are"
                f" {_words(spec)}; train it on tasks of such rows"
            )
        return card.learner, load(folder, classes=spec.classes)
    except WeightsError as error:
        raise ValueError(str(error)) from error


def _words(spec: Spec) -> str:
    return f"{spec.features} features and {'numbers' if spec.regression else 'classes'}"
