"""A producer of transactions that outlives its own death.

Where a transaction fails, nothing of it counts: it is given up, the daemon goes back to the last
commit and does it over. A producer that can send no more, or a commit whose end is not known, is
settled by a new producer of the same name: the cluster ends what the old one left, one way or the
other, before it lets the new one begin.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from streams.kafka.client import (
    AT_FAULT,
    FENCED,
    NOT_ALLOWED,
    OffsetAndMetadata,
    TopicPartition,
    faults,
    producer,
    remedy,
    transact,
)
from streams.kafka.outlet import end, only_partition, said
from streams.kafka.settings import KafkaSettings
from streams.kafka.supervisor import Output
from streams.kafka.touch import Clock
from streams.source import FencedError, RewindError, SourceError

_log = structlog.get_logger()


class TransactionalOut:
    """Sends records within transactions, which `commit` ends.

    Args:
        settings: how to connect.
        name: the transactional id: of all that bear it, only the youngest may write.
        clock: seconds, never going back.
        bounced: told of a record that the broker does not take, and why.

    Raises:
        SourceError: no broker answers, or none that lets this client in.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        name: str,
        clock: Clock,
        bounced: Callable[[Output, str], None],
    ) -> None:
        self._settings, self.name, self._clock = settings, name, clock
        self._bounced = bounced
        self._own = settings.membership == "group" and settings.instance is None  # nobody else's
        self._producer, self._wire = producer(settings, name)
        self._futures: list[tuple[Output, Any]] = []
        self._open = False
        self._failed: Exception | None = None
        self._dead = False
        self._refused: set[bytes] = set()  # of records that a broker found at fault
        self.recreations = 0

    def only_partition(self, topic: str) -> int | None:
        """Give the partition of a topic that has just one, so that no key need be hashed."""
        return only_partition(self._settings, self._producer, self._wire, topic)

    def heard(self) -> float:
        """Give the client's monotonic time of the last bytes from a broker."""
        return self._wire.heard()

    def send(self, output: Output) -> Any:
        """Send one record in the transaction, opening it if need be; give its acknowledgement.

        What fails shows at the commit.
        """
        if self._refused and _digest(output) in self._refused:
            self._bounced(output, "found too large, or invalid, by the broker")
            return None
        try:
            if not self._open:
                self._producer.begin_transaction()
                self._open = True
            future = self._producer.send(*output)
        except (faults.KafkaError, ValueError) as error:
            self._failed = self._failed or error
            return None
        self._futures.append((output, future))
        return future

    def ease(self) -> None:
        """Do nothing: the daemon commits often enough."""

    def flush(self) -> None:
        """Do nothing: what is sent counts with the commit."""

    def forget(self) -> None:
        """Do nothing: what is not committed does not count."""

    def commit(
        self, offsets: Mapping[TopicPartition, int], group: Any, sure: Callable[[], bool]
    ) -> None:
        """End the transaction, with these offsets as the group's.

        Args:
            offsets: where to read on, by partition.
            group: what the group's coordinator is told of this member.
            sure: asked at the last moment whether this process may still end it; one that was
                frozen in the middle may have been replaced, and not every broker says so.

        Raises:
            RewindError: nothing of it counts, or it is not known whether; go back.
            FencedError: another process bears this name now.
            SourceError: this one may not write.
        """
        wait = self._settings.flush_timeout
        try:
            if self._failed is not None:
                raise self._failed
            self._producer.flush(wait)
            self._raise_first()
            if not self._open:
                self._producer.begin_transaction()
                self._open = True
            told = {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()}
            transact(self._producer, "send_offsets_to_transaction", wait, told, group)
            if not sure():
                raise RewindError("held up in a transaction, and the group has gone on meanwhile")
            transact(self._producer, "begin_commit", wait)
        except (faults.KafkaError, ValueError) as error:
            self._broken(error)
        self._futures.clear()
        self._open = False

    def recover(self) -> None:
        """Be ready for another transaction; what was open is given up.

        Raises:
            FencedError: another process bears this name now.
            SourceError: no broker says so within `connect_timeout`.
        """
        self._futures.clear()
        self._failed = None
        if not self._dead:
            try:
                if self._open:
                    transact(self._producer, "begin_abort", self._settings.flush_timeout)
            except faults.KafkaError as error:
                if isinstance(error, FENCED) and not self._own:
                    raise self._fenced(error) from error
                _log.warning("transaction not given up", error=said(error))
            else:
                self._open = False
                return
        end(self._producer, 0.0)
        self._dead = True
        patience = min(self._settings.connect_timeout, self._settings.flush_timeout)
        self._producer, self._wire = producer(
            replace(self._settings, connect_timeout=patience), self.name
        )
        self._dead = self._open = False
        self.recreations += 1

    def close(self) -> None:
        """End the producer, giving up what is open; never raises."""
        try:
            if self._open and not self._dead:
                transact(self._producer, "begin_abort", 1.0)
        except (faults.KafkaError, RuntimeError) as error:
            _log.warning("transaction left to time out", error=said(error))
        end(self._producer, 1.0)

    def _raise_first(self) -> None:
        """Raise what befell the first record that is not acknowledged."""
        for output, future in self._futures:
            if future.succeeded():
                continue
            error = future.exception or faults.KafkaTimeoutError("not acknowledged in time")
            if isinstance(error, AT_FAULT):
                self._refused.add(_digest(output))
            raise error

    def _broken(self, error: Exception) -> None:
        """Say what a failed commit means. Raises in any case."""
        place = self._place()
        if isinstance(error, FENCED) or _fenced_off(self._producer):
            self._dead = True
            if self._own:
                raise RewindError(
                    f"{place}: the group took this member for lost, and ended it ({said(error)})"
                ) from error
            raise self._fenced(error) from error
        if isinstance(error, NOT_ALLOWED):
            raise SourceError(f"{place}: {said(error)}; {remedy(error)}") from error
        self._dead = isinstance(error, faults.KafkaTimeoutError) or _lost(self._producer)
        raise RewindError(f"{place}: {said(error)}") from error

    def _fenced(self, error: Exception) -> FencedError:
        return FencedError(
            f"{self._place()}: another daemon with this name has begun since ({said(error)}); stop"
            " one of the two, or give each a group or an instance of its own"
        )

    def _place(self) -> str:
        return f"kafka {self._settings.bootstrap}, transaction {self.name!r}"


def _lost(client: Any) -> bool:
    """Whether a producer has met an error after which it never sends again."""
    return bool(client._transaction_manager.has_fatal_error())  # noqa: SLF001 - no public word


def _fenced_off(client: Any) -> bool:
    """Whether a producer knows of another of its name, though what failed first said otherwise.

    Where the cluster raises no epoch (before Kafka 2.5) an old one can mean nothing else.
    """
    told = (*FENCED, faults.InvalidProducerEpochError)
    return _lost(client) and isinstance(client._transaction_manager.last_error, told)  # noqa: SLF001 - no public word


def _digest(output: Output) -> bytes:
    whole = b"\0".join((output.topic.encode(), output.key or b"", output.value))
    return hashlib.blake2b(whole, digest_size=16).digest()
