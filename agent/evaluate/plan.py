"""What is evaluated, and how it fared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from typing_extensions import override

from agent.evaluate.guess import Guess
from agent.evaluate.measures import FIGURES, Curve
from agent.service.report import Scores
from streams.codec import Codec
from streams.delay import Delayed
from streams.files import FileSource
from streams.records import Record
from streams.source import Source


class Model(Protocol):
    """What is fed records and gives the scores of the labels among them."""

    def feed(self, records: Sequence[Record]) -> Scores:
        """Test then train."""
        ...


class Entrant(Protocol):
    """A model that is yet to be made, in the process that it will have for itself."""

    @property
    def name(self) -> str:
        """Its name in the table."""
        ...

    def make(self) -> Model:
        """Make it."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What every model meets.

    Args:
        guess: the file and its schema.
        delay_events: labels come after so many later events.
        delay_seconds: labels come after so many seconds of event time; without either, at once.
        rows: events taken at most.
        batch: records fed at a time.
    """

    guess: Guess
    delay_events: int | None = None
    delay_seconds: float | None = None
    rows: int | None = None
    batch: int = 1024

    def file(self) -> FileSource:
        """Open the file, flat out."""
        codec = Codec(self.guess.schema, self.guess.missing)
        if self.rows is None:
            return FileSource(self.guess.file, codec, _still, _no_sleep)
        return FirstRows(self.guess.file, codec, self.rows)

    def delayed(self, file: FileSource) -> Source:
        """Hold its labels back as long as asked."""
        if self.delay_events is None and self.delay_seconds is None:
            return file
        return Delayed(file, self.delay_events, self.delay_seconds)


@dataclass(frozen=True, slots=True)
class Result:
    """How one model fared.

    Args:
        name: the model.
        events: events that it predicted.
        labels: labels that it was scored on, and learned.
        refused: records that could not be read, by reason.
        first: where the first of these stood, and what was wrong with it.
        figures: by name; None where one means nothing.
        seconds: spent in the model, and in all.
        peak_rss_bytes: the most memory that its process held.
        ends: labels at the end of each window.
        curves: figures in each window.
        error: why it stopped, where it did.
    """

    name: str
    events: int = 0
    labels: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    first: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    seconds: tuple[float, float] = (0.0, 0.0)
    peak_rss_bytes: int = 0
    ends: Sequence[int] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    error: str | None = None

    def rates(self) -> tuple[float | None, float | None]:
        """Give events a second of the model's own time, and end to end."""
        model, whole = self.seconds
        return self.events / model if model else None, self.events / whole if whole else None

    def row(self) -> dict[str, Any]:
        """Give one plain object, for JSON."""
        model, whole = self.rates()
        return {
            "name": self.name,
            "events": self.events,
            "labels": self.labels,
            **dict.fromkeys(FIGURES),
            **self.figures,
            "events_per_s": model,
            "events_per_s_end_to_end": whole,
            "peak_rss_bytes": self.peak_rss_bytes,
            "refused": sum(self.refused.values()),
            "error": self.error,
        }


class FirstRows(FileSource):
    """A file's source that ends after its first rows."""

    def __init__(self, settings: Any, codec: Codec, rows: int) -> None:
        super().__init__(settings, codec, _still, _no_sleep)
        self._rows = rows

    @override
    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` of the records that are left."""
        return super().poll(min(most, self._rows - self._done()), wait)

    def _done(self) -> int:
        return self.position()["events"]

    @override
    def ended(self) -> bool:
        """Say whether the rows are through."""
        return self._done() >= self._rows or super().ended()

    @override
    def progress(self) -> float:
        """Give the share of the rows that was read."""
        return max(super().progress(), self._done() / self._rows)


def _still() -> float:
    return 0.0


def _no_sleep(_: float) -> None:
    return
