"""What a River expert has been taught, as tensors, and opened for work.

Shapes: T tasks, F features, C classes, N bytes, R examples between two rebases.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.learners.base import State

MEMORY: Final = 100  # examples over which a regressor's error is averaged, once it has so many
ROOM: Final = 65_536  # bytes that the smallest model takes in a state; doubled as it grows


@dataclass(slots=True)
class Task:
    """One task's share of a state, opened for work; nothing in it is shared with that state."""

    base: bytes
    token: bytes
    x_RF: NDArray[np.float32]
    y_R: NDArray[np.float64]
    kept: int
    counts_C: NDArray[np.int64]
    error_3: NDArray[np.float64]  # examples, mean squared error, mean of the target

    def keep(self, x_F: NDArray[np.float32], y: float) -> None:
        """Put an example on the tail; the token goes on to name what was learned, and in order."""
        self.x_RF[self.kept], self.y_R[self.kept] = x_F, y
        step = hashlib.blake2b(self.token, digest_size=16)
        step.update(self.x_RF[self.kept].tobytes())
        step.update(self.y_R[self.kept].tobytes())
        self.token = step.digest()
        self.kept += 1

    def rebase(self, frozen: bytes) -> None:
        """Take these bytes for the model that the base and the tail made."""
        self.base, self.kept = frozen, 0
        self.x_RF[:], self.y_R[:] = 0.0, 0.0

    def erred(self, error: float, truth: float) -> None:
        """Move the running mean square of the error and the running mean of the target."""
        self.error_3[0] = min(self.error_3[0] + 1, MEMORY)
        self.error_3[1] += (min(error * error, 1e30) - self.error_3[1]) / self.error_3[0]
        self.error_3[2] += (truth - self.error_3[2]) / self.error_3[0]


def fresh(frozen: bytes, rows: int, features: int, classes: int) -> Task:
    """Give an untaught task; its token names the model that it starts from."""
    return Task(
        base=frozen,
        token=hashlib.blake2b(frozen, digest_size=16).digest(),
        x_RF=np.zeros((rows, features), np.float32),
        y_R=np.zeros(rows),
        kept=0,
        counts_C=np.zeros(classes, np.int64),
        error_3=np.zeros(3),
    )


@dataclass(slots=True)
class Memo:
    """Live models by the token of the state that they stand for; the oldest is dropped."""

    most: int
    live: OrderedDict[bytes, Any] = field(default_factory=OrderedDict)

    def keep(self, token: bytes, model: Any) -> None:
        """Put a model in."""
        self.live[token] = model
        self.live.move_to_end(token)
        if len(self.live) > self.most:
            self.live.popitem(last=False)


def opened(state: State) -> list[Task]:
    """Copy each task's share out of a state."""
    sizes: Sequence[int] = state["base_size_T"].tolist()
    return [
        Task(
            base=state["base_TN"][t, :size].numpy().tobytes(),
            token=state["token_T16"][t].numpy().tobytes(),
            x_RF=state["tail_x_TRF"][t].numpy().copy(),
            y_R=state["tail_y_TR"][t].numpy().copy(),
            kept=int(state["kept_T"][t]),
            counts_C=state["counts_TC"][t].numpy().copy(),
            error_3=state["error_T3"][t].numpy().copy(),
        )
        for t, size in enumerate(sizes)
    ]


def closed(tasks: Sequence[Task]) -> State:
    """Make a state of all tasks' shares."""
    room = ROOM
    while room < max(len(task.base) for task in tasks):
        room *= 2

    def bytes_of(each: Iterator[bytes], width: int) -> Tensor:
        padded = b"".join(one.ljust(width, b"\0") for one in each)
        return torch.from_numpy(np.frombuffer(padded, np.uint8).reshape(-1, width).copy())

    def stacked(each: Iterator[NDArray[Any]]) -> Tensor:
        return torch.from_numpy(np.stack(list(each)))

    return {
        "base_TN": bytes_of((task.base for task in tasks), room),
        "base_size_T": torch.tensor([len(task.base) for task in tasks]),
        "token_T16": bytes_of((task.token for task in tasks), 16),
        "tail_x_TRF": stacked(task.x_RF for task in tasks),
        "tail_y_TR": stacked(task.y_R for task in tasks),
        "kept_T": torch.tensor([task.kept for task in tasks]),
        "counts_TC": stacked(task.counts_C for task in tasks),
        "error_T3": stacked(task.error_3 for task in tasks),
    }
