"""Test then train over a stream of records: encode, join labels, answer, learn.

All that changes is in one place and can be photographed: the encoder's state, the learner's, the
classes met, the open block, the events that wait for their labels. State and answers depend on the
order of the records alone, never on how they were cut into feeds.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agent.continual.default import AgentSettings, default_agent
from agent.encode import Encoder, EncoderSettings, Rows
from agent.learners.base import Learner, Said, Spec
from agent.service.answers import Answers, ClassAnswers, NumberAnswers, Scored
from agent.service.block import Block
from agent.service.report import Scores
from streams.labels import Joined, Pending, PendingSettings
from streams.records import Event, Label, Prediction, Record, Refused, Truth
from streams.schema import Schema


@dataclass(frozen=True, slots=True)
class Fed:
    """What came of one feed, in the order of the records.

    Args:
        predictions: one an event.
        refused: the records that could not be read.
        scores: one a label joined, by what had been said of its event.
        seconds: spent, by stage: encode, learn.
    """

    predictions: list[Prediction]
    refused: list[Refused]
    scores: Scores
    seconds: Mapping[str, float]


class Prequential:
    """The learner on its stream.

    Args:
        schema: the shape of the records.
        learner: what learns; its `spec` has the encoder's width, its classes are the room at start.
        encoder: makes rows of events.
        pending: the bounds for late labels.
        lanes: B, events and labels in a block.
        device: where the learner's tensors live.
        clock: monotonic seconds, for `Fed.seconds` only.
    """

    def __init__(
        self,
        schema: Schema,
        learner: Learner,
        encoder: Encoder,
        pending: PendingSettings,
        lanes: int = 32,
        device: torch.device | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._learner, self._encoder, self._clock = learner, encoder, clock
        self._device = device or torch.device("cpu")
        self._numbers = schema.goal == "number"
        self._names: list[str] = []
        self._index: dict[str, int] = {}
        self._answers: Answers = NumberAnswers() if self._numbers else ClassAnswers(self._names)
        self._room = 2 if self._numbers else learner.spec.classes
        self._pending = Pending(encoder.width, self._room, pending)
        self._scale = encoder.begin()
        self._state = {k: v.to(self._device) for k, v in learner.begin(1).items()}
        self._block = Block.empty(lanes, encoder.width)
        self._records = 0
        self._time = -math.inf  # of the last event
        self._scored: list[Scored] = []
        self._unscored: list[tuple[int, int, float, float]] = []  # place in `_scored`, lane, …
        self._fresh: dict[str, int] = {}
        self._said: list[Prediction] = []

    @classmethod
    def build(
        cls,
        schema: Schema,
        agent: AgentSettings,
        encoder: EncoderSettings,
        pending: PendingSettings,
        clock: Callable[[], float] = time.perf_counter,
    ) -> "Prequential":
        """Build the default agent on this stream."""
        rows = Encoder(schema.fields, encoder)
        classes = 0 if schema.goal == "number" else agent.classes
        learner = default_agent(Spec(rows.width, classes), agent)
        cuda = agent.device == "cuda" or (agent.device == "auto" and torch.cuda.is_available())
        device = torch.device("cuda" if cuda else "cpu")
        return cls(schema, learner, rows, pending, agent.block, device, clock)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes met so far, by index; empty for numbers."""
        return tuple(self._names)

    @property
    def records(self) -> int:
        """Records taken in since the very start."""
        return self._records

    @property
    def pending(self) -> Pending:
        """Events that wait for their labels, and what became of labels so far."""
        return self._pending

    def voices(self) -> dict[str, float]:
        """The experts' weights now; they sum to one."""
        weight = self._state.get("weight")
        if weight is None:
            return {name: 1 / len(self._learner.voices) for name in self._learner.voices}
        return dict(zip(self._learner.voices, weight[0].tolist(), strict=True))

    def feed(self, records: Sequence[Record]) -> Fed:
        """Answer every event, learn every label, in order."""
        start = self._clock()
        rows, self._scale = self._encoder.encode(
            self._scale, [record.values for record in records if type(record) is Event]
        )
        encoded = self._clock()
        refused: list[Refused] = []
        with torch.inference_mode(), no_denormals():
            self._walk(records, rows, refused)
            if self._block.asked:
                self._answer()
        said, self._said = self._said, []
        self._records += len(records)
        scores = self._answers.scores(self._scored)
        self._scored = []
        done = self._clock()
        return Fed(said, refused, scores, {"encode": encoded - start, "learn": done - encoded})

    def _walk(self, records: Sequence[Record], rows: Rows, refused: list[Refused]) -> None:
        at = 0
        for record in records:
            if type(record) is Event:
                self._event(record, rows[at])
                at += 1
            elif type(record) is Label:
                self._label(record)
            elif type(record) is Refused:
                refused.append(record)

    def _event(self, event: Event, row: NDArray[np.float32]) -> None:
        # A lone event from the far future ages nothing: its neighbour has to agree.
        self._pending.expire(min(event.time, self._time))
        self._time = event.time
        lane = self._block.ask(row, event, len(self._names))
        if event.label is None:
            waited = self._pending.add(event.id, event.time, row, self._nothing)
            if waited is True:
                self._fresh[event.id] = lane
            elif waited is not False:
                self._taught(lane, row, waited.truth, max(waited.time - event.time, 0.0))
        elif self._pending.settle(event.id):
            self._taught(lane, row, event.label, 0.0)
        else:
            # The id came before: answered again; its label joins the first, if that still waits.
            self._late(Label(event.id, event.time, event.label))
        if self._block.full:
            self._learn()

    def _label(self, label: Label) -> None:
        self._late(label)
        if self._block.full:
            self._learn()

    def _late(self, label: Label) -> None:
        joined = self._pending.take(label)
        if not isinstance(joined, Joined):
            return
        if self._block.full:  # an event whose id came before took the last lane itself
            self._learn()
        delay = max(label.time - joined.event_time, 0.0)
        truth = self._number(label.truth)
        self._score(self._fresh.pop(label.id, None), joined.said, truth, delay)
        if self._fits(truth):
            self._block.teach(joined.row, truth)
        else:
            self._learn()
            self._widen(truth)
            self._block.teach(joined.row, truth)

    def _taught(self, lane: int, row: NDArray[np.float32], label: Truth, delay: float) -> None:
        """Take the label that came with an event, or before it."""
        truth = self._number(label)
        self._score(lane, row, truth, delay)
        if self._fits(truth):
            self._block.tell(lane, truth)
        else:
            self._learn()
            self._widen(truth)
            self._block.teach(row, truth)

    def _score(
        self, lane: int | None, said: NDArray[np.float32], truth: float, delay: float
    ) -> None:
        """Note a label with what was said; of a lane of the open block that is known later."""
        if lane is not None:
            self._unscored.append((len(self._scored), lane, truth, delay))
        self._scored.append((said, truth, delay))

    def _number(self, truth: Truth) -> float:
        """A number as it is; a class by its index, a new one at the end."""
        if self._numbers:
            return float(truth)
        name = str(truth)
        index = self._index.get(name)
        if index is None:
            index = self._index[name] = len(self._names)
            self._names.append(name)
        return float(index)

    def _fits(self, truth: float) -> bool:
        return self._numbers or truth < self._room

    def _widen(self, truth: float) -> None:
        """Double the room for classes until this one fits."""
        while not self._fits(truth):
            self._room *= 2
        self._state = dict(self._learner.widen(self._state, self._room))
        self._pending.widen(self._room)

    @property
    def _nothing(self) -> NDArray[np.float32]:
        return np.zeros(self._room, np.float32)

    def _answer(self) -> None:
        """Answer what was asked of the open block; learn nothing."""
        self._tell(self._learner.foresee(self._state, *self._lanes()))

    def _learn(self) -> None:
        """Answer what was asked, learn the block, open the next."""
        block = self._block
        said, after = self._learner.predict_then_learn(self._state, *self._lanes())
        self._state = dict(after)
        self._tell(said)
        self._block = Block.empty(len(block.y_B), block.x_BF.shape[1])

    def _lanes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The open block as tensors, always of the same shape."""
        block, to = self._block, self._device
        y = torch.from_numpy(block.y_B).unsqueeze(0).to(to)
        y = y.float() if self._numbers else y.long()
        seen = torch.from_numpy(block.seen_B).unsqueeze(0).to(to)
        return torch.from_numpy(block.x_BF).unsqueeze(0).to(to), y, seen

    def _tell(self, said: Said) -> None:
        """Hand out the answers, note them with their events, score what waited for them."""
        said_BS = self._answers.said(said, self._block.asked)
        for name, lane in self._fresh.items():
            self._pending.fill(name, said_BS[lane])
        self._fresh.clear()
        self._said += self._answers.predictions(said_BS, self._block.asked)
        self._block.asked.clear()
        for place, lane, truth, delay in self._unscored:
            self._scored[place] = (said_BS[lane], truth, delay)
        self._unscored.clear()

    def snapshot(self) -> tuple[dict[str, torch.Tensor | NDArray[Any]], dict[str, Any]]:
        """Photograph everything: arrays, and a JSON-able rest. To be taken between two feeds."""
        waiting, rest = self._pending.snapshot()
        arrays: dict[str, torch.Tensor | NDArray[Any]] = {}
        for prefix, leaves in (
            ("learner", self._state),
            ("encoder", self._scale),
            ("block", self._block.snapshot()),
            ("pending", waiting),
        ):
            arrays |= {f"{prefix}/{name}": leaf for name, leaf in leaves.items()}
        return arrays, {
            "classes": list(self._names),
            "records": self._records,
            "time": self._time if math.isfinite(self._time) else None,
            "pending": rest,
        }

    def restore(
        self, arrays: Mapping[str, torch.Tensor | NDArray[Any]], rest: Mapping[str, Any]
    ) -> None:
        """Go on exactly as the one that gave this snapshot."""
        state = {k: torch.as_tensor(v).clone() for k, v in _under("learner", arrays).items()}
        self._state = {k: v.to(self._device) for k, v in state.items()}
        encoder, block, pending = (
            {k: np.array(v) for k, v in _under(prefix, arrays).items()}
            for prefix in ("encoder", "block", "pending")
        )
        self._scale = encoder
        self._block.restore(block)
        self._names[:] = rest["classes"]
        self._index = {name: index for index, name in enumerate(self._names)}
        if not self._numbers:
            self._room = pending["said"].shape[1]
            self._pending.widen(self._room)
        self._pending.restore(pending, rest["pending"])
        self._records = int(rest["records"])
        self._time = -math.inf if rest["time"] is None else float(rest["time"])

    def fingerprint(self) -> str:
        """A short hash of the whole state, for comparing runs bit for bit."""
        arrays, rest = self.snapshot()
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
        for name in sorted(arrays):
            leaf = arrays[name]
            data = leaf.cpu().numpy() if isinstance(leaf, torch.Tensor) else leaf
            digest.update(name.encode() + np.ascontiguousarray(data).tobytes())
        return digest.hexdigest()[:16]


@contextmanager
def no_denormals() -> Iterator[None]:
    """Flush denormal floats to zero meanwhile: attention's far tails are full of them, and slow."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _under(
    prefix: str, arrays: Mapping[str, torch.Tensor | NDArray[Any]]
) -> dict[str, torch.Tensor | NDArray[Any]]:
    start = len(prefix) + 1
    return {key[start:]: leaf for key, leaf in arrays.items() if key.startswith(f"{prefix}/")}
