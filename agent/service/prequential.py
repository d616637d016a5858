"""Test then train over a stream of records: encode, join labels, answer, learn.

All that changes can be photographed: the encoder's state, the learner's and its open block, classes
met, events that wait for labels. State and answers depend on the order of the records alone.

With each event that waits is kept how many labels had been learned when it was asked, which gives
a late label its lateness, and the words behind its answer, by which the learner is judged.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agent.continual.changes import TaskReport
from agent.continual.default import AgentSettings, default_agent
from agent.continual.growth import GROWTH
from agent.encode import Encoder, EncoderSettings, Rows
from agent.learners.base import Learner, Spec
from agent.service.answers import Answers, ClassAnswers, NumberAnswers
from agent.service.block import since, stamp
from agent.service.calls import Came, alone
from agent.service.classes import ClassesMet
from agent.service.fed import Fed, Stages, Walk, walked
from agent.service.ledger import Ledger
from agent.service.probes import Asked, Probes, ProbeSettings
from agent.service.reach import Reach
from agent.service.report import Memory
from agent.service.seats import seats
from agent.service.teacher import Leaf, Teacher, fingerprint, under, within
from streams.labels import Joined, Pending, PendingSettings
from streams.records import Event, Label, Record, Refused, Truth
from streams.schema import Schema

__all__ = ["Fed", "Prequential"]


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
        width = encoder.width + 1  # rows and stamps
        self._pending = Pending(width, self._met.room, pending, self._teacher.unsaid)
        self._scale = encoder.begin()
        self._records = 0
        self._learned = 0  # labels
        self._time = -math.inf  # of the last event
        self._ledger, self._stages, self._reach = Ledger(self._answers), Stages(clock), Reach()
        self._cut = self._reach.cut if numbers else float
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
        device = agent.place()
        learner = default_agent(spec, agent, seats(spec.sees(), agent.learners, device))
        how = (pending, agent.block, device, clock, probes, agent.growth)
        made = cls(schema, learner, rows, *how)
        made._teacher.batched = agent.batched
        return made

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

    def faults(self) -> dict[str, int]:
        """How often each expert broke (gave no number, or raised) and was begun anew, so far."""
        return self._teacher.faults()

    def abreast(self) -> bool:
        """Whether its blocks are learned in one call with those of learners made alike."""
        return self._teacher.abreast()

    def memory(self) -> Memory:
        """What is known of old tasks, and how ready it is to learn."""
        return self._probes.memory()

    def tasks(self) -> TaskReport | None:
        """What is believed of the tasks in the stream; None where nothing looks for them."""
        return self._teacher.tasks()

    def feed(self, records: Sequence[Record]) -> Fed:
        """Answer every event, learn every label, in order."""
        return walked(self.walk(records), self._clock)

    def walk(self, records: Sequence[Record]) -> Walk:
        """Feed in steps, for whoever makes the learner's calls; see `agent.service.fleet`."""
        self._stages = stages = Stages(self._clock)
        rows, self._scale = self._encoder.encode(
            self._scale, [record.values for record in records if type(record) is Event]
        )
        refused: list[Refused] = []
        for _ in self._taken(records, rows, refused):
            self._settle((yield from stages.waited(self._teacher.lessons())))
            stages.spent("learn")
        if self._teacher.block.asked:
            came = yield from stages.waited([self._teacher.asks()])
            self._tell(self._teacher.answered(came))
            stages.spent("predict")
        self._records += len(records)
        said, scores = self._ledger.close()
        stages.spent("encode")
        return Fed(said, refused, scores, stages.seconds)

    def _taken(
        self, records: Sequence[Record], rows: Rows, refused: list[Refused]
    ) -> Iterator[None]:
        """Take the records; stop wherever the block is full, until it has been learned."""
        at = 0
        for record in records:
            if type(record) is Event:
                self._event(record, rows[at])
                at += 1
            elif type(record) is Label:
                self._late(record)
            elif type(record) is Refused:
                refused.append(record)
            if self._teacher.block.full:
                yield

    def _event(self, event: Event, row: NDArray[np.float32]) -> None:
        # A lone event from the far future ages nothing: its neighbour has to agree.
        self._pending.expire(min(event.time, self._time))
        self._time = event.time
        lane = self._teacher.block.ask(row, event, len(self._met.names))
        if event.label is None:
            stamped = np.append(row, stamp(self._learned))
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

    def _late(self, label: Label) -> None:
        if self._teacher.block.full:  # an event whose id came before took the last lane itself
            self._learn()
        joined = self._pending.take(label)
        if not isinstance(joined, Joined):
            return
        delay = max(label.time - joined.event_time, 0.0)
        truth = self._met.number(label.truth)
        at = self._teacher.block.waits.pop(label.id, -1)
        row, late = joined.row[:-1], since(joined.row[-1], self._learned)
        self._ledger.score(at if at >= self._answered else None, joined.said, truth, delay, late)
        if not self._met.fit(truth):
            self._widen(truth)
        self._teacher.block.teach(row, self._cut(truth), late, joined.words)
        self._learned += 1

    def _taught(self, lane: int, row: NDArray[np.float32], label: Truth, delay: float) -> None:
        """Take the label that came with an event, or before it."""
        truth = self._met.number(label)
        self._ledger.score(lane, row, truth, delay)
        if self._met.fit(truth):
            self._teacher.block.tell(lane, self._cut(truth))
        else:
            self._widen(truth)
            self._teacher.block.teach(row, truth, 0)
        self._learned += 1

    def _widen(self, truth: float) -> None:
        """Close the block and make room for a class that did not fit."""
        self._learn()
        room = self._met.widen(truth)
        self._teacher.widen(room)
        self._pending.widen(room, self._teacher.unsaid)

    def _learn(self) -> None:
        """Close a block in the middle of a record."""
        self._stages.spent("encode")
        self._settle([alone(call) for call in self._teacher.lessons()])
        self._stages.spent("learn")

    def _settle(self, came: Sequence[Came]) -> None:
        """Hand out the answers of the block just learned, open the next."""
        block = self._teacher.block
        self._tell(self._teacher.learned(came))
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
        said = self._teacher.tags.on(self._answers.predictions(said_BS, asked))
        self._ledger.answer(said_BS, said)
        asked.clear()

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
            "reach": self._reach.snapshot(),
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
        self._reach.restore(rest.get("reach", ()))
        self._time = -math.inf if rest["time"] is None else float(rest["time"])

    def fingerprint(self) -> str:
        """A short hash of the whole state, for comparing runs bit for bit."""
        return fingerprint(*self.snapshot())
