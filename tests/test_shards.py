"""Shards of a consumer group: a state for each partition, which goes from one member to another."""

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.service.checkpoint import CheckpointStore
from streams.kafka import KafkaSettings, KafkaSource
from streams.kafka.assignor import shares
from streams.kafka.client import TopicPartition
from streams.kafka.journal import Entry, decoded, encoded
from streams.kafka.lanes import Lane
from streams.kafka.shard import Shard
from streams.records import Label, Record, Refused
from streams.source import AwayError, Position, SourceError
from tests.broker import Broker
from tests.exact import Life, cluster, event, label, learner, said, unbroken

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons")]
PARTS, COUNT = 3, 300


class Member:
    """A daemon's loop on a thread of its own."""

    def __init__(self, settings: KafkaSettings, folder: Path, name: str) -> None:
        self.life = Life.begin(settings, folder, name=name)
        self._asked = False
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.life.pump.run(lambda: self._asked)
        except BaseException as error:  # noqa: BLE001 - told by `leave`
            self.failed = error
        finally:
            self.life.pump.close()

    @property
    def shards(self) -> set[str]:
        """Names of those held."""
        return {cell.shard for cell in self.life.pump._cells}

    def leave(self) -> None:
        """Stop in order."""
        self._asked = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failed is not None:
            raise self.failed


def write(broker: Broker, settings: KafkaSettings, numbers: range) -> None:
    for part in range(PARTS):
        own = [at for at in numbers if at % PARTS == part]
        broker.preload(settings.events, [event(at) for at in own], partition=part)
        broker.preload(settings.labels or "", [label(at) for at in own], partition=part)


def waited(settings: KafkaSettings, broker: Broker, count: int, seconds: float = 90) -> None:
    """Wait until so many events of each part are committed."""
    until, done = time.monotonic() + seconds, [0]
    while time.monotonic() < until:
        done = [
            broker.committed(settings.group, topic, part) or 0
            for part in range(PARTS)
            for topic in (settings.events, settings.labels or "")
        ]
        if min(done) >= count // PARTS:
            return
        time.sleep(0.2)
    raise TimeoutError(str(done))


@pytest.mark.slow
def test_shards_go_from_member_to_member_and_no_event_is_lost_or_answered_twice(
    broker: Broker, tmp_path: Path
) -> None:
    """A group takes seconds to form; it is what scaling out rests on."""
    settings = cluster(broker, PARTS, membership="group", session_timeout=6.0)
    write(broker, settings, range(COUNT))
    one = Member(settings, tmp_path, "one")
    waited(settings, broker, COUNT)
    two = Member(settings, tmp_path, "two")
    for start in range(COUNT, 3 * COUNT, 60):  # it joins under load
        write(broker, settings, range(start, start + 60))
        time.sleep(random.Random(start).uniform(0, 0.3))  # noqa: S311 - no secret
    waited(settings, broker, 3 * COUNT)
    assert one.shards | two.shards == {"0000", "0001", "0002"}
    assert not one.shards & two.shards
    assert two.shards
    one.leave()
    write(broker, settings, range(3 * COUNT, 4 * COUNT))
    waited(settings, broker, 4 * COUNT)
    two.leave()
    assert said(broker, settings, PARTS) == Counter({f"e{at}": 1 for at in range(4 * COUNT)})
    for part in range(PARTS):
        state = restored(tmp_path, f"{part:04d}")
        assert state == unbroken(broker, settings, part)


