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
from agent.service.snapshot import FORMAT, CheckpointError, DamagedError, Json, unpacked
from agent.service.store import ALL, FOLDER, NAME, Options, Place
from agent.service.store_open import open_place, shards
from agent.service.store_read import GoneError, body_at, ordered, state_at

BIGGEST = 8  # tensors that are named


@dataclass(frozen=True, slots=True)
class Verified:
    """One checkpoint: whole where `why` is None; `created` (Unix) and `bytes` of whole ones."""

    name: str
    path: str
    why: str | None
    created: float | None = None
    bytes: int | None = None


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
        fingerprint: a short hash of the whole state, to compare two by.
    """

    voices: Mapping[str, float]
    tasks: TaskReport | None
    memory: Memory
    pending: int
    waiting: int
    fingerprint: str

    @classmethod
    def of(cls, learner: Prequential) -> "Agent":
        """Ask an agent."""
        voices = dict(sorted(learner.voices().items(), key=lambda pair: -pair[1]))
        pending = learner.pending
        given = (voices, learner.tasks(), learner.memory(), len(pending), pending.waiting)
        return cls(*given, learner.fingerprint())


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
    """The checkpoints of a shard, oldest first; `contents` are of the newest whole one."""

    name: str
    path: str
    checkpoints: Sequence[Verified]
    unfinished: int
    newest: Verified | None
    contents: Contents | None

    @property
    def damaged(self) -> int:
        """How many are not whole."""
        return sum(one.why is not None for one in self.checkpoints)


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
    folder, held, name = located(target)
    try:
        if name is not None:
            one = _shard(held, open_place(folder, held, options), (name,))
            if not one.checkpoints:
                raise CheckpointError(f"{target}: there is no such checkpoint; name its folder")
            return [one]
        names = [one for one in shards(folder, options) if shard in (None, one)]
        found = [_shard(one, open_place(folder, one, options), None) for one in names]
    except OSError as error:
        raise CheckpointError(f"{target} cannot be read: {error}") from error
    if not found:
        of = "" if shard is None else f" of shard {shard}"
        raise CheckpointError(
            f"{target} holds no checkpoints{of}; name the folder or URL of [checkpoint] folder"
        )
    return found


def located(target: str) -> tuple[str, str, str | None]:
    """Give the store, the shard and the checkpoint that a path or URL names.

    >>> located("s3://b/p/shard-0007/checkpoint-000000000042")
    ('s3://b/p', '0007', 'checkpoint-000000000042')
    >>> located("checkpoints/"), located("c/checkpoint-000000000001-0a1b2c3d")
    (('checkpoints', 'all', None), ('c', 'all', 'checkpoint-000000000001-0a1b2c3d'))
    """
    *above, last = target.rstrip("/").split("/")
    if not NAME.fullmatch(last):
        return target.rstrip("/") or target, ALL, None
    found = FOLDER.fullmatch(above[-1]) if above else None
    if found is not None:
        return "/".join(above[:-1]) or ("/" if len(above) > 1 else "."), found[1], last
    return "/".join(above) or ("/" if above else "."), ALL, last


def newest(
    target: str, options: Options | None, shard: str
) -> tuple[str, Json, Mapping[str, Tensor | NDArray[Any]]]:
    """Read the newest whole checkpoint of a shard, or the one that is named: path, body, arrays.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    folder, held, name = located(target)
    place = open_place(folder, held if name is not None else shard, options)
    try:
        names = place.listing().names if name is None else (name,)
        for one in reversed(ordered(place, names)):
            try:
                body = body_at(place, one)
                return place.path(one), body, unpacked(body, state_at(place, one, body))
            except (DamagedError, GoneError) as error:
                if name is not None:
                    raise CheckpointError(f"{place.path(one)} is damaged: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{place.path()} cannot be read: {error}") from error
    raise CheckpointError(f"{place.path()} holds no whole checkpoint; `adaptd inspect` says more")


def _shard(name: str, place: Place, only: Sequence[str] | None) -> Shard:
    listing = place.listing()
    names = ordered(place, listing.names if only is None else only)
    verified = [one for one in (_verified(place, name) for name in names) if one is not None]
    whole = [one for one in verified if one.why is None]
    contents = _contents(place, whole[-1].name) if whole else None
    unfinished = len(listing.unfinished) if only is None else 0
    path = place.path()
    return Shard(name, path, verified, unfinished, whole[-1] if whole else None, contents)


def _verified(place: Place, name: str) -> Verified | None:
    """Read a checkpoint whole; None if its writer has removed it meanwhile."""
    path = place.path(name)
    try:
        body = body_at(place, name)
        state_at(place, name, body)
    except DamagedError as error:
        return Verified(name, path, str(error))
    except GoneError:
        return None
    return Verified(name, path, None, body["created"], body["bytes"])


def _contents(place: Place, name: str) -> Contents:
    body = body_at(place, name)
    arrays = unpacked(body, state_at(place, name, body))
    meta = body["meta"]
    learner = meta.get("learner", {})
    sizes = sorted(map(_big, arrays.items()), key=lambda one: -one.bytes)
    return Contents(
        records=learner.get("records", 0),
        learned=learner.get("learned", 0),
        position=meta.get("source", {}),
        classes=learner.get("classes", []),
        labels=learner.get("pending", {}).get("counts", {}),
        settings=body["settings"],
        settings_sha256=body["settings_sha256"],
        tensors=len(sizes),
        biggest=sizes[:BIGGEST],
        agent=_agent(body, arrays),
    )


def _agent(body: Json, arrays: Mapping[str, Tensor | NDArray[Any]]) -> Agent | str:
    if body["format"] != FORMAT:
        return f"format {body['format']}, and this version reads {FORMAT}"
    try:
        return Agent.of(revived(body, arrays, device="cpu")[0])
    except CheckpointError as error:
        return str(error)


def _big(named: tuple[str, Tensor | NDArray[Any]]) -> Big:
    name, one = named
    tensor = torch.as_tensor(one)
    kind = str(tensor.dtype).removeprefix("torch.")
    return Big(name, tuple(tensor.shape), kind, tensor.numel() * tensor.element_size())
