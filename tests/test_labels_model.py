"""The store of late labels against a naive model: whatever comes, in whatever order."""

import json

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.labels import COUNTED, Joined, Pending, PendingSettings
from streams.records import Label

TTL, MOST, WAITING = 5.0, 4, 3
NAMES = st.sampled_from("abcdefghij")
TIMES = st.integers(0, 12).map(float)


class AgainstANaiveModel(RuleBasedStateMachine):
    """Lists and linear search say what must come out; restarts may happen at any point."""

    def __init__(self) -> None:
        super().__init__()
        self.store = self.fresh()
        self.events: list[tuple[str, float]] = []
        self.labels: list[Label] = []
        self.done: dict[str, bool] = {}
        self.tally = dict.fromkeys(COUNTED, 0)
        self.joined: list[str] = []

    def fresh(self) -> Pending:
        return Pending(3, 2, PendingSettings(TTL, MOST, 100, WAITING))

    def finish(self, name: str) -> None:
        assert name not in self.joined, "learned twice"
        self.joined.append(name)
        self.done[name] = True
        self.tally["joined"] += 1

    def drop(self, event: tuple[str, float]) -> None:
        self.events.remove(event)
        self.done[event[0]] = False
        self.tally["dropped_event"] += 1

    def orphan(self, label: Label) -> None:
        self.labels.remove(label)
        self.tally["orphan"] += 1

    @rule(name=NAMES, time=TIMES)
    def an_event_comes(self, name: str, time: float) -> None:
        found = self.store.add(name, time, np.full(3, time, np.float32), np.zeros(2, np.float32))
        early = [label for label in self.labels if label.id == name]
        if self.done.get(name) or name in dict(self.events):
            self.tally["duplicate_event"] += 1
            assert found is False
        elif early:
            assert found == early[0]
            self.labels.remove(early[0])
            self.finish(name)
        else:
            assert found is True
            if len(self.events) == MOST:
                self.drop(min(self.events, key=lambda event: event[1]))
            self.events.append((name, time))

    @rule(name=NAMES, time=TIMES)
    def a_label_comes(self, name: str, time: float) -> None:
        label = Label(name, time, "up")
        found = self.store.take(label)
        if name in dict(self.events):
            assert isinstance(found, Joined)
            at = dict(self.events)[name]
            assert (found.row.tolist(), found.event_time) == ([at] * 3, at)
            self.events.remove((name, at))
            self.finish(name)
        elif self.done.get(name) or name in [one.id for one in self.labels]:
            assert found == "duplicate"
            self.tally["duplicate"] += 1
        elif name in self.done:
            assert found == "expired"
            self.tally["expired"] += 1
        else:
            assert found == "waiting"
            if len(self.labels) == WAITING:
                self.orphan(min(self.labels, key=lambda one: one.time))
            self.labels.append(label)

    @rule(now=TIMES)
    def time_passes(self, now: float) -> None:
        old = [event for event in self.events if event[1] < now - TTL]
        assert self.store.expire(now) == len(old)
        for event in sorted(old, key=lambda one: one[1]):
            self.drop(event)
        for label in [one for one in self.labels if one.time < now - TTL]:
            self.orphan(label)

    @precondition(lambda self: self.events or self.labels or self.done)
    @rule()
    def the_daemon_restarts(self) -> None:
        arrays, rest = self.store.snapshot()
        self.store = self.fresh()
        self.store.restore(arrays, json.loads(json.dumps(rest)))

    @invariant()
    def nothing_is_lost_and_memory_is_bounded(self) -> None:
        assert self.store.counts == self.tally
        assert (len(self.store), self.store.waiting) == (len(self.events), len(self.labels))
        assert len(self.store) <= MOST
        assert len(self.store._pool._rows_NF) <= MOST
        for aged in (self.store._events, self.store._waiting):
            assert len(aged._heap) <= 2 * len(aged) + 65


AgainstANaiveModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAgainstANaiveModel = AgainstANaiveModel.TestCase
