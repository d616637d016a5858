"""Dead letters chosen, summed up and put back: what `adaptd dlq` does, whatever they lie in."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Protocol, TypeAlias

from streams.codec import Codec
from streams.kafka.letters import Original
from streams.kafka.putback import Back
from streams.letters import NO_VALUE, Letter, Place, place_of
from streams.records import Refused

BATCH = 200  # letters that one transaction puts back
BATCH_BYTES = 8 << 20

Fate: TypeAlias = Literal[
    "put back", "put back before", "no record of these topics", "cut short", "without a value",
    "edit failed", "still refused", "too large",
]  # fmt: skip
"""What becomes of a letter that is to be put back."""

DONE: tuple[Fate, ...] = ("put back", "put back before")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant.

    Args:
        reason: that reason alone; None for all.
        limit: so many at most; None for all.
    """

    reason: str | None = None
    limit: int | None = None

    def of(self, letters: Iterable[Letter]) -> Iterator[Letter]:
        """Give those that are meant, in their order."""
        meant = (one for one in letters if self.reason is None or one.reason == self.reason)
        return islice(meant, self.limit)


@dataclass(slots=True)
class Sum:
    """Letters of one reason: how many, and when the first and the last were written (Unix)."""

    letters: int = 0
    put_back: int = 0
    cut: int = 0
    first: float | None = None
    last: float | None = None
    examples: list[Letter] = field(default_factory=list)

    def add(self, letter: Letter, examples: int) -> None:
        """Count a letter; the first few that wait stand as examples."""
        self.letters += 1
        self.put_back += letter.put_back
        self.cut += letter.cut
        if letter.time is not None:
            self.first = letter.time if self.first is None else min(self.first, letter.time)
            self.last = letter.time if self.last is None else max(self.last, letter.time)
        if len(self.examples) < examples and not letter.put_back:
            self.examples.append(letter)


def summed(letters: Iterable[Letter], examples: int = 1) -> dict[str, Sum]:
    """Sum letters up by reason, the most frequent first."""
    sums: dict[str, Sum] = {}
    for letter in letters:
        sums.setdefault(letter.reason, Sum()).add(letter, examples)
    return dict(sorted(sums.items(), key=lambda pair: -pair[1].letters))


class EditError(Exception):
    """A letter's bytes could not be mended; the message says why."""


class Finds(Protocol):
    """Looks up the record that a letter is of; None where it is gone."""

    def __call__(self, place: Place) -> Original | None:
        """Give the record at that place."""
        ...


@dataclass(frozen=True, slots=True)
class Requeue:
    """How letters are put back.

    Args:
        events, labels: the topics that they may have come from.
        codec: reads what is put back, to see whether it would be refused again.
        most: bytes of a record at most.
        find: looks up originals.
        edit: mends bytes, or raises `EditError`; None leaves them.
        put: writes records with their receipts, all or none; None for a dry run.
        anyway: put back also what would be refused again.
    """

    events: str
    labels: str | None
    codec: Codec
    most: int
    find: Finds
    edit: Callable[[Letter, bytes], bytes] | None = None
    put: Callable[[Sequence[Back]], None] | None = None
    anyway: bool = False

    def run(self, letters: Iterable[Letter], limit: int | None = None) -> "Outcome":
        """Put letters back, `limit` at most; say what became of each."""
        outcome, batch, size = Outcome(), list[Back](), 0
        for letter in letters:
            back = outcome.takes(letter, self._back(letter))
            if back is not None:
                batch.append(back)
                size += len(back.value)
            if len(batch) >= BATCH or size >= BATCH_BYTES:
                self._put(batch)
                batch, size = [], 0
            if limit is not None and outcome.fates["put back"] >= limit:
                break
        self._put(batch)
        return outcome

    def _put(self, batch: Sequence[Back]) -> None:
        if batch and self.put is not None:
            self.put(batch)

    def _back(self, letter: Letter) -> "Back | Kept":
        """Make the record that goes back, or say why none can."""
        if letter.put_back:
            return Kept("put back before", "")
        place = place_of(letter.where)
        if place is None or place.topic not in {self.events, self.labels}:
            return Kept("no record of these topics", f"it was {letter.where or 'nowhere'}")
        original = self.find(place)
        if original is not None and not (original.value or b"").startswith(letter.raw):
            original = None  # the topic was made anew: another record stands there now
        raw = self._whole(letter, original)
        if isinstance(raw, Kept):
            return raw
        try:
            raw = raw if self.edit is None else self.edit(letter, raw)
        except EditError as error:
            return Kept("edit failed", str(error))
        return self._checked(letter, place, raw, original)

    @staticmethod
    def _whole(letter: Letter, original: Original | None) -> "bytes | Kept":
        if letter.detail.startswith(NO_VALUE):
            return Kept("without a value", "there is nothing to put back")
        if not letter.cut:
            return letter.raw
        if original is None or original.value is None:
            why = f"{len(letter.raw)} of {letter.length} bytes are here, and the topic has no more"
            return Kept("cut short", why)
        return original.value

    def _checked(
        self, letter: Letter, place: Place, raw: bytes, original: Original | None
    ) -> "Back | Kept":
        if len(raw) > self.most:
            return Kept("too large", f"{len(raw)} bytes, max_output_bytes is {self.most}")
        read = self.codec.label if place.topic == self.labels else self.codec.event
        stamp = original.stamp if original is not None else round((letter.time or 0.0) * 1000)
        found = read(raw, letter.where, stamp / 1000)
        if isinstance(found, Refused) and not self.anyway:
            return Kept("still refused", f"{found.reason}: {found.detail}")
        return Back(
            letter=letter.at,
            where=letter.where,
            topic=place.topic,
            partition=place.partition,
            key=None if original is None else original.key,
            value=raw,
            headers=() if original is None else original.headers,
            stamp=stamp if self._by_stamp(place) else None,
        )

    def _by_stamp(self, place: Place) -> bool:
        """Whether the record's own time is the event's."""
        schema = self.codec.schema
        if place.topic == self.labels:
            return schema.label_time is None and schema.time is None
        return schema.time is None


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter that does not go back: its fate, and why."""

    fate: Fate
    why: str


@dataclass(slots=True)
class Outcome:
    """What became of letters: how many by fate, and of those not put back an example each."""

    fates: Counter[Fate] = field(default_factory=Counter)
    examples: dict[Fate, tuple[Letter, str]] = field(default_factory=dict)

    def takes(self, letter: Letter, made: Back | Kept) -> Back | None:
        """Count a letter; give what goes back."""
        if isinstance(made, Back):
            self.fates["put back"] += 1
            return made
        self.fates[made.fate] += 1
        self.examples.setdefault(made.fate, (letter, made.why))
        return None

    @property
    def left(self) -> int:
        """How many could not be put back."""
        return sum(count for fate, count in self.fates.items() if fate not in DONE)
