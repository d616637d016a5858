"""The card world written to Kafka: a load for `adaptd run`, as fast as it should be."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import structlog

from agent.faults import Fault, SettingsError, shown
from agent.service.logs import configure
from agent.service.pump import Clocks
from agent.settings import Settings
from agent.stopping import asked_to_stop
from streams.kafka.feeder import Feeder
from streams.kafka.settings import KafkaSettings
from streams.rate import Rate
from streams.records import Event, Label, Record
from streams.schema import Schema
from streams.source import SourceError
from streams.worlds.fraud.live import Cards, Today
from streams.worlds.fraud.world import FIELDS, FraudWorld
from streams.written import Writing

log = structlog.get_logger(__name__)

CHUNK = 500  # records made at a time
SAY = 5.0  # seconds between two lines in the log
STOPPED, WRONG = 1, 2


@dataclass(frozen=True, slots=True)
class Load:
    """How much to write, and how.

    Args:
        rate: events a second, their labels beside them; 0 for as many as can be written.
        events: stop after so many; None for no limit.
        live: give records the time of writing, and ids that no earlier run gave; else a seed
            gives the same bytes every time, with times that begin in 2024.
    """

    rate: float = 0.0
    events: int | None = None
    live: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.rate < float("inf"):
            raise ValueError(f"rate is {self.rate}; give events a second, or 0 for no limit")
        if self.events is not None and self.events < 1:
            raise ValueError(f"events is {self.events}; give 1 or more")


def run_produce(settings: Settings, load: Load) -> int:
    """Write until the world ends, enough is written, or SIGTERM or SIGINT asks to stop.

    Returns:
        The exit code: 0 when all that was written is acknowledged; 2 when it could not begin,
        1 when it could not go on, of which one line of the log says why.

    Raises:
        SettingsError: the settings are not those of a Kafka stream of the card world.
    """
    kafka, writing = _fitting(settings), Writing(settings.schema)
    clocks = Clocks()
    configure(clocks.wall, settings.service.log_level)
    began = False
    try:
        with asked_to_stop() as asked, closing(Feeder(kafka, clocks.now)) as feeder:
            began = True
            world = FraudWorld(settings.source.world, clocks.now, clocks.sleep)
            cards = Cards(settings.source.world)
            pen = _Pen(settings.schema, writing, feeder, cards, load, clocks)
            log.info("writing", events=kafka.events, labels=kafka.labels, rate=load.rate)
            _write(world, pen, load, clocks, asked)
            feeder.flush()
            log.info("left", acknowledged=feeder.acknowledged, **pen.said())
    except SourceError as error:
        log.error("stopped" if began else "cannot start", why=str(error))
        return STOPPED if began else WRONG
    return 0


def _fitting(settings: Settings) -> KafkaSettings:
    """Give the topics, if the stream is one that the card world can fill."""
    faults = []
    kafka = settings.source.kafka
    if kafka is None or kafka.labels is None:
        faults.append(Fault("source.kafka.labels", "", "missing; name the topic of late labels"))
    if settings.source.format.kind != "json":
        said = shown(settings.source.format.kind)
        faults.append(Fault("source.format.kind", said, "the card world is written as JSON alone"))
    schema = settings.schema
    for name, kind in schema.fields.items():
        if FIELDS.get(name) != kind:
            there = ", ".join(f"{field} = {shown(it)}" for field, it in FIELDS.items())
            remedy = f"the card world does not make that; take of these: {there}"
            faults.append(Fault(f"stream.fields.{name}", shown(kind), remedy))
    faults += [
        Fault(f"stream.{name}", "", "missing; name the field that holds it")
        for name in ("id", "key", "time", "target")
        if getattr(schema, name) is None
    ]
    if kafka is None or faults:
        raise SettingsError(faults)
    return kafka


class _Pen:
    """Writes records, and counts them."""

    def __init__(
        self,
        schema: Schema,
        writing: Writing,
        feeder: Feeder,
        cards: Cards,
        load: Load,
        clocks: Clocks,
    ) -> None:
        order = tuple(FIELDS)
        self._pick = [order.index(name) for name in schema.fields]
        self._writing, self._feeder, self._cards = writing, feeder, cards
        self._today = Today(clocks.wall) if load.live else None
        self._clocks, self._began = clocks, clocks.now()
        self._last = self._began, 0
        self.events = self.labels = 0

    def write(self, records: Sequence[Record], most: int | None) -> int:
        """Write records in order, up to that many events in all; give the events written."""
        before = self.events
        for record in records:
            if not isinstance(record, Event | Label):
                continue
            if self.events == most:
                break
            card = self._cards.card(record)
            now = record if self._today is None else self._today(record)
            if isinstance(now, Label):
                self._feeder.label(card, self._writing.label(now))
                self.labels += 1
            else:
                self._feeder.event(card, self._writing.event(self._picked(now)))
                self.events += 1
        return self.events - before

    def say(self) -> None:
        """Log the rate of late, every now and then."""
        now = self._clocks.now()
        then, events = self._last
        if now - then >= SAY:
            rate = round((self.events - events) / (now - then), 1)
            log.info("wrote", events=self.events, labels=self.labels, rate=rate)
            self._last = now, self.events

    def said(self) -> dict[str, float]:
        """Give the counts and the rate over all."""
        seconds = self._clocks.now() - self._began
        rate = round(self.events / seconds, 1) if seconds > 0 else 0.0
        return {"events": self.events, "labels": self.labels, "rate": rate}

    def _picked(self, event: Event) -> Event:
        values = tuple(event.values[at] for at in self._pick)
        return Event(event.id, event.key, event.time, values)


def _write(
    world: FraudWorld, pen: _Pen, load: Load, clocks: Clocks, asked: Callable[[], bool]
) -> None:
    rate = Rate(load.rate, clocks.now, clocks.sleep)
    while not asked() and not world.ended() and pen.events != load.events:
        room = rate.room(CHUNK)
        if room:
            rate.spend(pen.write(world.poll(room, 0.0), load.events))
        pen.say()
