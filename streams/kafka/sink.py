"""Answers and dead letters to Kafka: the Sink that writes topics."""

from collections.abc import Sequence

import structlog

from streams.codec import encode_prediction
from streams.kafka.settings import KafkaSettings
from streams.kafka.supervisor import Header, Output, Supervisor
from streams.kafka.topics import ensure_topics
from streams.kafka.touch import Clock, Touch
from streams.kafka.transactional import TransactionalOut
from streams.records import Prediction, Refused
from streams.source import Position

_log = structlog.get_logger()
_HEADERS: list[Header] = [("content-type", b"application/json"), ("schema-version", b"1")]
_OVERSIZE = "oversize-output"
_BEGINNING = 8192  # bytes of an answer too large to send that its dead letter shows


class KafkaSink:
    """Writes predictions, keyed as their events (by id without a key), and dead letters.

    A dead letter's value is the record's bytes as they came; reason, detail and where stand in
    its headers. A value larger than `max_output_bytes` goes as its beginning, with its true
    length in the header "bytes". At least once: what is resent after a lost producer or broker
    may stand in the topic twice, with the same bytes. Exactly once within transactions, which
    `KafkaTransactions` commits: `flush` does nothing then.

    Args:
        settings: the cluster and its topics.
        clock: seconds, never going back.
        transactional: a name for transactions; None writes without them.

    Raises:
        SourceError: the brokers or topics are not there, or let this client not in.
    """

    def __init__(
        self, settings: KafkaSettings, clock: Clock, transactional: str | None = None
    ) -> None:
        ensure_topics(settings, [settings.predictions, settings.refused])
        self._settings = settings
        self._out: Supervisor | TransactionalOut = (
            Supervisor(settings, clock, self._bounced)
            if transactional is None
            else TransactionalOut(settings, transactional, clock, self._bounced)
        )
        self._touch = Touch(clock)
        self._partition = self._out.only_partition(settings.predictions)
        self._closed = False

    @property
    def out(self) -> Supervisor | TransactionalOut:
        """What sends: with transactions or without."""
        return self._out

    @property
    def recreations(self) -> int:
        """How often a producer that a broker's error had killed was made anew."""
        return self._out.recreations

    def predictions(self, predictions: Sequence[Prediction]) -> None:
        """Take these answers, in order."""
        send, topic, partition = self._out.send, self._settings.predictions, self._partition
        most = self._settings.max_output_bytes
        for prediction in predictions:
            value = encode_prediction(prediction)
            key = (prediction.key or prediction.id).encode()
            output = Output(topic, value, key, _HEADERS, partition)
            if len(value) + len(key) > most:
                self._bounced(output, f"{len(value)} bytes, at most {most} are sent")
            else:
                send(output)
        self._out.ease()

    def refused(self, refused: Sequence[Refused]) -> None:
        """Take these dead letters, with their reason and their original bytes."""
        for letter in refused:
            self._out.send(self._letter(letter, None, self._settings.max_output_bytes // 2))
        self._out.ease()

    def flush(self) -> None:
        """Wait until the brokers have acknowledged all.

        Raises:
            SourceError: they did not in `flush_timeout`, or refuse this client.
        """
        self._out.flush()

    def position(self) -> Position:
        """Say nothing: what was written is not taken back, so there is no place to go back to."""
        return {}

    def seek(self, position: Position) -> None:  # noqa: ARG002 - the protocol's name
        """Forget what was not acknowledged yet: the daemon goes back and gives it again."""
        self._out.forget()

    def in_touch(self) -> float:
        """Seconds since a broker last answered anything; safe from any thread."""
        return self._touch.age(self._out)

    def close(self) -> None:
        """Send what can be sent in a second and let go; safe to call twice; never raises."""
        if self._closed:
            return
        self._closed = True
        self._out.close()

    def _letter(self, letter: Refused, key: bytes | None, most: int) -> Output:
        headers: list[Header] = [
            ("reason", letter.reason.encode()),
            ("detail", letter.detail[:4096].encode("utf-8", "replace")),
            ("where", letter.where.encode("utf-8", "replace")),
        ]
        if len(letter.raw) > most:
            headers.append(("bytes", str(len(letter.raw)).encode()))
        return Output(self._settings.refused, letter.raw[:most], key, headers, None)

    def _bounced(self, output: Output, why: str) -> None:
        """Make a dead letter of an answer that no broker would take; drop a dead dead letter."""
        if output.topic == self._settings.refused:
            _log.error("dead letter lost", error=why, size=len(output.value))
            return
        where = f"{output.topic}, key {(output.key or b'')[:100].decode('utf-8', 'replace')}"
        remedy = "raise max_output_bytes and the topic's max.message.bytes"
        _log.error("answer refused", where=where, error=why)
        letter = Refused(_OVERSIZE, f"{why}; {remedy}", where, output.value)
        self._out.send(self._letter(letter, (output.key or b"")[:1000], _BEGINNING))
