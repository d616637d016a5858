"""What is said of a Kafka cluster: where it is, which topics, and how strict to be."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

Membership: TypeAlias = Literal["group", "all"]
Start: TypeAlias = Literal["earliest", "latest"]
OutOfRange: TypeAlias = Literal["fail", "earliest", "latest"]
Compression: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Option: TypeAlias = str | int | float | bool

_OURS = {  # the guarantees rest on these, so the tables `consumer` and `producer` may not set them
    *("bootstrap_servers", "group_id", "group_instance_id", "enable_auto_commit"),
    *("auto_offset_reset", "acks", "enable_idempotence", "transactional_id", "kafka_client"),
    *("key_serializer", "value_serializer", "key_deserializer", "value_deserializer"),
    *("partitioner", "allow_auto_create_topics", "isolation_level", "transaction_timeout_ms"),
    *("partition_assignment_strategy", "max_poll_interval_ms"),
}


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """A cluster, its topics and the client's settings. Times are seconds, sizes bytes.

    Args:
        bootstrap: brokers to ask first, "host:port", several divided by commas.
        events: the topic of events.
        predictions: the topic that takes the answers.
        refused: the topic that takes dead letters, with their reason in headers.
        labels: the topic of labels; None where labels ride with the events. With membership
            "group" it has as many partitions as `events`, and a label the key of its event.
        journal: the topic that notes how records interleaved, for delivery exactly once; with as
            many partitions as `events` has, and kept longer than a checkpoint gets old.
        sharing: a compacted topic through which shards lend one another a start, for those that are
            new; None shares nothing.
        group: the consumer group, for sharing partitions and for committed offsets.
        membership: "group" shares the partitions among the group's members, with a state for
            each partition; "all" takes every partition at once and without a rebalance, with one
            state for all, for the only member of a group.
        instance: a name that this member keeps over restarts, so that a killed one that comes
            back takes its partitions up again at once (static membership), and its unfinished
            transaction ends at once; None for none.
        start: where to begin with neither a checkpoint nor a committed offset.
        out_of_range: what to do when the log no longer holds the offset where the checkpoint
            stands: stop, or go on from the earliest or latest record, losing what is between.
        create_topics: make the topics that are missing; else a missing one is an error.
        partitions: partitions of a topic made so.
        replication: copies of a topic made so; -1 for the cluster's own default.
        merge_wait: how long partitions that have records wait for one that shows none, before
            the merge by time goes on without it.
        max_poll_records: records taken from the client at a time, and kept waiting a partition.
        linger_ms: milliseconds that an answer may wait for company in its batch.
        batch_bytes: size of a producer's batch.
        compression: codec of the answers' batches.
        max_output_bytes: an answer or dead letter larger than that is not sent.
        max_unflushed: records sent but not flushed after which the sink flushes by itself.
        connect_timeout: how long the first contact may take.
        flush_timeout: how long one attempt to flush may wait for acknowledgements; the daemon
            tries on for as long as it takes.
        session_timeout: how long the group waits for a silent member.
        rebalance_timeout: how long the group waits in a rebalance for a member that is alive but
            does not come; a member that does not read for so long leaves.
        transaction_timeout: after how long the cluster gives up a transaction left open.
        client_id: the name that brokers log.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        ssl_cafile: PEM file of the authorities that vouch for the brokers.
        ssl_certfile: PEM file of this client's certificate.
        ssl_keyfile: PEM file of its key.
        ssl_password_file: file that holds the passphrase of that key.
        ssl_check_hostname: whether a broker's certificate must bear its host's name.
        sasl_mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI or OAUTHBEARER.
        sasl_plain_username: the user.
        sasl_plain_password_file: file that holds the user's password.
        sasl_plain_password_env: environment variable that holds it instead.
        consumer: further options of kafka-python's KafkaConsumer, by their own names.
        producer: further options of kafka-python's KafkaProducer, by their own names.
    """

    bootstrap: str = "localhost:9092"
    events: str = "events"
    predictions: str = "predictions"
    refused: str = "refused"
    labels: str | None = None
    journal: str = "journal"
    sharing: str | None = None
    group: str = "adaptd"
    membership: Membership = "group"
    instance: str | None = None
    start: Start = "earliest"
    out_of_range: OutOfRange = "fail"
    create_topics: bool = False
    partitions: int = 1
    replication: int = -1
    merge_wait: float = 0.2
    max_poll_records: int = 2000
    linger_ms: int = 5
    batch_bytes: int = 262_144
    compression: Compression = "none"
    max_output_bytes: int = 900_000
    max_unflushed: int = 20_000
    connect_timeout: float = 10.0
    flush_timeout: float = 5.0
    session_timeout: float = 10.0
    rebalance_timeout: float = 30.0
    transaction_timeout: float = 20.0
    client_id: str = "adaptd"
    security_protocol: Protocol = "PLAINTEXT"
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password_file: str | None = None
    ssl_check_hostname: bool = True
    sasl_mechanism: str | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password_file: str | None = None
    sasl_plain_password_env: str | None = None
    consumer: Mapping[str, Option] = field(default_factory=dict, repr=False)
    producer: Mapping[str, Option] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse what could never work; ValueError names the field, the value and the remedy."""
        _check_words(self)
        _check_topics(self)
        _check_numbers(self)
        _check_sasl(self)
        for table in ("consumer", "producer"):
            _check_table(table, getattr(self, table))


