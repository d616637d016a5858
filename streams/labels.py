"""Joins labels that come late with what was known of their events when they were predicted.

All changing state of late labels is in `Pending`, bounded in time and memory. Nothing is joined
twice as long as its id is remembered (`PendingSettings.remember`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.aged import Aged
from streams.packed import pack, unpack
from streams.pool import UNSAID, Pool, Words
from streams.records import Label
from streams.remembered import Remembered

Outcome: TypeAlias = Literal["duplicate", "expired", "waiting", "orphan"]
"""Why a label was not joined: its id was joined before (or waits already); its event was dropped
before it came; its event has not come yet; its event is not known and there is no room to wait."""

COUNTED = ("joined", "duplicate", "expired", "orphan", "duplicate_event", "dropped_event")
"""What `Pending.counts` counts: labels by what became of them (an orphan once its wait is over),
events that came again, and events dropped without a label."""


@dataclass(frozen=True, slots=True)
class PendingSettings:
    """How long and how many events wait for their labels.

    Args:
        ttl: seconds of event time that an event, or a label without its event, is kept.
        most: events kept at most; the oldest goes first.
        remember: ids of joined and dropped events kept, to tell a duplicate from an orphan.
        waiting: labels without their event kept at most; the oldest goes first.
    """

    ttl: float = 30 * 86_400.0
    most: int = 100_000
    remember: int = 200_000
    waiting: int = 10_000

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing."""
        if not self.ttl > 0.0:
            raise ValueError(f"ttl is {self.ttl}; take seconds of event time, above 0")
        for name, least in (("most", 1), ("remember", 0), ("waiting", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; take {least} or more")


class Joined(NamedTuple):
    """What was known of a label's event when it was predicted."""

    row: NDArray[np.float32]  # encoded, shape F
    said: NDArray[np.float32]  # of the prediction, shape S
    event_time: float
    words: Words  # behind the prediction, shape W; NaN where there are none


class Pending:
    """The events that wait for their labels, and the labels that wait for their events.

    Args:
        width: floats of an encoded row (F).
        seen: floats kept of a prediction (S).
        settings: the bounds.
        unsaid: the words of an event of which none are known (W), NaN.
    """

    def __init__(
        self, width: int, seen: int, settings: PendingSettings, unsaid: Words = UNSAID
    ) -> None:
        self._settings = settings
        self._widths, self._unsaid = (width, seen), unsaid
        self._clear()

    def _clear(self) -> None:
        self._events = Aged()
        self._pool = Pool(*self._widths, self._settings.most, self._unsaid)
        self._waiting = Aged()
        self._labels: dict[str, Label] = {}
        self._done = Remembered(self._settings.remember)
        self._counts = dict.fromkeys(COUNTED, 0)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def waiting(self) -> int:
        """How many labels wait for their event."""
        return len(self._labels)

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of labels and events so far, by the names in `COUNTED`."""
        return dict(self._counts)

    def add(
        self, event_id: str, time: float, row: NDArray[np.float32], said: NDArray[np.float32]
    ) -> Label | bool:
        """Keep an event that was just predicted.

        True: it waits for its label. A `Label`: that one came first; they are joined now, learn it.
        False: an event of that id waits or was joined; it is answered again, but learned once.
        """
        if not self._is_new(event_id):
            return False
        label = self._labels.pop(event_id, None)
        if label is not None:
            self._waiting.remove(event_id)
            self._finish(event_id, joined=True)
            return label
        self._keep(event_id, time, row, said)
        return True

    def _keep(
        self, event_id: str, time: float, row: NDArray[np.float32], said: NDArray[np.float32]
    ) -> None:
        if len(self._events) >= self._settings.most:
            self._drop_oldest()
        self._pool.put(event_id, row, said)
        self._events.add(event_id, time)

    def fill(self, event_id: str, said: NDArray[np.float32]) -> None:
        """Put in what was said of an event that may wait: it can be added before it is answered."""
        self._pool.fill(event_id, said)

    def keep(self, event_id: str, words: Words) -> None:
        """Put in the words behind what was said of an event that may wait."""
        self._pool.keep(event_id, words)

    def widen(self, seen: int, unsaid: Words = UNSAID) -> None:
        """Make room for longer predictions: a class was met that did not fit."""
        self._widths, self._unsaid = (self._widths[0], seen), unsaid
        self._pool.widen(seen, unsaid)

    def settle(self, event_id: str) -> bool:
        """Take note that an event came with its label riding along; True: it is new, learn it.

        False: an event of that id waits or was joined; hand its label to `take`, which knows.
        """
        if not self._is_new(event_id):
            return False
        if self._labels.pop(event_id, None) is not None:
            self._waiting.remove(event_id)
            self._counts["duplicate"] += 1
        self._finish(event_id, joined=True)
        return True

    def _is_new(self, event_id: str) -> bool:
        if event_id not in self._events and not self._done.joined(event_id):
            return True
        self._counts["duplicate_event"] += 1
        return False

    def take(self, label: Label) -> Joined | Outcome:
        """Join a label with its event, or say why not."""
        name = label.id
        if name in self._events:
            row, said, words = self._pool.pop(name)
            self._finish(name, joined=True)
            return Joined(row, said, self._events.remove(name), words)
        if name in self._labels or self._done.joined(name):
            self._counts["duplicate"] += 1
            return "duplicate"
        if name in self._done:
            self._counts["expired"] += 1
            return "expired"
        return self._wait(label)

    def _wait(self, label: Label) -> Outcome:
        if self._settings.waiting == 0:
            self._counts["orphan"] += 1
            return "orphan"
        if len(self._labels) >= self._settings.waiting:
            self._orphan_oldest()
        self._waiting.add(label.id, label.time)
        self._labels[label.id] = label
        return "waiting"

    def expire(self, now: float) -> int:
        """Drop what is older than `ttl` at that event time; give how many events were dropped."""
        line, before = now - self._settings.ttl, len(self._events)
        while (oldest := self._events.oldest()) is not None and oldest[1] < line:
            self._drop_oldest()
        while (oldest := self._waiting.oldest()) is not None and oldest[1] < line:
            self._orphan_oldest()
        return before - len(self._events)

    def _drop_oldest(self) -> None:
        oldest = self._events.oldest()
        if oldest is not None:
            self._events.remove(oldest[0])
            self._pool.pop(oldest[0])
            self._finish(oldest[0], joined=False)

    def _orphan_oldest(self) -> None:
        oldest = self._waiting.oldest()
        if oldest is not None:
            self._waiting.remove(oldest[0])
            del self._labels[oldest[0]]
            self._counts["orphan"] += 1

    def _finish(self, event_id: str, *, joined: bool) -> None:
        self._counts["joined" if joined else "dropped_event"] += 1
        self._done.add(event_id, joined=joined)

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Give all state as arrays and a JSON-able rest; what comes later does not change it."""
        names, times = self._events.columns()
        rows, said, words = self._pool.gather(names)
        labels = [self._labels[name] for name in self._waiting.columns()[0]]
        ids, id_lengths = pack(names)
        done, done_lengths, joined = self._done.snapshot()
        arrays: dict[str, NDArray[Any]] = {
            "rows": rows,
            "said": said,
            "times": np.array(times, np.float64),
            "ids": ids,
            "id_lengths": id_lengths,
            "done": done,
            "done_lengths": done_lengths,
            "joined": joined,
        }
        if words.size:
            arrays["words"] = words
        return arrays, {
            "waiting": [[label.id, label.time, label.truth] for label in labels],
            "counts": dict(self._counts),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any]) -> None:
        """Go on exactly as the store that gave this snapshot; ValueError if it cannot be of one.

        Where the bounds are smaller now, the oldest goes first, as ever.
        """
        widths = (arrays["rows"].shape[1], arrays["said"].shape[1])
        if widths != self._widths or len(arrays["id_lengths"]) != len(arrays["rows"]):
            raise ValueError(
                f"a snapshot of rows and predictions of {widths} floats does not fit a store of "
                f"{self._widths}; the schema or the learner has changed: start anew"
            )
        self._clear()
        self._counts.update(rest["counts"])
        self._done.restore(arrays["done"], arrays["done_lengths"], arrays["joined"])
        ids, times = unpack(arrays["ids"], arrays["id_lengths"]), arrays["times"].tolist()
        for name, time, row, said in zip(ids, times, arrays["rows"], arrays["said"], strict=True):
            self._keep(name, time, row, said)
        for name, words in zip(ids, arrays.get("words", ()), strict=False):
            self._pool.keep(name, words)
        for name, time, truth in rest["waiting"]:
            self._wait(Label(name, float(time), truth if isinstance(truth, str) else float(truth)))
