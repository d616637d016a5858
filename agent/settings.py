"""The whole tree of settings: one frozen value, from TOML, the environment and flags.

The environment goes over the file, flags over both: `ADAPTD__SOURCE__KAFKA__BOOTSTRAP=broker:9092`
sets `source.kafka.bootstrap`. Without a file, the card world is the stream.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from agent.build import build
from agent.continual.default import AgentSettings
from agent.encode import Encoder, EncoderSettings
from agent.faults import SettingsError
from agent.learners.base import Spec
from agent.learners.river import River, RiverSettings
from agent.service.checkpoint import CheckpointSettings
from agent.service.figures import TallySettings
from agent.service.poison import PoisonSettings
from agent.service.probes import ProbeSettings
from agent.service.seats import seats
from agent.service.settings import Delivery, ServiceSettings
from agent.service.web import WebSettings
from agent.toml import Table, Text, from_environment, overlay, read
from streams.files import FileSettings
from streams.formats import FormatSettings
from streams.kafka.settings import KafkaSettings
from streams.labels import PendingSettings
from streams.schema import Goal, Schema
from streams.worlds.fraud import FraudSettings, FraudWorld

Json: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where records come from.

    Args:
        kind: which of the tables below is in use.
        file: CSV or JSON lines.
        kafka: topics of a cluster.
        world: the card world, a generator.
        format: how the records of Kafka are written: JSON, Avro or MessagePack.
    """

    kind: Literal["file", "kafka", "world"] = "world"
    file: FileSettings | None = None
    kafka: KafkaSettings | None = None
    world: FraudSettings = field(default_factory=FraudSettings)
    format: FormatSettings = field(default_factory=FormatSettings)

    def __post_init__(self) -> None:
        if self.kind != "kafka" and self.format.kind != "json":
            said = f'format.kind is "{self.format.kind}", but a {self.kind} holds no such records'
            raise ValueError(f'{said}; take kind = "kafka", or leave format out')
        if getattr(self, self.kind) is None:
            raise ValueError(f"kind is {self.kind!r}, but there is no table [source.{self.kind}]")


