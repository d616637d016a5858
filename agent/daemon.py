"""Puts the daemon together from its settings and runs it: the one place that knows all parts."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from types import FrameType

import structlog
import torch

import agent
from agent.service.checkpoint import CheckpointStore
from agent.service.health import Health
from agent.service.logs import configure
from agent.service.metrics import Metrics
from agent.service.prequential import Prequential
from agent.service.pump import Clocks, Pump
from agent.service.report import Step
from agent.service.snapshot import CheckpointError
from agent.service.status import About, Status
from agent.service.tally import Tally
from agent.service.terminal import LiveTable
from agent.service.web import PortError, Web, routes
from agent.settings import Settings, flat
from streams.codec import Codec
from streams.files import FileSource
from streams.jsonlines import JsonLinesSink
from streams.kafka import KafkaSink, KafkaSource
from streams.nowhere import Nowhere
from streams.source import Sink, Source, SourceError
from streams.worlds.fraud import FraudWorld

log = structlog.get_logger(__name__)

LEARNING = ("stream", "source", "encoder", "labels", "agent")
"""Settings that decide what is learned: a checkpoint made with others is refused."""

HARMLESS = ("source.kafka.", "source.file.path", "source.file.labels", "source.file.speed",
            "source.world.speed", "agent.device")  # fmt: skip
"""Among them, those that may change between two runs: where records come from and how fast."""


def fingerprint(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """The settings that a checkpoint belongs to, by path."""
    return {
        path: value
        for path, value in flat(settings).items()
        if path.split(".")[0] in LEARNING and not path.startswith(HARMLESS)
    }


def open_source(settings: Settings, clocks: Clocks) -> Source:
    """Open the source that the settings name.

    Raises:
        SourceError: it is not there.
    """
    kind, codec = settings.source.kind, Codec(settings.schema)
    if kind == "kafka" and settings.source.kafka is not None:
        return KafkaSource(settings.source.kafka, codec, clocks.now)
    if kind == "file" and settings.source.file is not None:
        return FileSource(settings.source.file, codec, clocks.now, clocks.sleep)
    return FraudWorld(settings.source.world, clocks.now, clocks.sleep)


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


def run_daemon(settings: Settings, events: int | None = None, *, linger: bool = True) -> int:
    """Run until the source ends, `events` have been answered, or SIGTERM or SIGINT asks to stop.

    Args:
        settings: everything that can be set.
        events: stop after so many; None is no limit.
        linger: go on serving the page when the source has ended, until asked to stop.

    Returns:
        The exit code: 0 after a drained stop, 1 when source or sink were lost for good, 2 when the
        daemon cannot start with these settings.
    """
    clocks = Clocks()
    configure(clocks.wall, settings.service.log_level)
    if settings.service.threads:
        torch.set_num_threads(settings.service.threads)
    try:
        with ExitStack() as stack:
            return _serve(settings, clocks, stack, events, linger=linger)
    except (CheckpointError, PortError) as error:
        log.error("cannot start", why=str(error))
        return 2
    except SourceError as error:
        log.error("stopped", why=str(error))
        return 1


def _serve(
    settings: Settings, clocks: Clocks, stack: ExitStack, events: int | None, *, linger: bool
) -> int:
    health = Health(clocks.now)
    tally = Tally(settings.schema.goal, settings.status)
    about = About(agent.__version__, _source(settings), settings.sink.kind)
    metrics = Metrics(about, tally, health, clocks.wall)
    status = Status(about, tally, health, clocks.wall)
    web = stack.enter_context(Web(settings.web, routes(status, health, metrics.text)))
    log.info("serving", page=web.url, metrics=f"{web.url}metrics")
    source = stack.enter_context(closing(open_source(settings, clocks)))
    sink = stack.enter_context(closing(open_sink(settings, clocks)))
    health.touch("source", source.in_touch, 10.0)
    health.touch("sink", sink.in_touch, 10.0)
    learner = Prequential.build(
        settings.schema, settings.agent, settings.encoder, settings.labels, clocks.now
    )
    table = stack.enter_context(LiveTable(tally, f"adaptd · {about.source}", web.url))
    counter = Counter()
    pump = Pump(
        source,
        sink,
        learner,
        _store(settings, clocks),
        settings.checkpoint,
        settings.service,
        health,
        (tally, metrics, table, counter),
        clocks,
    )
    stack.enter_context(closing(pump))
    with asked_to_stop() as asked:
        pump.restore()
        pump.run(lambda: asked() or (events is not None and counter.events >= events))
        if linger and source.ended():
            log.info("the stream has ended; serving its page until asked to stop", page=web.url)
            while not asked():
                clocks.sleep(0.2)
        health.end()
    log.info("left", records=learner.records, classes=list(learner.classes))
    return 0


def _store(settings: Settings, clocks: Clocks) -> CheckpointStore | None:
    """The checkpoint store; without a folder nothing is kept."""
    if settings.checkpoint.folder is None:
        return None
    return CheckpointStore(
        settings.checkpoint.folder, settings.checkpoint.keep, fingerprint(settings), clocks.wall
    )


def _source(settings: Settings) -> str:
    """Where events come from, in a few words."""
    if settings.source.kind == "kafka" and settings.source.kafka is not None:
        return f"Kafka topic {settings.source.kafka.events}"
    if settings.source.kind == "file" and settings.source.file is not None:
        return str(settings.source.file.path)
    return "the card world"


class Counter:
    """A watcher that counts events."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, step: Step) -> None:
        """Count."""
        self.events += step.events


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Watch for SIGTERM and SIGINT; the second of them ends at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        if asked:
            sys.exit(128 + number)
        asked = True

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