def secrets(settings: KafkaSettings) -> dict[str, str]:
    """Read the passwords, by the client's names for them.

    Raises:
        ValueError: a file or variable that should hold one does not.
    """
    found: dict[str, str] = {}
    if settings.ssl_password_file is not None:
        found["ssl_password"] = _from_file("ssl_password_file", settings.ssl_password_file)
    if settings.sasl_plain_password_file is not None:
        file = settings.sasl_plain_password_file
        found["sasl_plain_password"] = _from_file("sasl_plain_password_file", file)
    elif (name := settings.sasl_plain_password_env) is not None:
        if not os.environ.get(name):
            message = f"sasl_plain_password_env = {name!r}: no such variable; export it"
            raise ValueError(message)
        found["sasl_plain_password"] = os.environ[name]
    return found


def _from_file(setting: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip("\r\n")
    except OSError as error:
        raise ValueError(f"{setting} = {path!r}: {error.strerror}; give a readable file") from error
    if not text:
        raise ValueError(f"{setting} = {path!r}: the file is empty; put the password into it")
    return text


def _check_words(settings: KafkaSettings) -> None:
    allowed: dict[str, Any] = {
        "membership": Membership,
        "start": Start,
        "out_of_range": OutOfRange,
        "compression": Compression,
        "security_protocol": Protocol,
    }
    for name, kind in allowed.items():
        value = getattr(settings, name)
        if value not in get_args(kind):
            raise ValueError(f"{name} = {value!r}: give one of {', '.join(get_args(kind))}")
    for name in ("bootstrap", "events", "predictions", "refused", "journal", "group"):
        if not getattr(settings, name):
            raise ValueError(f"{name} = '': give a name")


def _check_topics(settings: KafkaSettings) -> None:
    named = [settings.events, settings.predictions, settings.refused, settings.journal]
    named += [topic for topic in (settings.labels, settings.sharing) if topic is not None]
    for topic in named:
        if named.count(topic) > 1:
            message = f"{topic!r} is named for two uses; give each topic a name of its own"
            raise ValueError(f"events, labels, predictions, refused, journal, sharing: {message}")


def _check_numbers(settings: KafkaSettings) -> None:
    least: dict[str, float] = {
        **dict.fromkeys(("partitions", "max_poll_records", "max_unflushed"), 1),
        **dict.fromkeys(("batch_bytes", "max_output_bytes"), 1000),
        **dict.fromkeys(("merge_wait", "linger_ms"), 0),
        **dict.fromkeys(("connect_timeout", "flush_timeout", "session_timeout"), 0.5),
        **dict.fromkeys(("transaction_timeout", "rebalance_timeout"), 1.0),
    }
    for name, minimum in least.items():
        value = getattr(settings, name)
        if not minimum <= value < float("inf"):
            raise ValueError(f"{name} = {value!r}: give a finite number of {minimum:g} or more")
    if settings.replication < 1 and settings.replication != -1:
        raise ValueError(f"replication = {settings.replication}: give 1 or more, or -1")


def _check_sasl(settings: KafkaSettings) -> None:
    sasl = settings.security_protocol.startswith("SASL")
    if sasl and settings.sasl_mechanism is None:
        message = f"sasl_mechanism is not set, but security_protocol = {settings.security_protocol}"
        raise ValueError(f"{message}; give PLAIN, SCRAM-SHA-256 or another")
    if not sasl and settings.sasl_mechanism is not None:
        message = f"sasl_mechanism = {settings.sasl_mechanism!r} has no effect with"
        remedy = "give SASL_SSL or SASL_PLAINTEXT"
        raise ValueError(f"{message} security_protocol = {settings.security_protocol}; {remedy}")
    if settings.sasl_plain_password_file and settings.sasl_plain_password_env:
        raise ValueError("sasl_plain_password_file and sasl_plain_password_env: give one, not both")


def _check_table(table: str, options: Mapping[str, Option]) -> None:
    for name in options:
        if "password" in name:
            raise ValueError(f"{table}.{name}: give {name}_file beside `bootstrap` instead")
        if name in _OURS or name in KafkaSettings.__dataclass_fields__:
            raise ValueError(f"{table}.{name}: adaptd sets this itself; remove it")
