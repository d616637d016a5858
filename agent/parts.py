"""Opens what the settings name: sources, sinks, transactions, checkpoints."""

import os
import socket
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

import torch

from agent.service.cells import Hatch, Stores
from agent.service.checkpoint import CheckpointStore
from agent.service.clocks import Clocks
from agent.service.poison import Guard
from agent.service.prequential import Prequential
from agent.service.seats import versions
from agent.service.sharing import Sharing
from agent.settings import Settings, flat
from streams.codec import Codec
from streams.files import FileSource
from streams.formats import open_codec
from streams.jsonlines import JsonLinesSink
from streams.kafka import KafkaCommons, KafkaSink, KafkaSource, KafkaTransactions
from streams.nowhere import Nowhere
from streams.source import Shards, Sink, Source, Transactions
from streams.whole import Whole
from streams.worlds.fraud import FraudWorld

LEARNING = ("stream", "source", "encoder", "labels", "agent")
"""Settings that decide what is learned: a checkpoint made with others is refused."""

HARMLESS = ("source.kafka.", "source.file.path", "source.file.labels", "source.file.speed",
            "source.world.speed", "source.format", "agent.device")  # fmt: skip
"""Among them, those that may change between two runs: where records come from and how fast."""


class DeviceError(Exception):
    """The learner cannot run where the settings want it to; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Where records come from and answers go, and what commits both together, if anything does."""

    source: Shards
    sink: Sink
    transactions: Transactions | None


def fingerprint(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """The settings that a checkpoint belongs to, by path."""
    weights = versions(settings.agent.learners)
    return {
        path: value
        for path, value in flat(settings).items()
        if path.split(".")[0] in LEARNING and not path.startswith(HARMLESS)
    } | {f"agent.learners.{folder}.sha256": checksum for folder, checksum in weights.items()}


def transactional(settings: Settings) -> bool:
    """Whether answers and positions go to Kafka together."""
    both = settings.source.kind == settings.sink.kind == "kafka"
    return both and settings.service.delivery == "exactly-once"


def open_ends(settings: Settings, clocks: Clocks, stack: ExitStack) -> Ends:
    """Open source and sink; the stack closes them.

    Raises:
        SourceError: one of them is not there, or lets this process not in.
    """
    kafka = settings.source.kafka
    if not transactional(settings) or kafka is None:
        source = stack.enter_context(closing(open_source(settings, clocks)))
        return Ends(source, stack.enter_context(closing(open_sink(settings, clocks))), None)
    from streams.kafka.exactly import transactional_id  # noqa: PLC0415 - loads the client

    reading = KafkaSource(kafka, open_records(settings, clocks), clocks.now, journal=True)
    stack.enter_context(closing(reading))
    unique = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    name = transactional_id(kafka, unique)
    writing = KafkaSink(settings.sink.kafka or kafka, clocks.now, name)
    stack.enter_context(closing(writing))
    return Ends(reading, writing, KafkaTransactions(kafka, reading, writing))


def open_records(settings: Settings, clocks: Clocks) -> Codec:
    """Give what reads records in the format that the settings name.

    Raises:
        SourceError: a schema's file or the registry's password is not there, or of no use.
    """
    return open_codec(settings.schema, settings.source.format, clocks.now, clocks.sleep)


def open_source(settings: Settings, clocks: Clocks) -> Shards:
    """Open the source that the settings name.

    Raises:
        SourceError: it is not there.
    """
    kind, codec = settings.source.kind, open_records(settings, clocks)
    if kind == "kafka" and settings.source.kafka is not None:
        return KafkaSource(settings.source.kafka, codec, clocks.now)
    single: Source = FraudWorld(settings.source.world, clocks.now, clocks.sleep)
    if kind == "file" and settings.source.file is not None:
        single = FileSource(settings.source.file, codec, clocks.now, clocks.sleep)
    return Whole(single)


def open_sink(settings: Settings, clocks: Clocks) -> Sink:
    """Open the sink that the settings name.

    Raises:
        SourceError: it cannot be written to.
    """
    kafka = settings.sink.kafka or settings.source.kafka
    if settings.sink.kind == "kafka" and kafka is not None:
        return KafkaSink(kafka, clocks.now)
    if settings.sink.kind == "file":
        return JsonLinesSink(settings.sink.file.predictions, settings.sink.file.refused)
    return Nowhere()


def hatch(settings: Settings, clocks: Clocks) -> Hatch:
    """Give what makes a learner for each shard.

    Raises:
        DeviceError: it is to run where there is nothing to run on.
    """
    if settings.agent.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError('agent.device is "cuda", but torch finds no GPU here; give "auto"')
    return lambda _: Prequential.build(
        settings.schema,
        settings.agent,
        settings.encoder,
        settings.labels,
        clocks.now,
        settings.probes,
    )


def stores(settings: Settings, clocks: Clocks) -> Stores:
    """Give what opens each shard's checkpoints."""
    where, belongs = settings.checkpoint, fingerprint(settings)
    return lambda shard: CheckpointStore(
        where.folder, where.keep, belongs, clocks.wall, shard, where.options
    )


def sharing(settings: Settings, stack: ExitStack) -> Sharing | None:
    """Open where shards lend one another a start, if the settings name it.

    Raises:
        SourceError: it is not there.
    """
    kafka = settings.source.kafka
    if settings.source.kind != "kafka" or kafka is None or kafka.sharing is None:
        return None
    ordered = bool(settings.schema.classes) or settings.schema.goal == "number"
    return Sharing(stack.enter_context(closing(KafkaCommons(kafka))), ordered=ordered)


def guards(settings: Settings) -> Callable[[], Guard]:
    """Give what makes a guard against poisoned input for each shard."""
    source, labels = settings.source, None
    if source.kind == "kafka" and source.kafka is not None and source.kafka.labels is not None:
        labels = f"{source.kafka.labels}["
    elif source.kind == "file" and source.file is not None and source.file.labels is not None:
        labels = f"{source.file.labels}:"
    return lambda: Guard(settings.poison, labels)
