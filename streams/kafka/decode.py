"""Kafka's records to the stream's."""

from collections.abc import Sequence
from typing import Any

import msgspec

from streams.assemble import MOST_NAME
from streams.codec import Codec
from streams.records import Event, Record, Refused

_KEY = "no value, only a key (a tombstone); send events and labels with a value"
_EARLY = "dated long after its record's own time; send the time when it was, or raise stream.ahead"


class Decoder:
    """Reads the records of one partition at a time.

    Where the schema names no key, the Kafka record's key is the event's. What is dated further
    ahead of the Kafka record's own time than `Schema.ahead` is refused: it would age all others.

    Args:
        codec: reads one record's bytes.
        labels: the topic of labels, if there is one; all others hold events.
    """

    def __init__(self, codec: Codec, labels: str | None) -> None:
        self._codec = codec
        self._labels = labels
        self._keyed = codec.schema.key is None
        self._ahead = codec.schema.ahead

    def in_touch(self) -> float:
        """Seconds since the schema registry last answered; 0 where none is needed."""
        return self._codec.in_touch()

    def __call__(
        self, part: str, topic: str, records: Sequence[Any]
    ) -> tuple[list[Record], list[int]]:
        """Give the records read, and the offset after each.

        Raises:
            LaterError: some cannot be read just now; none is given: hand all of them in again.
        """
        read = self._codec.label if topic == self._labels else self._codec.event
        place = f"{part}@"
        decoded: list[Record] = []
        after: list[int] = []
        for record in records:
            offset, raw = record.offset, record.value
            where = f"{place}{offset}"
            if raw is None:
                decoded.append(Refused("undecodable", _KEY, where, record.key or b""))
            else:
                stamp = record.timestamp / 1000.0
                found = read(raw, where, stamp)
                if not self._timely(found, stamp):
                    found = Refused("bad-time", _EARLY, where, raw)
                decoded.append(found)
            after.append(offset + 1)
        if self._keyed and topic != self._labels:
            decoded = [self._with_key(*pair) for pair in zip(decoded, records, strict=True)]
        return decoded, after

    def _with_key(self, event: Record, record: Any) -> Record:
        if record.key is None or not isinstance(event, Event):
            return event
        return msgspec.structs.replace(event, key=self._codec.key(record.key)[:MOST_NAME])

    def _timely(self, found: Record, stamp: float) -> bool:
        """Say whether it is dated no further ahead than allowed; old formats have no stamp."""
        return isinstance(found, Refused) or found.time - stamp <= self._ahead or stamp <= 0.0
