"""What lies in a store of checkpoints: each verified, the newest whole one of a shard opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.continual.changes import TaskReport
from agent.revive import revived
from agent.service.prequential import Prequential
from agent.service.report import Memory
from agent.service.snapshot import FORMAT, Arrays, CheckpointError, Json
from agent.service.store import Options
from agent.service.store_open import open_place
from agent.service.store_survey import Examined, content, examine, is_checkpoint, survey

BIGGEST = 8  # tensors that are named


@dataclass(frozen=True, slots=True)
class Big:
    """A tensor: its name, shape, type and size in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of a checkpoint, as it stood.

    Args:
        voices: the experts' weights, the greatest first; they sum to one.
        tasks: what it believed of the tasks; None where nothing looked for them.
        memory: its probes of old tasks.
        pending: events that wait for their labels.
        waiting: labels that wait for their events.
        faults: how often each expert broke and was begun anew.
        fingerprint: a short hash of the whole state, to compare two by.
    """

    voices: Mapping[str, float]
    tasks: TaskReport | None
    memory: Memory
    pending: int
    waiting: int
    faults: Mapping[str, int]
    fingerprint: str

    @classmethod
    def of(cls, learner: Prequential) -> "Agent":
        """Ask an agent."""
        voices = dict(sorted(learner.voices().items(), key=lambda pair: -pair[1]))
        pending = learner.pending
        return cls(
            voices=voices,
            tasks=learner.tasks(),
            memory=learner.memory(),
            pending=len(pending),
            waiting=pending.waiting,
            faults=learner.faults(),
            fingerprint=learner.fingerprint(),
        )


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a whole checkpoint.

    Args:
        records, learned: records taken in and labels learned since the very start.
        position: of the source, by part.
        classes: met so far; empty for numbers.
        labels: what became of labels and events so far.
        settings: that it belongs to, by path.
        settings_sha256: of these.
        tensors: how many.
        biggest: of them.
        agent: as it stood, or why it cannot be told.
    """

    records: int
    learned: int
    position: Mapping[str, int]
    classes: Sequence[str]
    labels: Mapping[str, int]
    settings: Mapping[str, Any]
    settings_sha256: str
    tensors: int
    biggest: Sequence[Big]
    agent: Agent | str


@dataclass(frozen=True, slots=True)
class Shard:
    """The checkpoints of a shard, oldest first.

    Args:
        name: "all", or a partition's number.
        checkpoints: that were finished.
        unfinished: how many are being written, or were left so by a crash.
        newest: of the whole ones.
        contents: of that one.
    """

    name: str
    checkpoints: Sequence[Examined]
    unfinished: int
    newest: Examined | None
    contents: Contents | None

    @property
    def damaged(self) -> int:
        """How many are not whole."""
        return sum(not one.whole for one in self.checkpoints)


def inspected(
    target: str, options: Options | None = None, *, shard: str | None = None
) -> list[Shard]:
    """Verify every checkpoint of a store, or one of them, and open the newest whole of each shard.

    Args:
        target: a folder or URL of a store, or of one checkpoint in it.
        options: what the client of a store of objects takes.
        shard: that one alone; None for all.

    Raises:
        CheckpointError: there are none, or they cannot be reached.
    """
    if is_checkpoint(target):
        return [_shard([examine(target, options)], 0, options)]
    found: dict[str, list[Examined]] = {}
    for one in survey(target, options, shard):
        found.setdefault(one.shard, []).append(one)
    if not found:
        of = "" if shard is None else f" of shard {shard}"
        raise CheckpointError(
            f"{target} holds no checkpoints{of}; name the folder or URL of [checkpoint] folder"
        )
    return [
        _shard(ones, _unfinished(target, name, options), options) for name, ones in found.items()
    ]


def newest(target: str, options: Options | None, shard: str) -> tuple[str, Arrays, Json]:
    """Read the newest whole checkpoint of a shard, or the one that is named: path, arrays, body.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    if is_checkpoint(target):
        return target, *content(target, options)
    whole = [one for one in survey(target, options, shard) if one.whole]
    if not whole:
        raise CheckpointError(
            f"{target} holds no whole checkpoint of shard {shard}; `adaptd inspect` says more"
        )
    return whole[-1].path, *content(whole[-1].path, options)


def _unfinished(target: str, shard: str, options: Options | None) -> int:
    try:
        return len(open_place(target, shard, options).listing().unfinished)
    except OSError as error:
        raise CheckpointError(f"{target} cannot be read: {error}") from error


def _shard(found: Sequence[Examined], unfinished: int, options: Options | None) -> Shard:
    whole = [one for one in found if one.whole]
    contents = _contents(*content(whole[-1].path, options)) if whole else None
    return Shard(found[0].shard, found, unfinished, whole[-1] if whole else None, contents)


def _contents(arrays: Arrays, body: Json) -> Contents:
    meta = body.get("meta", {})
    learner = meta.get("learner", {})
    sizes = sorted(map(_big, arrays.items()), key=lambda one: (-one.bytes, one.name))
    return Contents(
        records=learner.get("records", 0),
        learned=learner.get("learned", 0),
        position=meta.get("source", {}),
        classes=learner.get("classes", []),
        labels=learner.get("pending", {}).get("counts", {}),
        settings=body.get("settings", {}),
        settings_sha256=body.get("settings_sha256", ""),
        tensors=len(sizes),
        biggest=sizes[:BIGGEST],
        agent=_agent(body, arrays),
    )


def _agent(body: Json, arrays: Arrays) -> Agent | str:
    if body.get("format") != FORMAT:
        return f"format {body.get('format')}, and this version reads {FORMAT}"
    try:
        return Agent.of(revived(body, arrays, device="cpu")[0])
    except CheckpointError as error:
        return str(error)


def _big(named: tuple[str, Tensor | NDArray[Any]]) -> Big:
    name, one = named
    tensor = torch.as_tensor(one)
    kind = str(tensor.dtype).removeprefix("torch.")
    return Big(name, tuple(tensor.shape), kind, tensor.numel() * tensor.element_size())
