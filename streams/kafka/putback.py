"""Letters put back where they came from: each once, however often it is tried.

The record and a receipt for it go in one transaction: a letter that has a receipt was put back, and
one that has none was not. All who put back for one consumer group share one transactional id, so of
two at the same time the first is fenced off before the second reads the receipts.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from streams.kafka.client import faults, plainly, producer, transact
from streams.kafka.letters import RECEIPT
from streams.kafka.settings import KafkaSettings
from streams.source import SourceError

FROM: Final = "requeued-from"
"""Header of a record that was put back: the place of its dead letter."""
WHERE: Final = "requeued-where"
"""Header of a record that was put back: where it had stood when it was refused."""
SUFFIX: Final = "-dlq"
"""What the transactional id adds to the group's name."""


class Back(NamedTuple):
    """A record to put back, and the letter that it is of.

    `stamp` is the record's own time in milliseconds; None for now.
    """

    letter: str
    where: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    stamp: int | None


class PutBack:
    """Writes records and their receipts.

    Args:
        settings: the cluster and its topics.

    Raises:
        SourceError: the brokers are not there, or let this client not write in transactions.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer, self._wire = producer(settings, f"{settings.group}{SUFFIX}")

    def put(self, records: Sequence[Back]) -> None:
        """Write these with their receipts: all of them, or none.

        Raises:
            SourceError: none was written.
        """
        committing = False
        try:
            with plainly(self._settings, "putting back"):
                self._producer.begin_transaction()
                for record in records:
                    self._send(record)
                self._producer.flush(self._settings.flush_timeout)
                committing = True
                transact(self._producer, "begin_commit", self._settings.flush_timeout)
        except SourceError as error:
            self._abort()
            known = "whether it was put back is not known" if committing else "none was put back"
            raise SourceError(
                f"{error}; of these {len(records)} letters {known}: run it again, none goes twice"
            ) from error

    def _abort(self) -> None:
        with suppress(faults.KafkaError, RuntimeError, AssertionError):
            transact(self._producer, "begin_abort", self._settings.flush_timeout)

    def _send(self, record: Back) -> None:
        headers = [
            *((name, value) for name, value in record.headers if name not in {FROM, WHERE}),
            (FROM, record.letter.encode()),
            (WHERE, record.where.encode()),
        ]
        self._producer.send(
            record.topic, record.value, record.key, headers, record.partition, record.stamp
        )
        receipt = [(RECEIPT, record.letter.encode()), (WHERE, record.where.encode())]
        self._producer.send(self._settings.refused, b"", headers=receipt)

    def close(self) -> None:
        """Let go of the brokers; safe to call twice; never raises."""
        with suppress(faults.KafkaError, OSError, RuntimeError):
            self._producer.close(timeout=1.0)
        self._wire.cut()
