"""A scripted source and a sink in memory: faults are items of the script.

    MemorySource([*events[:at], Crash(), *events[at:], End()])

Both objects outlive a crash of the daemon under test, as a broker would: a new daemon gets the
same source and sink and seeks to its last checkpoint.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streams.records import Event, Label, Prediction, Record, Refused
from streams.source import Position, SourceError


class Crashed(BaseException):  # it stands for a kill: no `except Exception` may stop it
    """The script says that the process dies here."""


@dataclass(frozen=True, slots=True)
class Crash:
    """`poll` raises `Crashed` here, once; after that the item is gone."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing comes here for so many polls; after that the item is gone."""

    polls: int = 1


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same record is delivered once more, at a position of its own."""

    record: Record


@dataclass(frozen=True, slots=True)
class End:
    """No record will ever come again; without it the source is open-ended."""


Item: TypeAlias = Record | Crash | Stall | Duplicate | End


class MemorySource:
    """Plays a script; replayable: after `seek` the same records come, but no fault comes twice.

    The position counts records (duplicates among them) in the part "script".

    Args:
        script: records and faults, in order; what stands after `End` is never given.
    """

    def __init__(self, script: Iterable[Item]) -> None:
        self._records: list[Record] = []
        self._faults: dict[int, list[Crash | Stall]] = {}  # by how many records come before
        self._stalled = 0
        self._given = 0
        self._closed_at: int | None = None
        self.committed: list[dict[str, int]] = []
        self.extend(script)

    def extend(self, script: Iterable[Item]) -> None:
        """Write more behind what is there; nothing comes behind an `End`."""
        for item in script:
            if self._closed_at is not None:
                return
            if isinstance(item, (Event, Label, Refused)):
                self._records.append(item)
            elif isinstance(item, Duplicate):
                self._records.append(item.record)
            elif isinstance(item, End):
                self._closed_at = len(self._records)
            else:
                self._faults.setdefault(len(self._records), []).append(item)

    def poll(self, most: int, wait: float) -> Sequence[Record]:  # noqa: ARG002  # time is the script's
        """Give records up to the next fault; raises `Crashed` where the script says so."""
        if self._stall():
            return []
        faults = [at for at in self._faults if at > self._given]
        end = min([self._given + most, len(self._records), *faults])
        records = self._records[self._given : end]
        self._given = end
        return records

    def _stall(self) -> bool:
        """Meet the fault that stands here, if any; whether this poll stays empty."""
        if self._stalled:
            self._stalled -= 1
            return True
        here = self._faults.get(self._given)
        if not here:
            return False
        fault = here.pop(0)
        if not here:
            del self._faults[self._given]
        if isinstance(fault, Crash):
            raise Crashed(f"the script crashes after record {self._given}")
        self._stalled = max(0, fault.polls - 1)
        return fault.polls > 0

    def position(self) -> Position:
        """Say how many records were given."""
        return {"script": self._given}

    def seek(self, position: Position) -> None:
        """Go on after so many records; SourceError if there are fewer."""
        given = position.get("script", 0)
        if not 0 <= given <= len(self._records):
            raise SourceError(f"the script has {len(self._records)} records, not {given}")
        self._given = given

    def commit(self, position: Position) -> None:
        """Keep the position in `committed`."""
        self.committed.append(dict(position))

    def assigned(self) -> bool:
        """The script is here."""
        return True

    def ended(self) -> bool:
        """Say whether the script's `End` was reached and no fault stands before it."""
        return (
            self._given == self._closed_at and not self._stalled and self._given not in self._faults
        )

    def in_touch(self) -> float:
        """Say 0: memory is here."""
        return 0.0

    def lag(self) -> Mapping[str, int]:
        """Say how many records of the script are left."""
        return {"script": len(self._records) - self._given}

    def close(self) -> None:
        """Do nothing: a new daemon may go on with it."""


class MemorySink:
    """Keeps what it is given, in order, across crashes of the daemon.

    With `goes_back` (as a file) `position` counts what was given and `seek` cuts back to it;
    without (as a topic) answers given again after a crash stand there twice. `crash` loses what
    was given since the last `flush`, as a power cut would.

    Args:
        goes_back: whether it can be cut back.
        broken_flushes: how many flushes raise `SourceError` before one succeeds.
    """

    def __init__(self, *, goes_back: bool = True, broken_flushes: int = 0) -> None:
        self.said: list[Prediction] = []
        self.letters: list[Refused] = []
        self.flushes = 0
        self._goes_back = goes_back
        self._broken = broken_flushes
        self._durable = (0, 0)

    def predictions(self, predictions: Sequence[Prediction]) -> None:
        """Keep these answers."""
        self.said.extend(predictions)

    def refused(self, refused: Sequence[Refused]) -> None:
        """Keep these dead letters."""
        self.letters.extend(refused)

    def flush(self) -> None:
        """Make durable what was given; raises while `broken_flushes` are left."""
        if self._broken:
            self._broken -= 1
            raise SourceError("the script breaks this flush; go back to the last checkpoint")
        self.flushes += 1
        self._durable = (len(self.said), len(self.letters))

    def crash(self) -> None:
        """Lose what was given since the last flush."""
        self._cut(*self._durable)

    def _cut(self, said: int, letters: int) -> None:
        del self.said[said:], self.letters[letters:]
        self._durable = (min(said, self._durable[0]), min(letters, self._durable[1]))

    def position(self) -> Position:
        """Count what was given; empty if it cannot go back."""
        if not self._goes_back:
            return {}
        return {"predictions": len(self.said), "refused": len(self.letters)}

    def seek(self, position: Position) -> None:
        """Cut back to those counts; does nothing if it cannot go back."""
        if self._goes_back:
            said = position.get("predictions", len(self.said))
            self._cut(said, position.get("refused", len(self.letters)))

    @property
    def recreations(self) -> int:
        """Nothing is ever made anew."""
        return 0

    def in_touch(self) -> float:
        """Say 0: memory is here."""
        return 0.0

    def close(self) -> None:
        """Do nothing: a new daemon may go on with it."""
