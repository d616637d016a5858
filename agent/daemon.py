"""Puts the daemon together from its settings and runs it: the one place that knows all parts."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import structlog
import torch

import agent
from agent.parts import (
    DeviceError,
    fingerprint,
    guards,
    hatch,
    open_ends,
    open_sink,
    open_source,
    sharing,
    stores,
)
from agent.reload import Reload
from agent.service.clocks import Clocks
from agent.service.health import Health
from agent.service.lock import locked
from agent.service.logs import configure
from agent.service.metrics import Metrics
from agent.service.poison import PoisonedError
from agent.service.pump import Pump
from agent.service.report import Step
from agent.service.snapshot import CheckpointError
from agent.service.status import About, Status
from agent.service.tally import Tally
from agent.service.terminal import LiveTable
from agent.service.web import PortError, Web, routes
from agent.settings import Settings
from agent.stopping import asked_to_stop
from streams.source import AwayError, Shards, SourceError

__all__ = ["fingerprint", "open_sink", "open_source", "run_daemon"]

log = structlog.get_logger(__name__)

STOPPED, WRONG, POISONED = 1, 2, 3
SILENCE = 6.0  # seconds without a word from a broker after which the daemon is not ready
OVERDUE = 4.0  # intervals between checkpoints after which it is not ready without one


def run_daemon(
    settings: Settings,
    events: int | None = None,
    *,
    linger: bool = True,
    again: Callable[[], Settings] | None = None,
) -> int:
    """Run until the source ends, `events` have been answered, or SIGTERM or SIGINT asks to stop.

    Args:
        settings: everything that can be set.
        events: stop after so many; None is no limit.
        linger: go on serving the page when the source has ended, until asked to stop.
        again: reads the settings once more when SIGHUP asks for it; None takes no notice of it.

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
            reload = Reload(again or (lambda: settings), settings)
            stack.enter_context(_on_hangup(reload))
            running = _start(settings, clocks, stack)
            started = True
            _serve(running, clocks, events, asked, reload, linger=linger)
    except PoisonedError as error:
        log.error("stopped before more is refused", why=str(error))
        return POISONED
    except (CheckpointError, PortError, SourceError, DeviceError) as error:
        log.error("stopped" if started else "cannot start", why=str(error))
        return STOPPED if started or isinstance(error, AwayError) else WRONG
    except Exception:
        log.exception("a fault of the daemon's own; the last checkpoint is good, start it again")
        return STOPPED
    return 0


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

    source: Shards
    pump: Pump
    health: Health
    counter: Counter
    page: str


def _start(settings: Settings, clocks: Clocks, stack: ExitStack) -> Running:
    """Open everything and go back to the last checkpoint."""
    kafka = settings.source.kafka
    shared = settings.source.kind == "kafka" and kafka is not None and kafka.membership == "group"
    stack.enter_context(locked(settings.checkpoint.folder, shared=shared))
    health = Health(clocks.now, _stale(settings))
    tally = Tally(settings.schema.goal, settings.status)
    about = About(agent.__version__, _source(settings), settings.sink.kind)
    metrics = Metrics(about, tally, health, clocks.wall)
    status = Status(about, tally, health, clocks.wall)
    web = stack.enter_context(Web(settings.web, routes(status, health, metrics.text)))
    log.info("serving", page=web.url, metrics=f"{web.url}metrics")
    make = hatch(settings, clocks)
    ends = open_ends(settings, clocks, stack)
    table = stack.enter_context(LiveTable(tally, f"adaptd · {about.source}", web.url))
    counter = Counter()
    watchers = (tally, metrics, table, counter)
    often = settings.checkpoint
    pump = Pump(
        ends.source,
        ends.sink,
        make,
        stores(settings, clocks),
        often,
        settings.service,
        health,
        watchers,
        clocks,
        ends.transactions,
        guards(settings),
        sharing(settings, stack),
    )
    stack.enter_context(closing(pump))
    health.touch("source", ends.source.in_touch, SILENCE)
    health.touch("sink", ends.sink.in_touch, SILENCE)
    _watch_exposed(health, pump, often.every_seconds)
    pump.restore()
    return Running(ends.source, pump, health, counter, web.url)


def _serve(
    running: Running,
    clocks: Clocks,
    events: int | None,
    asked: Callable[[], bool],
    reload: Reload,
    *,
    linger: bool,
) -> None:
    """Turn until it is time to stop; then stay for whoever reads the page, where wished."""
    counter, health = running.counter, running.health

    def stop() -> bool:
        if (new := reload.take()) is not None:
            configure(clocks.wall, new.service.log_level)
            running.pump.adopt(new.service, new.checkpoint)
            _watch_exposed(health, running.pump, new.checkpoint.every_seconds)
        return asked() or (events is not None and counter.events >= events)

    running.pump.run(stop)
    ended = running.source.ended()
    health.end()
    if linger and ended and not asked():
        log.info("the stream has ended; serving its page until asked to stop", page=running.page)
        while not asked():
            clocks.sleep(0.2)
    log.info("left", records=running.pump.records())


def _watch_exposed(health: Health, pump: Pump, every: float) -> None:
    """Be not ready once records have been in no checkpoint for several intervals."""
    health.touch("records", pump.exposed, OVERDUE * every, "in no checkpoint")


def _stale(settings: Settings) -> float:
    """Seconds after which the loop counts as stuck: more than one wait for brokers may take."""
    used = [settings.source.kafka, settings.sink.kafka]
    return max([30.0, *(3 * one.flush_timeout + 15.0 for one in used if one is not None)])


def _source(settings: Settings) -> str:
    """Where events come from, in a few words."""
    if settings.source.kind == "kafka" and settings.source.kafka is not None:
        return f"Kafka topic {settings.source.kafka.events}"
    if settings.source.kind == "file" and settings.source.file is not None:
        return str(settings.source.file.path)
    return "the card world"


@contextmanager
def _on_hangup(reload: Reload) -> Iterator[None]:
    """Have SIGHUP ask for the settings to be read again."""
    before = signal.signal(signal.SIGHUP, reload.ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
