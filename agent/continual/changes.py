"""What a mixture noticed: changes of the task, and the posterior over tasks, read from a state.

The mixture may stand anywhere in an agent: its leaves are found under any prefix.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from agent.learners.base import State
from agent.learners.inferring import Believed

NEW, RETURNED = 0, 1
LOG = "mixture.log"


@dataclass(frozen=True, slots=True)
class Change:
    """The task changed.

    Args:
        label: how many labels had been learned when it was noticed.
        kind: whether the task is new, or an old one that returned.
        task: its number; the first one's is 0.
        probability: of it, by then.
    """

    label: int
    kind: Literal["new", "returned"]
    task: int
    probability: float


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What is believed of the tasks now.

    Args:
        current: number of the task that is being learned.
        probability: of the current task.
        tasks: how many are remembered, the current one included.
        posterior: probability of each remembered task; what they lack to one is that of a new one.
        hazard: how probable a change is thought to be, per label.
        changes: how many were noticed since the very start, by kind ("new", "returned").
        noticed: the last of them.
    """

    current: int
    probability: float
    tasks: int
    posterior: Mapping[int, float]
    hazard: float
    changes: Mapping[str, int]
    noticed: tuple[Change, ...] = ()


def tasks_of(state: State, task: int = 0) -> TaskReport | None:
    """Say what the first mixture in a state believes; None where there is none.

    Args:
        state: of any learner.
        task: which entry of the task axis.
    """
    leaves = next(_mixtures(state), None)
    if leaves is None:
        return None
    ids = leaves["ids"][task].long().tolist()
    weight = leaves["weight"][task, 0].tolist()
    number = leaves["number"][task].tolist()
    current = int(number[0])
    new = int(number[1]) - 1
    return TaskReport(
        ids[current],
        weight[current],
        sum(one >= 0 for one in ids),
        {one: chance for one, chance in zip(ids, weight, strict=False) if one >= 0},
        float(leaves["hazard"][task, 0]),
        {"new": new, "returned": int(number[4]) - new},
        tuple(_of(leaves, task)),
    )


def believed(state: State) -> Believed:
    """Say which tasks the first mixture in a state knows, of all its streams at once."""
    leaves = next(_mixtures(state))
    number = leaves["number"]
    ids_TM = leaves["ids"].long()
    at_T1 = number[:, :1].long()
    new_T = number[:, 1].long() - 1
    posterior_TM = leaves["weight"][:, 0, : ids_TM.shape[1]]
    return Believed(ids_TM.gather(1, at_T1)[:, 0], number[:, 4].long(), new_T, ids_TM, posterior_TM)


def changes(state: State, since: int = 0, task: int = 0) -> list[Change]:
    """Give the changes noticed after so many labels, the oldest first, of those still kept."""
    found = (change for leaves in _mixtures(state) for change in _of(leaves, task))
    return sorted((one for one in found if one.label > since), key=lambda change: change.label)


def _of(leaves: Mapping[str, Tensor], task: int) -> list[Change]:
    """The changes in one mixture's log, the oldest first."""
    found: list[Change] = []
    for label, kind, number, chance in leaves["log"][task].tolist():
        if label >= 0:
            name: Literal["new", "returned"] = "new" if kind == NEW else "returned"
            found.append(Change(int(label), name, int(number), chance))
    return sorted(found, key=lambda change: change.label)


def _mixtures(state: State) -> Iterator[dict[str, Tensor]]:
    """The book's leaves of every mixture in a state."""
    for name in state:
        if name == LOG or name.endswith(f".{LOG}"):
            start = name[: -len("log")]
            ours = ("log", "ids", "weight", "number", "hazard")
            yield {leaf: state[start + leaf] for leaf in ours}
