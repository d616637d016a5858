"""What a cluster and a checkpoint folder say of a daemon's past: answered once, learned once.

All of it is read from outside: the topics with the markers in their logs, the committed offsets,
the journal, the checkpoints. Beside it one learner that was never stopped takes the same records in
the journal's order.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import torch
from kafka import TopicPartition

from agent.parts import fingerprint
from agent.service.checkpoint import CheckpointStore
from agent.service.prequential import Prequential
from agent.settings import Settings
from streams.codec import Codec, encode_prediction
from streams.kafka import KafkaSettings
from streams.kafka.decode import Decoder
from streams.records import Record
from tests import committed, exact
from tests.broker import Broker
from tests.load import Written, broken, event

Name = TypeVar("Name", str, bytes)
CHUNK = 1000


@dataclass(frozen=True)
class Shown:
    """A topic: what was committed, what such a reader is shown here, and how transactions ended."""

    committed: list[bytes]
    shown: int
    commits: int
    aborts: int

    @classmethod
    def of(cls, broker: Broker, topic: str, partitions: int = 1) -> "Shown":
        """Read a topic with the markers in it, and then as a `read_committed` reader does."""
        with committed._batches() as seen:
            found = committed._all(broker, topic, partitions, 2.0)
        hidden = {tp: committed._hidden(list(one.values())) for tp, one in seen.items()}
        kept = [
            one.value
            for one in found
            if not any(
                batch.first <= one.offset <= batch.last
                for batch in hidden.get(TopicPartition(topic, one.partition), ())
            )
        ]
        ends = Counter(batch.ends for one in seen.values() for batch in one.values())
        shown = committed._all(broker, topic, partitions, 2.0, "read_committed")
        return cls(kept, len(shown), ends["commit"], ends["abort"])


@dataclass(frozen=True)
class Shard:
    """A shard at the end: the killed daemon's state beside that of one never stopped."""

    name: str
    records: int
    journaled: int
    state: str
    unbroken: str
    differing: list[str]
    counts: dict[str, int]
    answers: dict[str, bytes]
    """Of the one never stopped, by id, in order."""


class Judge:
    """Reads both topics of a cluster once, and then judges shard by shard."""

    def __init__(self, broker: Broker, settings: Settings, partitions: int) -> None:
        self._broker, self._settings = broker, settings
        kafka = cluster(settings)
        decode = Decoder(Codec(settings.schema), kafka.labels)
        self._lanes: dict[str, deque[Record]] = {}
        for topic in (kafka.events, kafka.labels or ""):
            found = committed._all(broker, topic, partitions, 2.0)
            for at in range(partitions):
                part = f"{topic}[{at}]"
                some = [one for one in found if one.partition == at]
                self._lanes[part] = deque(decode(part, topic, some)[0])

    def shard(self, name: str) -> Shard:
        """Load its newest checkpoint; run the journal through a fresh learner."""
        where = self._settings.checkpoint
        belongs = fingerprint(self._settings)
        found = CheckpointStore(where.folder, where.keep, belongs, float, name).load()
        assert found is not None, f"no checkpoint of shard {name}"
        kept, fresh = _learner(self._settings), _learner(self._settings)
        kept.restore(found[0], found[1]["learner"])
        answers = {}
        records = self.journaled(0 if name == "all" else int(name))
        for at in range(0, len(records), CHUNK):
            for one in fresh.feed(records[at : at + CHUNK]).predictions:
                answers[one.id] = encode_prediction(one)
        state, counts = kept.fingerprint(), dict(kept.pending.counts)
        differing = _differing(kept, fresh)
        taken = (kept.records, len(records))
        return Shard(name, *taken, state, fresh.fingerprint(), differing, counts, answers)

    def journaled(self, partition: int) -> list[Record]:
        """Give the records of a partition in the order in which they were committed."""
        found: list[Record] = []
        for noted in exact.whole_chain(self._broker, cluster(self._settings), partition):
            entry = noted.entry
            for at, count in zip(entry.runs[::2], entry.runs[1::2], strict=True):
                found += [self._lanes[entry.parts[at]].popleft() for _ in range(count)]
        return found


def cluster(settings: Settings) -> KafkaSettings:
    """Give the settings of the topics."""
    assert settings.source.kafka is not None
    return settings.source.kafka


def _learner(settings: Settings) -> Prequential:
    return Prequential.build(
        settings.schema,
        settings.agent,
        settings.encoder,
        settings.labels,
        probes=settings.probes,
    )


