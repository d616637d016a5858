"""The one file that imports the Kafka client: connections, and their errors in plain words.

kafka-python reads and writes sockets on a thread of its own; a broker that is gone shows there as
silence, so every connection here also tells when a broker last answered (`Wire.heard`). Metadata
is asked for every second, so that an idle connection hears something too.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from kafka import (
    ConsumerRebalanceListener,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    TopicPartition,
)
from kafka import errors as faults
from kafka.admin import NewTopic
from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor, RebalanceProtocol
from kafka.net.compat import KafkaNetClient
from kafka.protocol.consumer.metadata import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)
from kafka.structs import OffsetAndMetadata
from typing_extensions import override

from streams.kafka.access import options
from streams.kafka.settings import KafkaSettings
from streams.source import AwayError, SourceError

__all__ = [
    "AT_FAULT",
    "BATCH_LIFE",
    "FENCED",
    "NOT_ALLOWED",
    "AbstractPartitionAssignor",
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "ConsumerRebalanceListener",
    "KafkaAdminClient",
    "KafkaConsumer",
    "KafkaProducer",
    "NewTopic",
    "OffsetAndMetadata",
    "RebalanceProtocol",
    "TopicPartition",
    "Wire",
    "consumer",
    "faults",
    "plainly",
    "producer",
    "reader",
    "remedy",
    "transact",
    "unpark",
]

Isolation: TypeAlias = Literal["read_committed", "read_uncommitted"]
AT_FAULT = (  # errors that the record itself brings about: sending it again would not help
    faults.MessageSizeTooLargeError,
    faults.RecordListTooLargeError,
    faults.InvalidRecordError,
    faults.InvalidTimestampError,
)

NOT_ALLOWED = (
    faults.TopicAuthorizationFailedError,
    faults.GroupAuthorizationFailedError,
    faults.ClusterAuthorizationFailedError,
    faults.SaslAuthenticationFailedError,
)

AWAY = (faults.KafkaTimeoutError, faults.KafkaConnectionError)

FENCED = (faults.ProducerFencedError, faults.FencedInstanceIdError)
"""Another process with the same name has begun since."""

BATCH_LIFE = 10.1  # seconds after which what is not acknowledged is sent by a new producer


class Wire:
    """Stands where kafka-python makes its network client, and keeps hold of it."""

    def __init__(self) -> None:
        self._net: Any = None

    def __call__(self, **config: Any) -> Any:
        """Make the client; kafka-python calls this."""
        self._net = KafkaNetClient(**config)
        return self._net

    def heard(self) -> float:
        """Give the client's monotonic time of the last bytes from a broker; 0.0 for never.

        A connection that was accepted but has not answered yet does not count.
        """
        if self._net is None:
            return 0.0
        links = list(self._net._manager._conns.values())  # noqa: SLF001 - no public word on it
        return max((link.transport.last_read for link in links if link.connected), default=0.0)

    def cut(self) -> None:
        """Close the sockets and stop the thread, whatever state they are in."""
        if self._net is not None:
            self._net.close()


def consumer(settings: KafkaSettings, *assignors: Any) -> tuple[KafkaConsumer, Wire]:
    """Connect a consumer that never commits or resets by itself.

    Raises:
        SourceError: no broker answered in time, or none that lets this client in.
    """
    return _consumer(settings, {"partition_assignment_strategy": assignors} if assignors else {})


def reader(
    settings: KafkaSettings, isolation: Isolation = "read_committed"
) -> tuple[KafkaConsumer, Wire]:
    """Connect a consumer that belongs to no group. Raises like `consumer`."""
    alone = {"group_id": None, "group_instance_id": None, "fetch_max_wait_ms": 50}
    return _consumer(settings, {**alone, "isolation_level": isolation})


def _consumer(settings: KafkaSettings, over: Mapping[str, Any]) -> tuple[KafkaConsumer, Wire]:
    wire = Wire()
    session = round(settings.session_timeout * 1000)
    own = {
        "group_id": settings.group,
        "group_instance_id": settings.instance,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "allow_auto_create_topics": False,
        "isolation_level": "read_committed",
        "max_poll_records": settings.max_poll_records,
        "max_partition_fetch_bytes": 4 << 20,
        "session_timeout_ms": session,
        "max_poll_interval_ms": round(settings.rebalance_timeout * 1000),
        "heartbeat_interval_ms": min(1000, session // 3),
        "metrics_enabled": False,
    }
    with plainly(settings, "connecting", wire):
        return KafkaConsumer(
            **{**options(settings), **own, **settings.consumer, **over, "kafka_client": wire}
        ), wire


def producer(
    settings: KafkaSettings, transactional: str | None = None
) -> tuple[KafkaProducer, Wire]:
    """Connect an idempotent producer, for transactions where it gets a name for them.

    Raises:
        SourceError: no broker answered in time, or none that lets this client in.
    """
    wire = Wire()
    compression = settings.compression
    own = {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": settings.linger_ms,
        "batch_size": settings.batch_bytes,
        "compression_type": None if compression == "none" else compression,
        "max_request_size": settings.max_output_bytes + 65_536,
        "max_block_ms": round(settings.connect_timeout * 1000),
        "delivery_timeout_ms": 2**31 - 1,  # else old batches would go out behind younger ones
        "metrics_enabled": False,
    }
    if transactional is not None:
        own["transactional_id"] = transactional
        own["transaction_timeout_ms"] = round(settings.transaction_timeout * 1000)
    with plainly(settings, "connecting", wire):
        made = KafkaProducer(
            **{**options(settings), **own, **settings.producer, "kafka_client": wire}
        )
        if transactional is not None:
            made.init_transactions()
        return made, wire


def transact(client: KafkaProducer, verb: str, seconds: float, *args: Any) -> None:
    """Take a step of a transaction, waiting `seconds` for it; the client itself waits for ever.

    Raises:
        KafkaTimeoutError: it is still under way: how it ends is not known.
        KafkaError: it failed.
    """
    result = getattr(client._transaction_manager, verb)(*args)  # noqa: SLF001 - see above
    client._sender.wakeup()  # noqa: SLF001 - see above
    if not result.wait(timeout_ms=seconds * 1000):
        raise faults.KafkaTimeoutError(f"{verb} took more than {seconds:g} s")


def unpark(client: KafkaConsumer) -> None:
    """Let records out that the client parked while their partition was paused.

    kafka-python 3.0.12 does so only while the batch at hand is None, and a batch that has been
    read to its end stays: once two partitions have been paused and resumed, they give nothing
    for ever. So what has been read to its end is put away here, before each poll.
    """
    fetcher = client._fetcher  # noqa: SLF001 - see above
    batch = getattr(fetcher, "_next_partition_records", None)
    if batch is not None and not batch:
        fetcher._next_partition_records = None  # noqa: SLF001 - see above


@contextmanager
def plainly(settings: KafkaSettings, doing: str, wire: Wire | None = None) -> Iterator[None]:
    """Turn the client's errors into a SourceError with its place and remedy.

    `wire` is a connection in the making: it is cut when that fails, or when it takes longer than
    the client itself would notice (a TLS greeting to a broker that speaks plain text), so that
    a failed start leaves neither thread nor socket.
    """
    with _last_word() as last, _watchdog(settings.connect_timeout + 1, wire):
        try:
            yield
        except (faults.KafkaError, OSError, ValueError, AssertionError, RuntimeError) as error:
            if wire is not None:
                wire.cut()
            said = str(error) or type(error).__name__
            word = f"{said} ({last[-1]})" if last and last[-1] not in said else said
            place = f"kafka {settings.bootstrap}, {doing}"
            kind = AwayError if isinstance(error, AWAY) else SourceError
            raise kind(f"{place}: {word}; {remedy(error)}") from error


def remedy(error: BaseException) -> str:
    """Say what to do about an error of the client."""
    for kinds, advice in _REMEDIES.items():
        if isinstance(error, kinds):
            return advice
    return "see the broker's log"


_REMEDIES: Mapping[tuple[type[BaseException], ...], str] = {
    (
        faults.SaslAuthenticationFailedError,
        faults.UnsupportedSaslMechanismError,
        faults.IllegalSaslStateError,
    ): "check sasl_mechanism, sasl_plain_username and its password, and security_protocol",
    NOT_ALLOWED: "let this user read events, labels and the group, and write the other topics",
    (faults.KafkaTimeoutError, faults.KafkaConnectionError): (
        "check that the broker runs and can be reached from here, `bootstrap`, security_protocol "
        "and the certificates"
    ),
    (FileNotFoundError, PermissionError): "check ssl_cafile, ssl_certfile and ssl_keyfile",
    (OSError,): "check the certificates: ssl_cafile, ssl_certfile, ssl_keyfile and its passphrase",
    (faults.KafkaConfigurationError, ValueError, AssertionError, RuntimeError): (
        "check the settings, among them the tables `consumer` and `producer`"
    ),
}


class _LastWord(logging.Handler):
    """Keeps what the client would only have logged: why a connection failed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if "connection" in (message := record.getMessage()):
            self.said.append(message.partition(" (backoff")[0])


@contextmanager
def _watchdog(seconds: float, wire: Wire | None) -> Iterator[None]:
    if wire is None:
        yield
        return
    timer = threading.Timer(seconds, wire.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _last_word() -> Iterator[list[str]]:
    log, ear = logging.getLogger("kafka.net.manager"), _LastWord()
    before = log.level, log.propagate
    log.addHandler(ear)
    log.setLevel(logging.WARNING)
    log.propagate = False  # what it says goes into the error, once
    try:
        yield ear.said
    finally:
        log.level, log.propagate = before
        log.removeHandler(ear)
        ear.close()
