"""The cluster: whether it answers, has the topics, and lets this user do what the daemon does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from agent.doctor.finding import Check, Finding, counted, good
from agent.parts import transactional
from agent.settings import Settings
from streams.formats import open_codec, open_registry
from streams.kafka.examine import Cluster, group, look, newest, transactions
from streams.kafka.settings import KafkaSettings
from streams.source import SourceError

SLOW: Final = 2.0  # seconds for a first answer
NAME: Final = "doctor"
WRITE: Final = "WRITE"


@dataclass(slots=True)
class Brokers:
    """What is known of the clusters so far; later checks build on earlier ones.

    Args:
        settings: of the daemon.
        newest: times of the latest records met, Unix seconds, by topic.
    """

    settings: Settings
    newest: dict[str, float] = field(default_factory=dict)
    _clusters: dict[str, Cluster] = field(default_factory=dict)

    def checks(self) -> Iterator[tuple[str, Check]]:
        """Give the checks that these settings ask for."""
        if self.settings.source.kind != "kafka" and self.settings.sink.kind != "kafka":
            return
        yield "brokers", self.reached
        yield "topics", self.topics
        if self.settings.source.kind == "kafka":
            yield "partitions", self.partitions
            yield "reading", self.reading
            yield "group", self.group
            yield "format", self.format
        if self.settings.sink.kind == "kafka":
            yield "writing", self.writing

    @property
    def source(self) -> KafkaSettings | None:
        """The cluster that is read, if one is."""
        return self.settings.source.kafka if self.settings.source.kind == "kafka" else None

    @property
    def sink(self) -> KafkaSettings | None:
        """The cluster that is written, if one is."""
        here = self.settings.sink.kafka or self.settings.source.kafka
        return here if self.settings.sink.kind == "kafka" else None

    def reached(self) -> Iterator[Finding]:
        """Ask each cluster for its topics, and note how long it took."""
        wanted: dict[str, tuple[KafkaSettings, list[str]]] = {}
        for one, topics in ((self.source, self._read()), (self.sink, self._written())):
            if one is not None:
                wanted.setdefault(one.bootstrap, (one, []))[1].extend(topics)
        for bootstrap, (one, topics) in wanted.items():
            try:
                found = self._clusters[bootstrap] = look(one, topics)
            except SourceError as error:
                yield _failed("brokers", error)
                continue
            said = (
                f"{bootstrap} answered in {found.seconds:.2f} s, {counted(found.brokers, 'broker')}"
            )
            slow = Finding("brokers", "warn", said, "see the network and the brokers' load")
            yield slow if found.seconds > SLOW else good("brokers", said)

    def _read(self) -> list[str]:
        one = self.source
        if one is None:
            return []
        return [one.events, *([one.labels] if one.labels is not None else [])]

    def _written(self) -> list[str]:
        one = self.sink
        if one is None:
            return []
        journal = [one.journal] if transactional(self.settings) else []
        return [one.predictions, one.refused, *journal]

    def topics(self) -> Iterator[Finding]:
        """See that each topic is there, with a leader for each partition."""
        for one, names in ((self.source, self._read()), (self.sink, self._written())):
            if one is None or one.bootstrap not in self._clusters:
                continue
            for name in names:
                yield self._topic(one, name)

    def _topic(self, one: KafkaSettings, name: str) -> Finding:
        found = self._clusters[one.bootstrap].topics[name]
        if found.partitions is not None:
            said = f"{name!r} has {counted(found.partitions, 'partition')}"
            if not found.leaderless:
                return good("topics", said)
            remedy = "see the brokers: these partitions are offline"
            return Finding("topics", "fail", f"{said}, {found.leaderless} without leader", remedy)
        if one.create_topics:
            remedy = "the daemon makes it, as create_topics is set"
            return Finding("topics", "warn", f"{name!r} is not there", remedy)
        remedy = f"make it: kafka-topics.sh --bootstrap-server {one.bootstrap} --create --topic "
        return Finding("topics", "fail", f"{name!r} is not there", f"{remedy}{name}")

    def _partitions(self, one: KafkaSettings, name: str) -> int | None:
        cluster = self._clusters.get(one.bootstrap)
        return None if cluster is None else cluster.topics[name].partitions

    def partitions(self) -> Iterator[Finding]:
        """See that events, labels and journal go together by partition."""
        one = self.source
        if one is None or (events := self._partitions(one, one.events)) is None:
            return
        group_ = one.membership == "group"
        labels = None if one.labels is None else self._partitions(one, one.labels)
        if group_ and labels is not None and labels != events:
            said = f"{events} of {one.events!r}, {labels} of {one.labels!r}: no state learns both"
            remedy = "give both as many, keyed alike; or membership = 'all' for one state"
            yield Finding("partitions", "fail", said, remedy)
        journal = self._partitions(one, one.journal) if transactional(self.settings) else None
        if journal is not None and group_ and journal < events:
            said = f"{one.journal!r} has {journal}, and {one.events!r} {events}"
            yield Finding("partitions", "fail", said, f"give {one.journal!r} {events} partitions")
        elif labels in (None, events) or not group_:
            states = (
                f"{counted(events, 'state')}, one a partition" if group_ else "one state over all"
            )
            yield good("partitions", states)

    def reading(self) -> Iterator[Finding]:
        """Read a record of each topic that is read, committing nothing."""
        one = self.source
        for name in self._read():
            if one is None or self._partitions(one, name) is None:
                continue
            try:
                stamp = newest(one, name)
            except SourceError as error:
                yield _failed("reading", error)
                continue
            if stamp is not None:
                self.newest[name] = stamp
            yield good(
                "reading", f"{name!r}: " + ("empty" if stamp is None else "a record is read")
            )

    def group(self) -> Iterator[Finding]:
        """Ask for the group's offsets."""
        one = self.source
        if one is None or self._partitions(one, one.events) is None:
            return
        try:
            count = group(one)
        except SourceError as error:
            yield _failed("group", error)
            return
        yield good("group", f"{one.group!r} has committed offsets of {counted(count, 'partition')}")

    def format(self) -> Iterator[Finding]:
        """See that schemas can be had, where records are read by them."""
        how = self.settings.source.format
        try:
            registry = open_registry(how)
            if registry is not None:
                registry.probe()
            open_codec(self.settings.schema, how)
        except SourceError as error:
            yield _failed("format", error)
        else:
            yield good("format", how.kind + ("" if registry is None else "; the registry answers"))

    def writing(self) -> Iterator[Finding]:
        """See that this user may write: by what the brokers say, else by an empty transaction."""
        one = self.sink
        cluster = None if one is None else self._clusters.get(one.bootstrap)
        if one is None or cluster is None:
            return
        there = [name for name in self._written() if cluster.topics[name].partitions is not None]
        barred = [name for name in there if WRITE not in (cluster.topics[name].allowed or {WRITE})]
        for name in barred:
            remedy = f"let this user write it: kafka-acls.sh --add --operation Write --topic {name}"
            yield Finding("writing", "fail", f"{name!r} may not be written", remedy)
        if barred or not there:
            return
        if transactional(self.settings):
            try:
                transactions(one, f"{one.group}-{NAME}", there)
            except SourceError as error:
                yield _failed("writing", error)
                return
            yield good("writing", f"a transaction without records over {', '.join(there)}")
        elif any(cluster.topics[name].allowed is None for name in there):
            yield good("writing", "these brokers do not say who may; the first answer will show")
        else:
            yield good("writing", f"{', '.join(there)} may be written")


def _failed(check: str, error: SourceError) -> Finding:
    said, _, remedy = str(error).rpartition("; ")
    return Finding(check, "fail", said or str(error), remedy if said else "")
