"""Robots elsewhere: which of their observations are acted upon, and what is learned from them.

The rule: an observation is acted upon once or never. Never, where it is older than `stale_steps`
steps of control, where a newer one of the same robot is there already, or where its step is not
later than the last one that was seen (a robot that counts anew says `reset`). What lies between two
consecutive observations is learned where it is known which action was done: the robot's own word,
else what it was told.

Shapes: N robots, M of them in one call, O observations, A actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.controller import Controller, Noticed
from agent.learners.base import State
from agent.robot.controllers import RobotSpec
from agent.robot.measured import REASONS
from agent.robot.world import Json
from streams.kafka.duplex import Arrived


class Word(msgspec.Struct, frozen=True):
    """An observation as a robot sends it.

    Args:
        step: counts up by one with each step of control.
        observation: O numbers.
        robot: its name.
        action: what it really did since its last observation; None: what it was told.
        reward: what that brought; None where nobody says.
        reset: whether a new episode begins here: nothing is learned over that.
    """

    step: int
    observation: tuple[float, ...]
    robot: str = "robot"
    action: tuple[float, ...] | None = None
    reward: float | None = None
    reset: bool = False


class Answer(msgspec.Struct, frozen=True):
    """An action as a robot gets it; `age` in seconds, from its observation to the decision."""

    robot: str
    step: int
    action: tuple[float, ...]
    body: int
    surprise: float
    change: str
    age: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """An observation to be acted upon; `time` is its record's, Unix seconds."""

    slot: int
    word: Word
    time: float


@dataclass(slots=True)
class _Slot:
    """What is known of one robot: its last observation, and what it was told then."""

    robot: str
    last: Word | None = None
    time: float = 0.0
    told: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """Consecutive observations of some robots, and what the controller made of them."""

    slots: tuple[int, ...]
    noticed: Noticed
    reward: tuple[float, ...]