@dataclass(frozen=True)
class Verdict:
    """All that is wrong, in words; nothing where all is well."""

    faults: list[str]
    answers: Shown
    journal: Shown


def judged(
    broker: Broker, settings: Settings, written: Written, shards: list[str], *, whole: bool = True
) -> Verdict:
    """Hold what is there against what was written; with the daemon's own number of threads.

    Where the daemons could not come to the end (`whole` is False), all that lies before where the
    journal ends has to be answered, and nothing else; states are compared where the newest
    checkpoint stands there.
    """
    torch.set_num_threads(settings.service.threads)  # sums round by how they are divided
    kafka = cluster(settings)
    answers = Shown.of(broker, kafka.predictions)
    letters = Shown.of(broker, kafka.refused)
    journal = Shown.of(broker, kafka.journal, len(shards))
    good, refused = (written.good, written.refused) if whole else _taken(broker, kafka, len(shards))
    faults = _once("answers", Counter(_name(one) for one in answers.committed), good)
    faults += _once("dead letters", Counter(letters.committed), refused)
    judge = Judge(broker, settings, len(shards))
    ends = [judge.shard(name) for name in shards]
    for one in ends:
        if one.state != one.unbroken and (whole or one.records == one.journaled):
            where = f"in {len(one.differing)} leaves: {one.differing[:5]}"
            faults.append(f"shard {one.name}: state other than of one never stopped, {where}")
    said = {name: body for one in ends for name, body in one.answers.items()}
    other = [_name(one) for one in answers.committed if said.get(_name(one)) != one]
    if other:
        faults.append(f"{len(other)} answers differ from those of one never stopped: {other[:5]}")
    faults += [f"shard {one.name}: order lost" for one in ends if _mixed(one, answers.committed)]
    faults += _learned(ends, written) if whole else []
    return Verdict(faults, answers, journal)


def _taken(broker: Broker, kafka: KafkaSettings, parts: int) -> tuple[list[str], list[bytes]]:
    """Name the events before the journal's end, and give those that cannot be read."""
    chains = [exact.whole_chain(broker, kafka, part) for part in range(parts)]
    ends = [some[-1].entry.after[f"{kafka.events}[{part}]"] for part, some in enumerate(chains)]
    upto = Written(max(ends) * parts, 0)
    good = [name for name in upto.good if (at := int(name[1:])) // parts < ends[at % parts]]
    numbers = (at for at in range(upto.events) if broken(at) and at // parts < ends[at % parts])
    return good, [event(at, 1.0) for at in numbers]


def _differing(one: Prequential, other: Prequential) -> list[str]:
    """Name the leaves in which two states differ."""
    (arrays, rest), (others, other_rest) = one.snapshot(), other.snapshot()
    leaves = [
        name
        for name in sorted(arrays.keys() | others.keys())
        if name not in arrays
        or name not in others
        or torch.as_tensor(arrays[name]).numpy().tobytes()
        != torch.as_tensor(others[name]).numpy().tobytes()
    ]
    names = sorted(rest.keys() | other_rest.keys())
    return leaves + [name for name in names if rest.get(name) != other_rest.get(name)]


def _mixed(shard: Shard, answers: list[bytes]) -> bool:
    """Whether its answers stand in another order than its events."""
    mine = dict.fromkeys(name for name in map(_name, answers) if name in shard.answers)
    return list(mine) != [name for name in shard.answers if name in mine]


def _learned(ends: list[Shard], written: Written) -> list[str]:
    counts: Counter[str] = Counter()
    for one in ends:
        counts.update(one.counts)
    expected = {"joined": written.labels, "orphan": 0, "duplicate": 0, "expired": 0}
    found = {name: counts[name] for name in expected}
    faults = [] if found == expected else [f"labels {found}, written {written.labels}"]
    records = sum(one.records for one in ends)
    total = written.events + written.labels
    return faults if records == total else [*faults, f"{records} records learned, of {total}"]


def _once(what: str, found: Counter[Name], wanted: list[Name]) -> list[str]:
    lost = [name for name in wanted if name not in found]
    again = [name for name, count in found.items() if count > 1]
    alien = sorted(found.keys() - set(wanted))
    told = {"missing": lost, "more than once": again, "of nothing written": alien}
    return [f"{len(some)} {what} {how}: {some[:5]}" for how, some in told.items() if some]


def _name(body: bytes) -> str:
    name: str = msgspec.json.decode(body)["id"]
    return name