@dataclass(frozen=True, slots=True)
class FileSinkSettings:
    """Files of answers, one JSON object a line.

    Args:
        predictions: the file of answers, made if need be.
        refused: the file of dead letters, made if need be.
    """

    predictions: Path = Path("predictions.jsonl")
    refused: Path = Path("refused.jsonl")

    def __post_init__(self) -> None:
        if self.predictions == self.refused:
            raise ValueError(f"refused is {str(self.refused)!r}, as predictions; take two files")


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """Where answers and dead letters go.

    Args:
        kind: "kafka", "file", or "none", which drops them.
        file: the files.
        kafka: the cluster and its topics; without it, those of [source.kafka].
    """

    kind: Literal["file", "kafka", "none"] = "none"
    file: FileSinkSettings = field(default_factory=FileSinkSettings)
    kafka: KafkaSettings | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a person can set.

    Args:
        stream: the shape of the records; the card world has its own.
        source: where they come from.
        sink: where answers go.
        labels: how long events wait for theirs.
        encoder: how events become rows.
        agent: the learner.
        checkpoint: where snapshots go, and how often.
        service: how the loop runs.
        web: where the page and /metrics are served.
        status: how much of the past the page shows.
        probes: how the agent's memory of old tasks is probed.
        poison: when so many broken records stop the daemon.
    """

    stream: Schema | None = None
    source: SourceSettings = field(default_factory=SourceSettings)
    sink: SinkSettings = field(default_factory=SinkSettings)
    labels: PendingSettings = field(default_factory=PendingSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    agent: AgentSettings = field(default_factory=AgentSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    web: WebSettings = field(default_factory=WebSettings)
    status: TallySettings = field(default_factory=TallySettings)
    probes: ProbeSettings = field(default_factory=ProbeSettings)
    poison: PoisonSettings = field(default_factory=PoisonSettings)

    def __post_init__(self) -> None:
        if self.stream is None and self.source.kind != "world":
            raise ValueError(f"stream is missing; a {self.source.kind} needs [stream.fields]")
        if self.stream is not None:
            _check_stream(self.stream)
        if self.sink.kind == "kafka" and self.sink.kafka is None and self.source.kafka is None:
            raise ValueError("sink.kafka is missing, and there is no [source.kafka] to share")
        _check_delivery(self.service.delivery, self.source, self.sink)
        for name in self.agent.experts:
            _check_expert(name, self.schema.goal)
        if self.agent.learners:
            rows = Encoder(self.schema.fields, self.encoder)
            width = rows.width - rows.codes  # they see quantities
            _check_seats(Spec(width, 0 if self.schema.goal == "number" else 2), self.agent.learners)

    @property
    def schema(self) -> Schema:
        """The shape of the records."""
        return FraudWorld.schema() if self.stream is None else self.stream


def _check_delivery(delivery: Delivery, source: SourceSettings, sink: SinkSettings) -> None:
    if delivery != "exactly-once" or not source.kind == sink.kind == "kafka":
        return
    if source.kafka is not None and sink.kafka is not None:
        here, there = source.kafka.bootstrap, sink.kafka.bootstrap
        if here != there:
            raise ValueError(
                f"service.delivery is exactly-once, but sink.kafka.bootstrap is {there!r}, another"
                f" cluster than source.kafka's {here!r}; a transaction cannot span the two: give"
                " at-least-once"
            )


def _check_stream(stream: Schema) -> None:
    if not stream.fields:
        raise ValueError('stream.fields is empty; give a feature, as amount = "numeric"')
    if stream.target in stream.fields:
        raise ValueError(
            f"stream.target is {stream.target!r}, a feature too; take it out of fields"
        )
    if stream.classes and stream.goal == "number":
        raise ValueError("stream.classes names classes, but stream.goal is number; drop one")
    if len(set(stream.classes)) != len(stream.classes):
        raise ValueError(f"stream.classes is {list(stream.classes)}; name each class once")
    if stream.max_bytes < 1:
        raise ValueError(f"stream.max_bytes is {stream.max_bytes}; give 1 or more")


def _check_expert(name: str, goal: Goal) -> None:
    try:
        River(Spec(1, 0 if goal == "number" else 2), RiverSettings(name))
    except ValueError as error:
        raise ValueError(f"agent.experts: {error}") from None


def _check_seats(spec: Spec, learners: tuple[str, ...]) -> None:
    try:
        seats(spec, learners)
    except ValueError as error:
        raise ValueError(f"agent.learners: {error}") from None


def load(
    path: Path | None, environment: Mapping[str, str], flags: Mapping[str, Text] | None = None
) -> Settings:
    """Read the settings; flags are by path, as {"web.port": Text("0", "--port")}.

    Raises:
        SettingsError: with every fault that was found.
    """
    table: Table = {} if path is None else read(path)
    given, faults = from_environment(environment)
    table, more = overlay(table, given | dict(flags or {}))
    try:
        settings = build(Settings, table)
    except SettingsError as error:
        raise SettingsError([*faults, *more, *error.faults]) from None
    if faults or more:
        raise SettingsError([*faults, *more])
    return settings


SECRET: Final = re.compile(r"password|secret|token|credential", re.IGNORECASE)


def flat(settings: Any) -> dict[str, Json]:
    """Give the settings by path, for a checkpoint's manifest; what may be a secret is left out.

    Only free tables can hold one: elsewhere a setting names the file or variable that does.
    """
    found: dict[str, Json] = {}
    _flatten(settings, "", found)
    return found


def _flatten(value: Any, path: str, found: dict[str, Json]) -> None:
    if is_dataclass(value):
        parts: Any = ((part.name, getattr(value, part.name)) for part in fields(value))
    elif isinstance(value, Mapping):
        parts = ((name, one) for name, one in value.items() if not SECRET.search(name))
        parts = value.items() if path == "stream.fields" else parts
    elif isinstance(value, tuple):
        parts = ((str(at), one) for at, one in enumerate(value))
    else:
        found[path] = str(value) if isinstance(value, Path) else value
        return
    for name, one in parts:
        _flatten(one, f"{path}.{name}" if path else name, found)
