"""A source as one shard: for files, worlds and scripts, whose records one state learns from."""

from collections.abc import Callable, Mapping, Sequence

from streams.source import WHOLE, Batch, Position, Source


class Whole:
    """Shows a `Source` as the one shard that it is."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def held(self) -> frozenset[str]:
        """Name the one."""
        return frozenset((WHOLE,))

    def placed(self) -> frozenset[str]:
        """Say that the one goes on."""
        return self.held()

    def replaying(self, shard: str) -> bool:  # noqa: ARG002 - no journal to go through
        """Nothing was committed before."""
        return False

    def poll(self, most: int, wait: float) -> Sequence[Batch]:
        """Give what the source gives."""
        records = self._source.poll(most, wait)
        return [Batch(WHOLE, records)] if records else []

    def position(self, shard: str) -> Position:  # noqa: ARG002 - there is but one
        """Say where the source stands."""
        return self._source.position()

    def seek(self, shard: str, position: Position) -> None:  # noqa: ARG002 - there is but one
        """Go on from there; an empty position is where the source begins, and stands already."""
        if position:
            self._source.seek(position)

    def leads(self, shard: str, position: Position) -> bool:  # noqa: ARG002 - no journal to ask
        """Any position will do."""
        return True

    def commit(self, positions: Mapping[str, Position]) -> None:
        """Tell the source."""
        self._source.commit(positions[WHOLE])

    def revoking(self, call: Callable[[frozenset[str]], None]) -> None:
        """It never goes."""

    def rewind(self) -> None:
        """It is sought anew at any time."""

    def idle(self) -> None:
        """There is no group to stay in."""

    def rebalances(self) -> int:
        """It is handed out for good."""
        return 0

    def paused(self) -> int:
        """Nothing is read ahead."""
        return 0

    def assigned(self) -> bool:
        """Ask the source."""
        return self._source.assigned()

    def ended(self) -> bool:
        """Ask the source."""
        return self._source.ended()

    def in_touch(self) -> float:
        """Ask the source."""
        return self._source.in_touch()

    def lag(self) -> Mapping[str, int] | None:
        """Ask the source."""
        return self._source.lag()

    def close(self) -> None:
        """Close the source."""
        self._source.close()