def test_a_broker_that_does_not_say_in_time_where_a_shard_stands_is_asked_again(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = cluster(broker, PARTS, membership="group", session_timeout=6.0)
    write(broker, settings, range(60))
    seek, asked = KafkaSource.seek, list[str]()

    def late(source: KafkaSource, shard: str, position: Position) -> None:
        asked.append(shard)
        if shard == "0001" and asked.count(shard) < 3:
            raise AwayError("no answer in time")
        seek(source, shard, position)

    monkeypatch.setattr(KafkaSource, "seek", late)
    member = Member(settings, tmp_path, "one")
    waited(settings, broker, 60)
    member.leave()
    assert asked == ["0000", "0001", "0002", "0001", "0001"]  # the others do not wait for it
    assert said(broker, settings, PARTS) == Counter({f"e{at}": 1 for at in range(60)})


def restored(folder: Path, shard: str) -> str:
    found = CheckpointStore(folder, 3, {}, time.monotonic, shard).load()
    assert found is not None
    fresh = learner()
    fresh.restore(found[0], found[1]["learner"])
    return fresh.fingerprint()


def test_events_and_labels_of_unlike_partitions_are_refused_with_the_remedy(
    broker: Broker, tmp_path: Path
) -> None:
    settings = cluster(broker, 2, membership="group", labels=broker.topic("labels", 3))
    with pytest.raises(SourceError, match=r"as many partitions.*membership"):
        Life.begin(settings, tmp_path)


@given(
    st.integers(1, 40),
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3), st.sets(st.integers(0, 45)), min_size=1
    ),
)
def test_shares_are_fair_and_nothing_goes_to_one_before_another_has_given_it_up(
    parts: int, owned: dict[str, set[int]]
) -> None:
    final, now = shares(range(parts), owned)
    assert sorted(part for some in final.values() for part in some) == list(range(parts))
    assert max(map(len, final.values())) - min(map(len, final.values())) <= 1
    had = [part for some in now.values() for part in some]
    assert len(had) == len(set(had))
    for member, given_now in now.items():
        others = {part for other, some in owned.items() if other < member for part in some}
        assert set(given_now) <= set(final[member])
        assert not set(given_now) & others
    settled = {member: set(some) for member, some in final.items()}
    assert shares(range(parts), settled) == (final, final)  # nobody moves without a reason


def test_what_had_no_schema_then_is_refused_in_a_replay_though_it_can_be_read_now() -> None:
    def shard(record: Record, **more: object) -> Shard:
        lane = Lane("e[0]", 0, 5)
        lane.add([*records("a"), record, *records("b")], [6, 7, 8])
        return Shard({TopicPartition("e", 0): lane}, lambda: 0.0, 1.0, "g", **more)  # type: ignore[arg-type]

    first = shard(Refused("unknown-schema", "", "e[0]@6", b"raw"))
    first.take(9, [])
    entry = first.entry()
    assert entry is not None
    assert entry.unread == {"e[0]": (6,)}
    noted = decoded(3, encoded(entry))
    again, got = shard(Label("read now", 0.0, "x"), replay=[noted]), list[Record]()
    assert again.take(9, got)
    assert [one.reason if isinstance(one, Refused) else one.id for one in got] == [
        "a",
        "unknown-schema",
        "b",
    ]
    again.lanes[TopicPartition("e", 0)].add([Refused("undecodable", "", "e[0]@8", b"")], [9])
    again.take(9, [])
    assert again.entry() == Entry(entry.after, {"e[0]": 9}, ("e[0]",), (0, 1), "g", 3)


def records(names: str) -> list[Record]:
    return [Label(name, float(at), "x") for at, name in enumerate(names)]


def test_what_a_shard_gave_is_noted_as_runs_and_replayed_in_that_order() -> None:
    def shard(**more: object) -> Shard:
        lanes = {TopicPartition(topic, 0): Lane(f"{topic}[0]", 0, 0) for topic in ("e", "l")}
        lanes[TopicPartition("e", 0)].add(records("abc"), [1, 2, 3])
        lanes[TopicPartition("l", 0)].add(records("xyz"), [4, 5, 9])
        for lane in lanes.values():
            lane.drained = True
        return Shard(lanes, lambda: 0.0, 1.0, "g", **more)  # type: ignore[arg-type]

    first, taken = shard(), list[Record]()
    first.take(4, taken)
    entry = first.entry()
    assert entry is not None
    assert entry.after == {"e[0]": 2, "l[0]": 5}
    first.committed(7)
    first.take(9, rest := list[Record]())
    again = shard(replay=[type("N", (), {"at": 7, "entry": entry})()], head=-1)
    got: list[Record] = []
    while again.replaying:
        assert again.take(len(got) + 1, got)
    assert got == taken
    assert again.head == 7
    assert not again.take(9 + len(got), got)
    assert got == taken + rest
