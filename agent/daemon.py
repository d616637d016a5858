"""Puts the daemon together from its settings and runs it: the one place that knows all parts."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog
import torch

import agent
from agent.service.checkpoint import CheckpointStore
from agent.service.health import Health
from agent.service.lock import locked
from agent.service.logs import configure
from agent.service.metrics import Metrics
from agent.service.prequential import Prequential
from agent.service.pump import Clocks, Pump
from agent.service.report import Step
from agent.service.seats import versions
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

STOPPED, WRONG = 1, 2
SILENCE = 6.0  # seconds without a word from a broker after which the daemon is not ready
OVERDUE = 4.0  # intervals between checkpoints after which it is not ready without one

LEARNING = ("stream", "source", "encoder", "labels", "agent")
"""Settings that decide what is learned: a checkpoint made with others is refused."""

HARMLESS = ("source.kafka.", "source.file.path", "source.file.labels", "source.file.speed",
            "source.world.speed", "agent.device")  # fmt: skip
"""Among them, those that may change between two runs: where records come from and how fast."""


def fingerprint(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """The settings that a checkpoint belongs to, by path."""
    weights = versions(settings.agent.learners)
    return {
        path: value
        for path, value in flat(settings).items()
        if path.split(".")[0] in LEARNING and not path.startswith(HARMLESS)
    } | {f"agent.learners.{folder}.sha256": checksum for folder, checksum in weights.items()}


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
        The exit code: 0 after a drained stop; 2 when the daemon cannot start, of which one line
        says why; 1 when it could not go on, or could not make its last state durable.
    """
    clocks = Clocks()
    configure(clocks.wall, settings.service.log_level)
    if settings.service.threads:
        torch.set_num_threads(settings.service.threads)
    started = False
    try:
        with asked_to_stop() as asked, ExitStack() as stack:
            running = _start(settings, clocks, stack)
            started = True
            _serve(running, clocks, events, asked, linger=linger)
    except (CheckpointError, PortError, SourceError, DeviceError) as error:
        log.error("stopped" if started else "cannot start", why=str(error))
        return STOPPED if started else WRONG
    except Exception:
        log.exception("a fault of the daemon's own; the last checkpoint is good, start it again")
        return STOPPED
    return 0


class DeviceError(Exception):
    """The learner cannot run where the settings want it to; the message says what to do."""


class Counter:
    """A watcher that counts events."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, step: Step) -> None:
        """Count."""
        self.events += step.events


@dataclass(frozen=True, slots=True)
class Running:
    """The daemon's parts, opened and restored."""

    source: Source
    learner: Prequential
    pump: Pump
    health: Health
    counter: Counter
    page: str


def _start(settings: Settings, clocks: Clocks, stack: ExitStack) -> Running:
    """Open everything and go back to the last checkpoint."""
    if settings.checkpoint.folder is not None:
        stack.enter_context(locked(settings.checkpoint.folder))
    health = Health(clocks.now, _stale(settings))
    tally = Tally(settings.schema.goal, settings.status)
    about = About(agent.__version__, _source(settings), settings.sink.kind)
    metrics = Metrics(about, tally, health, clocks.wall)
    status = Status(about, tally, health, clocks.wall)
    web = stack.enter_context(Web(settings.web, routes(status, health, metrics.text)))
    log.info("serving", page=web.url, metrics=f"{web.url}metrics")
    learner = _learner(settings, clocks)
    source = stack.enter_context(closing(open_source(settings, clocks)))
    sink = stack.enter_context(closing(open_sink(settings, clocks)))
    table = stack.enter_context(LiveTable(tally, f"adaptd · {about.source}", web.url))
    counter = Counter()
    watchers = (tally, metrics, table, counter)
    store, often = _store(settings, clocks), settings.checkpoint
    pump = Pump(source, sink, learner, store, often, settings.service, health, watchers, clocks)
    stack.enter_context(closing(pump))
    health.touch("source", source.in_touch, SILENCE)
    health.touch("sink", sink.in_touch, SILENCE)
    if store is not None:
        late = OVERDUE * often.every_seconds
        health.touch("records", pump.exposed, late, "in no checkpoint")
    pump.restore()
    return Running(source, learner, pump, health, counter, web.url)


def _serve(
    running: Running,
    clocks: Clocks,
    events: int | None,
    asked: Callable[[], bool],
    *,
    linger: bool,
) -> None:
    """Turn until it is time to stop; then stay for whoever reads the page, where wished."""
    counter, health = running.counter, running.health
    running.pump.run(lambda: asked() or (events is not None and counter.events >= events))
    ended = running.source.ended()
    health.end()
    if linger and ended and not asked():
        log.info("the stream has ended; serving its page until asked to stop", page=running.page)
        while not asked():
            clocks.sleep(0.2)
    log.info("left", records=running.learner.records, classes=list(running.learner.classes))


def _learner(settings: Settings, clocks: Clocks) -> Prequential:
    """Build what learns.

    Raises:
        DeviceError: it is to run where there is nothing to run on.
    """
    if settings.agent.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError('agent.device is "cuda", but torch finds no GPU here; give "auto"')
    return Prequential.build(
        settings.schema,
        settings.agent,
        settings.encoder,
        settings.labels,
        clocks.now,
        settings.probes,
    )


def _stale(settings: Settings) -> float:
    """Seconds after which the loop counts as stuck: more than one wait for brokers may take."""
    used = [settings.source.kafka, settings.sink.kafka]
    return max([30.0, *(3 * one.flush_timeout + 15.0 for one in used if one is not None)])


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


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Watch for SIGTERM and SIGINT; the second of them ends the process where it stands."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        if asked:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # the live table has hidden the cursor
            os._exit(128 + number)  # no clean-up: a checkpoint is whole at any time
        asked = True

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