@dataclass(slots=True)
class Desk:
    """Takes observations in, learns, and says which are to be acted upon.

    Args:
        controller: what drives.
        spec: of the robots.
        robots: N, the most that are known at a time.
        stale: seconds after which an observation is not acted upon.
        seed: of the generator that actions are drawn from.
    """

    controller: Controller
    spec: RobotSpec
    robots: int
    stale: float
    seed: int = 0
    steps: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    _slots: list[_Slot] = field(default_factory=list)
    _mind: State = field(init=False)
    _draw: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._mind = self.controller.begin(self.robots)
        self._draw = torch.Generator().manual_seed(self.seed)

    def take(self, arrived: Sequence[Arrived], wall: float) -> tuple[list[Lesson], list[Fresh]]:
        """Take records in, in their order; give what was learned, and what is to be answered."""
        lessons: list[Lesson] = []
        newest: dict[int, Fresh] = {}
        for record in arrived:
            found = self._read(record)
            if found is None:
                continue
            if found.slot in newest:
                self.dropped["overtaken"] += 1
            newest[found.slot] = found
            lesson = self._learn(found)
            if lesson is not None:
                lessons.append(lesson)
        fresh = []
        for one in newest.values():
            if wall - one.time > self.stale:
                self.dropped["stale"] += 1
            else:
                fresh.append(one)
        return lessons, fresh

    def act(self, fresh: Sequence[Fresh], lessons: Sequence[Lesson], wall: float) -> list[Answer]:
        """Act upon observations, all at once."""
        slots = [one.slot for one in fresh]
        obs_MO = torch.tensor([one.word.observation for one in fresh], dtype=torch.float32)
        mind, action_MA = self.controller.act(self._rows(slots), obs_MO, self._draw)
        self._put(slots, mind)
        self.steps += 1
        answers = []
        for one, action_A in zip(fresh, action_MA.detach().clamp(-1, 1).tolist(), strict=True):
            self._slots[one.slot].told = tuple(action_A)
            body, surprise, change = _latest(lessons, one.slot)
            age = max(0.0, wall - one.time)
            answers.append(Answer(
                one.word.robot, one.word.step, tuple(action_A), body, surprise, change, age
            ))  # fmt: skip
        return answers

    def _read(self, record: Arrived) -> Fresh | None:
        """Decode a record, find its robot, and see that it is a later step."""
        try:
            word = msgspec.json.decode(record.value or b"", type=Word)
        except (msgspec.DecodeError, ValueError):
            return self._drop("broken")
        told = word.action is None or len(word.action) == self.spec.actions
        if len(word.observation) != self.spec.observations or not told:
            return self._drop("broken")
        slot = self._slot(word.robot)
        if slot is None:
            return self._drop("too many")
        last, time = self._slots[slot].last, self._slots[slot].time
        again = word.reset and record.time > time  # its count may begin anew
        if last is not None and word.step <= last.step and not again:
            return self._drop("duplicate")
        return Fresh(slot, word, record.time)

    def _drop(self, reason: str) -> Fresh | None:
        self.dropped[reason] += 1
        return None

    def _slot(self, robot: str) -> int | None:
        for at, slot in enumerate(self._slots):
            if slot.robot == robot:
                return at
        if len(self._slots) == self.robots:
            return None
        self._slots.append(_Slot(robot))
        return len(self._slots) - 1

    def _learn(self, fresh: Fresh) -> Lesson | None:
        """Learn what lies between a robot's last observation and this one, if it is known."""
        slot, word = self._slots[fresh.slot], fresh.word
        last, told = slot.last, word.action or slot.told
        slot.last, slot.time, slot.told = word, fresh.time, None
        if word.reset and last is not None:
            rows = self.controller.reset(self._rows([fresh.slot]), torch.tensor([True]))
            self._put([fresh.slot], rows)
        if last is None or word.reset or word.step != last.step + 1 or told is None:
            return None
        if not last.observation:  # it is from a snapshot, which keeps but the count
            return None
        before_1O, action_1A, after_1O = (
            torch.tensor([one], dtype=torch.float32)
            for one in (last.observation, told, word.observation)
        )
        mind = self._rows([fresh.slot])
        mind, noticed = self.controller.learn(mind, before_1O, action_1A, after_1O)
        self._put([fresh.slot], mind)
        return Lesson((fresh.slot,), noticed, (word.reward or 0.0,))

    def _rows(self, slots: Sequence[int]) -> State:
        if len(slots) == self.robots and list(slots) == list(range(self.robots)):
            return self._mind
        at = torch.tensor(slots)
        return {name: tensor[at] for name, tensor in self._mind.items()}

    def _put(self, slots: Sequence[int], rows: State) -> None:
        if len(slots) == self.robots and list(slots) == list(range(self.robots)):
            self._mind = rows
            return
        at = torch.tensor(slots)
        self._mind = {
            name: tensor.index_copy(0, at, rows[name]) for name, tensor in self._mind.items()
        }

    def photograph(self) -> tuple[dict[str, Tensor | NDArray[Any]], Json]:
        """Give what was learned, and which robots are known."""
        arrays: dict[str, Tensor | NDArray[Any]] = {"draw": self._draw.get_state()}
        arrays |= {f"mind.{name}": tensor for name, tensor in self._mind.items()}
        last = [slot.last.step if slot.last else -1 for slot in self._slots]
        robots = [slot.robot for slot in self._slots]
        times = [slot.time for slot in self._slots]
        return arrays, {"steps": self.steps, "robots": robots, "last": last, "times": times}

    def restore(self, arrays: Mapping[str, Tensor | NDArray[Any]], meta: Json) -> bool:
        """Go back to what was learned; each robot goes on from its next observation."""
        self._mind = {
            name.removeprefix("mind."): torch.as_tensor(array)
            for name, array in arrays.items()
            if name.startswith("mind.")
        }
        self._draw.set_state(torch.as_tensor(arrays["draw"]))
        self.steps = meta["steps"]
        self._slots = [
            _Slot(robot, None if step < 0 else Word(step, (), robot), time)
            for robot, step, time in zip(meta["robots"], meta["last"], meta["times"], strict=True)
        ]
        fresh_N = torch.ones(self.robots, dtype=torch.bool)
        self._mind = self.controller.reset(self._mind, fresh_N)
        return True


def _latest(lessons: Sequence[Lesson], slot: int) -> tuple[int, float, str]:
    """Give the body, surprise and change of a robot's last lesson; nothing known where none is."""
    for lesson in reversed(lessons):
        if slot in lesson.slots:
            noticed = lesson.noticed
            at = lesson.slots.index(slot)
            return int(noticed.body_N[at]), float(noticed.surprise_N[at]), noticed.change[at]
    return -1, 0.0, ""
