"""A source that replays files: CSV or JSON lines, labels inside or in a file of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.codec import Codec
from streams.jsonlines import JsonLinesSink
from streams.pace import Pace
from streams.part import Format, Part, file_format
from streams.records import Record, Refused
from streams.source import Position, SourceError

__all__ = ["FileSettings", "FileSource", "JsonLinesSink", "file_format"]


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Which files to replay, and how fast.

    Args:
        path: the events; plain or gzip, whichever its first bytes say.
        format: "csv", "jsonl" (one JSON object a line), or "auto": by name, else by first byte.
        labels: a second file, of the same format, with labels by event id; None if they ride.
        speed: event time times this factor (1 is as it happened); None is flat out.
        delimiter: between CSV cells; None takes what the header holds most of: , ; tab or |.
    """

    path: str
    format: Format = "auto"
    labels: str | None = None
    speed: float | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be replayed."""
        if not self.path:
            raise ValueError("path is empty; name the file to read")
        if self.format not in {"auto", "csv", "jsonl"}:
            raise ValueError(f"format is {self.format!r}; take auto, csv or jsonl")
        if self.speed is not None and not 0.0 < self.speed < float("inf"):
            raise ValueError(f"speed is {self.speed}; take a number above 0, or none for flat out")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(f"delimiter is {self.delimiter!r}; take one character, such as ','")


class FileSource:
    """Replays files, record for record: to `seek` back gives the same bits in the same order.

    Parts are "events" and, with a file of labels, "labels": the two are merged by event time, an
    event before a label of the same time, a refused line at once. A record without a time of its
    own has its number in the file, from 0.

    Args:
        settings: the files and the speed.
        codec: reads their records.
        clock: seconds, for the speed.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        settings: FileSettings,
        codec: Codec,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._parts = {"events": _part(settings.path, settings, codec, labels=False)}
        if settings.labels is not None:
            self._parts["labels"] = _part(settings.labels, settings, codec, labels=True)
        self._pace = None if settings.speed is None else Pace(settings.speed, clock, sleep)

    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` records; waits only where a speed is set."""
        if self._pace is None and len(self._parts) == 1:
            return self._parts["events"].take(most)
        records: list[Record] = []
        while len(records) < most:
            try:
                found = self._next()
            except SourceError:
                if records:
                    break  # it is raised again by the next poll
                raise
            if found is None or not self._due(found[1], 0.0 if records else wait):
                break
            records.append(found[1])
            found[0].pop()
        return records

    def _next(self) -> tuple[Part, Record] | None:
        """Give the part whose record comes first, and that record."""
        heads = [(part, head) for part in self._parts.values() if (head := part.head()) is not None]
        if len(heads) < len(self._parts):
            return heads[0] if heads else None
        return min(heads, key=lambda one: _when(one[1]))  # the first of equals

    def _due(self, record: Record, wait: float) -> bool:
        if self._pace is None or isinstance(record, Refused):
            return True
        return self._pace.due(record.time, wait)

    def position(self) -> Position:
        """Say how many records of each part were given."""
        return {name: part.given for name, part in self._parts.items()}

    def seek(self, position: Position) -> None:
        """Go on after so many records of each part; reads up to there."""
        for name, part in self._parts.items():
            part.seek(position.get(name, 0))
        if self._pace is not None:
            self._pace.restart()

    def commit(self, position: Position) -> None:
        """Do nothing: files stay."""

    def assigned(self) -> bool:
        """Files are open from the start."""
        return True

    def ended(self) -> bool:
        """Say whether all records were given."""
        return all(part.at_end() for part in self._parts.values())

    def in_touch(self) -> float:
        """Say 0: files are here."""
        return 0.0

    def lag(self) -> Mapping[str, int] | None:
        """Give None: how many lines are left is not known, unless all are read."""
        return {} if self.ended() else None

    def progress(self) -> float:
        """Give the share of the events' file that was read, 0 to 1."""
        return self._parts["events"].progress()

    def close(self) -> None:
        """Close the files."""
        for part in self._parts.values():
            part.close()


def _part(path: str, settings: FileSettings, codec: Codec, *, labels: bool) -> Part:
    return Part(Path(path), settings.format, settings.delimiter, codec, labels=labels)


def _when(record: Record) -> float:
    return float("-inf") if isinstance(record, Refused) else record.time
