"""What a run of meta-training is told: how long, on what draws, by what steps, when to stop."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Span: TypeAlias = tuple[int, int]
"""From the first to the last, both included."""


class TrainingError(Exception):
    """Meta-training cannot go on, or cannot be taken up again; the text says what to do."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """One run.

    Args:
        iterations: outer steps.
        tasks_per_step: tasks in an outer step, for each shard.
        shards: draws of so many tasks whose gradients are averaged into one outer step. They are
            dealt out to the processes of `torchrun`, so that a run is the same on any number of
            them, up to rounding; 0 means one for each process.
        shots: rows of support, a class or a task, drawn evenly from first to last.
        queries: rows of query, a class or a task.
        steps: inner steps, drawn evenly from first to last, for learners that rehearse.
        optimizer: of the outer step; "auto" is Adam, and for Reptile its own average.
        rate: outer step size; None is 0.001, and 1 for Reptile's average.
        weight_decay: for "adamw".
        schedule: of the rate: constant, or falling to nothing by a cosine or a line; "auto" is
            constant, and a line for Reptile.
        warmup: iterations over which the rate rises from nothing.
        clip: largest norm of the outer gradient.
        most_skipped: steps in a row that may be skipped because they are not finite.
        validate_every: iterations between two validations on held-out tasks; the best weights
            are kept.
        validation_tasks: tasks of a validation, the same ones each time.
        patience: validations without a new best after which to stop; None is never.
        seconds: wall-clock limit; None is none.
        checkpoint_every: iterations between two checkpoints, where there is a folder.
        precision: "bf16" runs the forward passes under autocast.
        compile: hand the loss to `torch.compile`: it takes a while at first, and again for each
            number of shots and steps. Tried on CPU alone.
        threads: of tensor operations; 0 leaves them as they are.
        device: where it runs, as "cpu" or "cuda".
        seed: of all draws.
    """

    iterations: int = 15_000
    tasks_per_step: int = 25
    shards: int = 0
    shots: Span = (10, 10)
    queries: int = 10
    steps: Span = (1, 5)
    optimizer: Literal["auto", "adam", "adamw", "sgd"] = "auto"
    rate: float | None = None
    weight_decay: float = 0.01
    schedule: Literal["auto", "constant", "cosine", "linear"] = "auto"
    warmup: int = 0
    clip: float = 10.0
    most_skipped: int = 20
    validate_every: int = 500
    validation_tasks: int = 200
    patience: int | None = None
    seconds: float | None = None
    checkpoint_every: int = 500
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    threads: int = 0
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        least = (
            {"iterations": 0, "shards": 0, "warmup": 0, "threads": 0, "seed": 0}
            | dict.fromkeys(
                ("tasks_per_step", "queries", "most_skipped", "validate_every", "validation_tasks"),
                1,
            )
            | dict.fromkeys(("checkpoint_every",), 1)
        )
        for name, low in least.items():
            if (value := getattr(self, name)) < low:
                raise ValueError(f"{name} is {value}; give {low} or more")
        for name, low in (("shots", 1), ("steps", 0)):
            first, last = getattr(self, name)
            if not low <= first <= last:
                raise ValueError(f"{name} is {first}..{last}; give {low} or more, first to last")
        for name in ("rate", "clip", "seconds", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; give more than 0")

    def rate_at(self, iteration: int, *, start: float, schedule: str) -> float:
        """Give the outer step size of an iteration, counted from 0."""
        rise = min(1.0, (iteration + 1) / (self.warmup + 1))
        done = min(1.0, max(0, iteration - self.warmup) / max(1, self.iterations - self.warmup))
        fall = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done}
        return start * rise * fall.get(schedule, 1.0)
