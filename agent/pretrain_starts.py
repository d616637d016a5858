"""Meta-training of where attention and network begin, on generated streams, and the card of it.

What was found is judged on held-out streams, of all kinds and rules, against the plain start, the
same streams for both: the mean difference in loss, with its standard error.

Shapes: P parameters of a start.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor

from agent.cards import ship
from agent.continual.default import AgentSettings, stack_of
from agent.continual.evolving import (
    Pairs,
    StartsSettings,
    evolve,
    flat,
    lost,
    objective,
    unflat,
)
from agent.continual.mixing import Stream
from agent.learners.base import Spec
from agent.nets.starts import Starts
from agent.pretrain import HELD_FROM, Tell, encoded, workers
from streams.worlds.drift import (
    HELD_OUT_KINDS,
    HELD_OUT_RULES,
    KINDS,
    RULES,
    TRAIN_KINDS,
    TRAIN_RULES,
    drifting,
)


@dataclass(frozen=True, slots=True)
class PrestartSettings:
    """What is trained on, and how long.

    Args:
        goal: of the streams: classes, or numbers.
        held: streams to be judged on, of all kinds and rules, with seeds of their own.
        rows: of a stream.
        seed: the first stream's; also of the directions.
        processes: that go through streams.
        agent: the voices.
        starts: how far and how long.
    """

    goal: Literal["classes", "numbers"] = "classes"
    held: int = 100
    rows: int = 2000
    seed: int = 1
    processes: int = 2
    agent: AgentSettings = field(default_factory=AgentSettings)
    starts: StartsSettings = field(default_factory=StartsSettings)


Job = tuple[PrestartSettings, int, bool, Starts, Starts]


def stream_of(settings: PrestartSettings, seed: int, *, held: bool) -> Stream:
    """Generate one stream; kinds and rules that are held out are not among those to train on."""
    kinds, rules = (KINDS, RULES) if held else (TRAIN_KINDS, TRAIN_RULES)
    numbers = settings.goal == "numbers"
    return encoded(drifting(seed, settings.rows, kinds, rules=rules, regression=numbers))


def _both(job: Job) -> tuple[dict[str, float], dict[str, float]]:
    """Go through one stream from two starts."""
    settings, seed, held, one, other = job
    stream = stream_of(settings, seed, held=held)
    made = [stack_of(stream.spec, settings.agent, start) for start in (one, other)]
    first, second = (lost(learner, stream) for learner in made)
    return first, dict(zip(first, second.values(), strict=True))


def plain_start(settings: PrestartSettings) -> Starts:
    """Give the start before any meta-training, its votes' weights written out."""
    classes = 0 if settings.goal == "numbers" else 2
    stack = stack_of(Spec(3, classes, dated=True), settings.agent, Starts())
    return Starts().voting(len(stack.voices) - 2)


def prestart(settings: PrestartSettings, folder: Path, tell: Tell) -> dict[str, Any]:
    """Train the start, judge it on held-out streams, write it and its card; give the card."""
    began = time.perf_counter()
    plain = plain_start(settings)
    first_P = flat(plain)
    draw = torch.Generator().manual_seed(settings.seed)
    with workers(settings.processes) as mapped:

        def differences(pairs: Pairs) -> Sequence[float]:
            jobs = [
                (settings, settings.seed + at, False, unflat(one, plain), unflat(other, plain))
                for at, one, other in pairs
            ]
            both = mapped(_both, jobs)
            return [objective(one) - objective(other) for one, other in both]

        def each(step: int, at_P: Tensor) -> None:
            if step % 5 == 0 or step + 1 == settings.starts.steps:
                far = float((at_P - first_P).norm())
                tell(f"step {step + 1} of {settings.starts.steps}: {far:.2f} from the plain start")

        found_P = evolve(first_P, differences, settings.starts, draw, each)
        found = unflat(found_P, plain)
        jobs = [(settings, HELD_FROM + at, True, plain, found) for at in range(settings.held)]
        both = list(mapped(_both, jobs))
    return _written(settings, found, judged(both), round(time.perf_counter() - began), folder)


def judged(
    both: Sequence[tuple[dict[str, float], dict[str, float]]],
) -> dict[str, dict[str, float]]:
    """Mean losses from the plain start and the one found, and their paired difference."""
    names = [*both[0][0], "objective"]
    whole = [[{**one, "objective": objective(one)} for one in pair] for pair in both]
    loss = torch.tensor([[[one[name] for name in names] for one in pair] for pair in whole])
    less = loss[:, 1] - loss[:, 0]
    error = less.std(0, correction=1 if len(less) > 1 else 0) / len(less) ** 0.5
    rows = zip(names, *loss.mean(0).tolist(), less.mean(0).tolist(), error.tolist(), strict=True)
    keys = ("plain", "found", "difference", "standard error")
    return {
        name: {key: round(value, 5) for key, value in zip(keys, values, strict=True)}
        for name, *values in rows
    }


def _written(
    settings: PrestartSettings,
    found: Starts,
    losses: dict[str, dict[str, float]],
    seconds: int,
    folder: Path,
) -> dict[str, Any]:
    raw = save(found.named())
    streams = (settings.starts.until or settings.starts.steps) * settings.starts.streams
    told = {
        "of": "the start of attention and network in the default agent (agent.nets.starts)",
        "goal": settings.goal,
        "start": asdict(found),
        "trained on": f"{streams} generated streams of {settings.rows} rows, no real one",
        "kinds": list(TRAIN_KINDS),
        "rules": list(TRAIN_RULES),
        "held out": [*HELD_OUT_KINDS, *HELD_OUT_RULES],
        "judged": losses,
        "settings": asdict(settings),
        "seconds": seconds,
    }
    return ship(folder, f"start-{settings.goal}", raw, told)
