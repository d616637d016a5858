"""Test then train over a stream of records: encode, join labels, answer, learn.

All that changes can be photographed: the encoder's state, the learner's and its open block, classes
met, events that wait for labels. State and answers depend on the order of the records alone.

With each event that waits is kept how many labels had been learned when it was asked, which gives
a late label its lateness, and the words behind its answer, by which the learner is judged.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agent.continual.changes import TaskReport
from agent.continual.default import AgentSettings, default_agent
from agent.continual.growth import GROWTH
from agent.encode import Encoder, EncoderSettings, Rows
from agent.learners.base import Learner, Spec
from agent.service.answers import Answers, ClassAnswers, NumberAnswers, Scored
from agent.service.classes import ClassesMet
from agent.service.fed import Fed
from agent.service.probes import Asked, Probes, ProbeSettings
from agent.service.report import Memory
from agent.service.seats import seats
from agent.service.teacher import Leaf, Teacher, under, within
from streams.labels import Joined, Pending, PendingSettings
from streams.records import Event, Label, Prediction, Record, Refused, Truth
from streams.schema import Schema

__all__ = ["Fed", "Prequential"]

STAMPS = 2**24
"""Counts of labels are kept modulo this, as a float32 that holds them exactly."""
LATEST = 1_000_000
"""A lateness is cut here: further back no learner looks."""


class Prequential:
    """The learner on its stream.

    Args:
        schema: the shape of the records.
        learner: what learns; its `spec` has the encoder's width and codes and is dated, its classes
            are the room at start.
        encoder: makes rows of events.
        pending: the bounds for late labels.
        lanes: B, events and labels in a block.
        device: where the learner's tensors live.
        clock: monotonic seconds, for `Fed.seconds` only.
        probes: how memory is probed; None keeps none.
        growth: of blocks on a young stream.
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
        probes: ProbeSettings | None = None,
        growth: float = GROWTH,
    ) -> None:
        numbers = schema.goal == "number"
        self._encoder, self._clock = encoder, clock
        self._met = ClassesMet(2 if numbers else learner.spec.classes, numbers=numbers)
        self._met.meet(schema.classes)
        self._answers: Answers = NumberAnswers() if numbers else ClassAnswers(self._met.names)
        device = device or torch.device("cpu")
        self._teacher = Teacher(learner, self._answers, lanes, device, growth)
        asked = Asked(self._teacher, self._answers)
        self._probes = Probes(probes or ProbeSettings(every=0), encoder.width + 1, asked)
        self._pending = Pending(  # rows and stamps
            encoder.width + 1, self._met.room, pending, self._teacher.unsaid
        )
        self._scale = encoder.begin()
        self._records = 0
        self._learned = 0  # labels
        self._time = -math.inf  # of the last event
        self._said: list[Prediction] = []
        self._scored: list[Scored] = []
        self._unscored: list[tuple[int, int, float, float]] = []  # place in `_scored`, lane, …
        self._answered = 0  # lanes of the open block that were answered

    @classmethod
    def build(
        cls,
        schema: Schema,
        agent: AgentSettings,
        encoder: EncoderSettings,
        pending: PendingSettings,
        clock: Callable[[], float] = time.perf_counter,
        probes: ProbeSettings | None = None,
    ) -> "Prequential":
        """Build the default agent on this stream."""
        rows = Encoder(schema.fields, encoder)
        classes = 0 if schema.goal == "number" else max(agent.classes, len(schema.classes))
        spec = Spec(rows.width + 1, classes, codes=rows.codes, dated=True)
        cuda = agent.device == "cuda" or (agent.device == "auto" and torch.cuda.is_available())
        device = torch.device("cuda" if cuda else "cpu")
        learner = default_agent(spec, agent, seats(spec.sees(), agent.learners, device))
        how = (pending, agent.block, device, clock, probes, agent.growth)
        return cls(schema, learner, rows, *how)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes met so far, by index; empty for numbers."""
        return tuple(self._met.names)

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
        return self._teacher.voices()

    def memory(self) -> Memory:
        """What is known of old tasks, and how ready it is to learn."""
        return self._probes.memory()

    def tasks(self) -> TaskReport | None:
        """What is believed of the tasks in the stream; None where nothing looks for them."""
        return self._teacher.tasks()

    def feed(self, records: Sequence[Record]) -> Fed:
        """Answer every event, learn every label, in order."""
        start = self._clock()
        rows, self._scale = self._encoder.encode(
            self._scale, [record.values for record in records if type(record) is Event]
        )
        encoded = self._clock()
        refused: list[Refused] = []
        self._walk(records, rows, refused)
        if self._teacher.block.asked:
            self._tell(self._teacher.answer())
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
        lane = self._teacher.block.ask(row, event, len(self._met.names))
        if event.label is None:
            stamped = np.append(row, np.float32(self._learned % STAMPS))
            unsaid = np.zeros(self._met.room, np.float32)
            waited = self._pending.add(event.id, event.time, stamped, unsaid)
            if waited is True:
                self._teacher.block.waits[event.id] = lane
            elif waited is not False:
                self._taught(lane, row, waited.truth, max(waited.time - event.time, 0.0))
        elif self._pending.settle(event.id):
            self._taught(lane, row, event.label, 0.0)
        else:
            # The id came before: answered again; its label joins the first, if that still waits.
            self._late(Label(event.id, event.time, event.label))
        if self._teacher.block.full:
            self._learn()

    def _label(self, label: Label) -> None:
        self._late(label)
        if self._teacher.block.full:
            self._learn()

    def _late(self, label: Label) -> None:
        if self._teacher.block.full:  # an event whose id came before took the last lane itself
            self._learn()
        joined = self._pending.take(label)
        if not isinstance(joined, Joined):
            return
        delay = max(label.time - joined.event_time, 0.0)
        truth = self._met.number(label.truth)
        lane = self._teacher.block.waits.pop(label.id, -1)
        self._score(lane if lane >= self._answered else None, joined.said, truth, delay)
        if not self._met.fit(truth):
            self._widen(truth)
        row, stamp = joined.row[:-1], int(joined.row[-1])
        lateness = min((self._learned - stamp) % STAMPS, LATEST)
        self._teacher.block.teach(row, truth, lateness, joined.words)
        self._learned += 1

    def _taught(self, lane: int, row: NDArray[np.float32], label: Truth, delay: float) -> None:
        """Take the label that came with an event, or before it."""
        truth = self._met.number(label)
        self._score(lane, row, truth, delay)
        if self._met.fit(truth):
            self._teacher.block.tell(lane, truth)
        else:
            self._widen(truth)
            self._teacher.block.teach(row, truth, 0)
        self._learned += 1

    def _score(
        self, lane: int | None, said: NDArray[np.float32], truth: float, delay: float
    ) -> None:
        """Note a label with what was said; of a lane of the open block that is known later."""
        if lane is not None:
            self._unscored.append((len(self._scored), lane, truth, delay))
        self._scored.append((said, truth, delay))

    def _widen(self, truth: float) -> None:
        """Close the block and make room for a class that did not fit."""
        self._learn()
        room = self._met.widen(truth)
        self._teacher.widen(room)
        self._pending.widen(room, self._teacher.unsaid)

    def _learn(self) -> None:
        """Answer what was asked, learn the block, open the next."""
        block = self._teacher.block
        self._tell(self._teacher.learn())
        if block.waits and (words_BW := self._teacher.words()) is not None:
            for name, lane in block.waits.items():
                self._pending.keep(name, words_BW[lane])
        self._probes.learned(block.x_BF, block.y_B, block.seen_B)
        self._teacher.open()
        self._answered = 0

    def _tell(self, said_BS: NDArray[np.float32]) -> None:
        """Hand out the answers, note them with their events, score what waited for them."""
        block = self._teacher.block
        for name, lane in block.waits.items():
            if lane >= self._answered:
                self._pending.fill(name, said_BS[lane])
        self._answered, asked = block.lanes, block.asked
        self._said += self._teacher.tags.on(self._answers.predictions(said_BS, asked))
        asked.clear()
        for place, lane, truth, delay in self._unscored:
            self._scored[place] = (said_BS[lane], truth, delay)
        self._unscored.clear()

    def snapshot(self) -> tuple[dict[str, Leaf], dict[str, Any]]:
        """Photograph everything: arrays, and a JSON-able rest. To be taken between two feeds."""
        waiting, rest = self._pending.snapshot()
        arrays = (
            self._teacher.snapshot() | under("encoder", self._scale) | under("pending", waiting)
        ) | under("probes", self._probes.snapshot())
        return arrays, {
            "classes": list(self._met.names),
            "records": self._records,
            "learned": self._learned,
            "time": self._time if math.isfinite(self._time) else None,
            "pending": rest,
            **({"waits": dict(waits)} if (waits := self._teacher.block.waits) else {}),
        }

    def restore(self, arrays: Mapping[str, Leaf], rest: Mapping[str, Any]) -> None:
        """Go on exactly as the one that gave this snapshot."""
        waiting = {name: np.array(leaf) for name, leaf in within("pending", arrays).items()}
        self._met.restore(rest["classes"], waiting["said"].shape[1])
        self._teacher.restore(arrays, self._met.room)
        self._teacher.block.waits.update(rest.get("waits", {}))
        self._answered = self._teacher.block.lanes
        probed = within("probes", arrays).items()
        self._probes.restore({name: np.array(leaf) for name, leaf in probed})
        self._scale = {name: np.array(leaf) for name, leaf in within("encoder", arrays).items()}
        self._pending.widen(self._met.room, self._teacher.unsaid)
        self._pending.restore(waiting, rest["pending"])
        self._records = int(rest["records"])
        self._learned = int(rest["learned"])
        self._time = -math.inf if rest["time"] is None else float(rest["time"])

    def fingerprint(self) -> str:
        """A short hash of the whole state, for comparing runs bit for bit."""
        arrays, rest = self.snapshot()
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
        for name in sorted(arrays):
            digest.update(name.encode() + torch.as_tensor(arrays[name]).cpu().numpy().tobytes())
        return digest.hexdigest()[:16]
