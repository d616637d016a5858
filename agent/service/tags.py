"""Says on each answer of which task the stream is thought to be, and when that has just changed."""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.continual.changes import TaskReport
from streams.records import Change, Prediction

DIGITS = 6
KINDS: tuple[Change, ...] = get_args(Change)


class Tags:
    """What is believed of the tasks as the open block began, so that no cut of feeds is seen.

    `change` is the kind of the last change that no answer has told of yet.
    """

    def __init__(self) -> None:
        self.change: Change | None = None
        self._task: TaskReport | None = None

    def stand(self, task: TaskReport | None) -> None:
        """Take what is believed now, for the answers to come."""
        self._task = task

    def on(self, said: list[Prediction]) -> list[Prediction]:
        """Give the answers with their task on them; as they are where nothing looks for tasks."""
        task = self._task
        if task is None or not said:
            return said
        number, probability = task.current, round(task.probability, DIGITS)
        tagged = [
            msgspec.structs.replace(one, task=number, task_probability=probability) for one in said
        ]
        tagged[0] = msgspec.structs.replace(tagged[0], change=self.change)
        self.change = None
        return tagged

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """Give the change to be told as its place among the kinds; -1 where there is none."""
        return {"change": np.array([-1 if self.change is None else KINDS.index(self.change)])}

    def restore(self, leaves: Mapping[str, Any]) -> None:
        """Go on as the one that gave these; checkpoints of before have none."""
        place = int(leaves["change"][0]) if "change" in leaves else -1
        self.change = None if place < 0 else KINDS[place]
