"""Stops the daemon when most of what comes cannot be read: a wrong topic, schema or format.

A few broken records are dead letters. Most of them broken is somebody's mistake, and to make dead
letters of a whole topic would only move the damage: so the daemon stops with exit code 3 before it
takes them as read, and reads them again once the mistake is mended.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from streams.records import Label, Record, Refused

log = structlog.get_logger(__name__)

Kept: TypeAlias = Mapping[str, Any]
"""A guard as JSON, for a snapshot: by kind, records seen and the refused ones by number, reason."""

KINDS = ("events", "labels")


@dataclass(frozen=True, slots=True)
class PoisonSettings:
    """When so many records are refused that something must be wrong with all of them.

    Events and labels are judged apart, each by the last `window` records of its kind.

    Args:
        most: share of refused records that is still borne, 0 to 1; 1 never stops.
        window: records over which the share is taken; at the start, those that have come so far.
        least: refused records within the window before anything is said.
        stop: stop the daemon with exit code 3, so that they are read again once it is mended;
            else log it and go on making dead letters.
    """

    most: float = 0.5
    window: int = 1000
    least: int = 100
    stop: bool = True

    def __post_init__(self) -> None:
        """Refuse what could never trip by mistake, or always would."""
        if not 0 <= self.most <= 1:
            raise ValueError(f"most is {self.most}; give a share, 0 to 1")
        if not 1 <= self.window <= 1_000_000:  # noqa: PLR2004 (it is kept in memory and snapshots)
            raise ValueError(f"window is {self.window}; give 1 to 1000000 records")
        if not 1 <= self.least <= self.window:
            raise ValueError(f"least is {self.least}; give 1 to {self.window}, the window")


class PoisonedError(Exception):
    """Too many records are refused to go on; the message says where, why and what to do."""


class Guard:
    """Watches the share of refused records of one shard.

    What it says depends on the records and their order alone, not on how they are cut into
    batches. Of good records it keeps no more than their number.

    Args:
        settings: when to stop.
        labels: how the places of refused labels begin ("labels[" for a topic of that name); None
            where labels ride with the events.
    """

    def __init__(self, settings: PoisonSettings, labels: str | None = None) -> None:
        self._settings = settings
        self._labels = labels
        self._windows = {kind: _Window() for kind in KINDS}

    def seen(self, records: Sequence[Record]) -> None:
        """Take note of records in their order, before they are answered or made dead letters.

        Raises:
            PoisonedError: too many are refused; the records are to be neither published nor
                committed.
        """
        events, labels = self._windows["events"], self._windows["labels"]
        for record in records:
            if type(record) is Refused:
                self._refused(record)
            elif type(record) is Label:
                labels.count += 1
            else:
                events.count += 1

    def share(self) -> float:
        """Give the larger of the shares of refused records, 0 to 1, for a gauge."""
        return max(one.share(self._settings.window) for one in self._windows.values())

    def keep(self) -> Kept:
        """Give all that it knows, as JSON."""
        return {
            kind: {"count": one.count, "refused": [list(pair) for pair in one.refused]}
            for kind, one in self._windows.items()
        }

    def restore(self, kept: Kept) -> None:
        """Go back to what `keep` gave."""
        for kind, one in self._windows.items():
            table = kept.get(kind, {"count": 0, "refused": []})
            one.count = table["count"]
            one.refused = deque((at, reason) for at, reason in table["refused"])

    def _refused(self, record: Refused) -> None:
        late = self._labels is not None and record.where.startswith(self._labels)
        kind = "labels" if late else "events"
        window, settings = self._windows[kind], self._settings
        before = window.over(settings)
        window.add(record.reason, settings.window)
        if not window.over(settings):
            return
        said = _said(kind, window, record, settings)
        if settings.stop:
            raise PoisonedError(said)
        if not before:
            log.error("poisoned", why=said)


class _Window:
    """The last records of one kind: how many have come, and which of the last ones were refused."""

    __slots__ = ("count", "refused")

    def __init__(self) -> None:
        self.count = 0
        self.refused: deque[tuple[int, str]] = deque()  # number in the stream, reason

    def add(self, reason: str, window: int) -> None:
        self.count += 1
        self.refused.append((self.count, reason))
        self.forget(window)

    def forget(self, window: int) -> None:
        """Let go of what has left the window."""
        while self.refused and self.refused[0][0] <= self.count - window:
            self.refused.popleft()

    def share(self, window: int) -> float:
        """Give the share of refused records among the last ones."""
        self.forget(window)
        return len(self.refused) / max(1, min(self.count, window))

    def over(self, settings: PoisonSettings) -> bool:
        """Say whether too many are refused."""
        share = self.share(settings.window)
        return len(self.refused) >= settings.least and share > settings.most


def _said(kind: str, window: _Window, latest: Refused, settings: PoisonSettings) -> str:
    """Say what was seen, with the commonest reason, an example, and what to do."""
    refused, of = len(window.refused), min(window.count, settings.window)
    reason, often = Counter(reason for _, reason in window.refused).most_common(1)[0]
    return (
        f"the last {of} {kind}: {refused} refused, mostly {reason} ({often}), the latest "
        f"{latest.where}: {latest.reason}, {latest.detail[:300]}; a wrong topic, schema or format? "
        "mend it and start again: the last checkpoint is good, what came since is read again, and "
        f"`adaptd dlq` puts earlier dead letters back; or, to go on like this, set poison.stop = "
        "false"
    )
