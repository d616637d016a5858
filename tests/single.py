"""A source of shards, read as if it were one stream: what most tests of a source want."""

from collections.abc import Mapping, Sequence

from streams.kafka.source import KafkaSource
from streams.records import Record
from streams.source import Position


class Single:
    """Seeks each shard that is handed out where it stood, and gives the records of all.

    Args:
        source: it is closed with this.
    """

    def __init__(self, source: KafkaSource) -> None:
        self.source = source
        self._given: dict[str, int] = {}

    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` records of each shard."""
        for shard in self.source.held() - self.source.placed():
            self.source.seek(shard, self._given)
        found = [record for batch in self.source.poll(most, wait) for record in batch.records]
        self._note()
        return found

    def position(self) -> Position:
        """Say where all shards stand, those that are away too."""
        self._note()
        return dict(self._given)

    def seek(self, position: Position) -> None:
        """Have every shard go on from there."""
        self._given = dict(position)
        self.source.rewind()

    def commit(self, position: Position) -> None:
        """Commit what of it is held."""
        self.source.commit(dict.fromkeys(self.source.placed(), position))

    def assigned(self) -> bool:
        """Whether something is read."""
        return bool(self.source.placed())

    def in_touch(self) -> float:
        """Seconds since a broker answered."""
        return self.source.in_touch()

    def lag(self) -> Mapping[str, int] | None:
        """Records that wait."""
        return self.source.lag()

    def ended(self) -> bool:
        """Say False."""
        return self.source.ended()

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    def _note(self) -> None:
        for shard in self.source.placed():
            self._given |= self.source.position(shard)
