"""A sink that drops what it is given: for watching a daemon learn, and for measuring it."""

from collections.abc import Sequence

from streams.records import Prediction, Refused
from streams.source import Position


class Nowhere:
    """Takes everything and keeps nothing."""

    def predictions(self, predictions: Sequence[Prediction]) -> None:
        """Drop them."""

    def refused(self, refused: Sequence[Refused]) -> None:
        """Drop them; the log and the metrics have counted them."""

    def flush(self) -> None:
        """Nothing waits."""

    def position(self) -> Position:
        """There is nothing to go back to."""
        return {}

    def seek(self, position: Position) -> None:
        """There is nothing to take back."""

    @property
    def recreations(self) -> int:
        """Nothing is ever made anew."""
        return 0

    def in_touch(self) -> float:
        """Always here."""
        return 0.0

    def close(self) -> None:
        """Nothing to free."""
