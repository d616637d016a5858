"""Shards lend one another a start, over a compacted topic."""

import time
from pathlib import Path

import pytest
import torch

from agent.service.prequential import Prequential
from agent.service.sharing import Sharing, lent
from streams.kafka import KafkaCommons
from streams.source import SourceError
from tests.broker import Broker
from tests.exact import cluster, event, label, learner


class Shelf:
    """A commons in memory; `broken` raises."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.broken = False

    def give(self, shard: str, value: bytes) -> None:
        self._check()
        self.values[shard] = value

    def take(self) -> dict[str, bytes]:
        self._check()
        return dict(self.values)

    def close(self) -> None:
        """Do nothing."""

    def _check(self) -> None:
        if self.broken:
            raise SourceError("the script breaks the commons")


def taught(count: int = 200) -> Prequential:
    from streams.codec import Codec  # noqa: PLC0415 - beside its only use
    from tests.exact import SCHEMA  # noqa: PLC0415 - as above

    codec, one = Codec(SCHEMA), learner()
    for at in range(count):
        one.feed([codec.event(event(at), "e", 0.0), codec.label(label(at), "l", 0.0)])
    return one


def test_a_new_shard_begins_where_the_others_meet_and_one_alone_as_it_was_made() -> None:
    shelf = Shelf()
    sharing, old = Sharing(shelf), taught()
    sharing.lend("0001", old)
    fresh, alone = learner(), learner()
    sharing.begin("0000", fresh)
    sharing.begin("0001", alone)  # what it lent itself is no news to it
    assert alone.fingerprint() == learner().fingerprint()
    assert fresh.fingerprint() != alone.fingerprint()
    given, taken = lent(old), lent(fresh)
    assert {name for name in given if torch.allclose(given[name], taken[name])}


def test_a_commons_that_fails_costs_nothing_but_the_start() -> None:
    shelf = Shelf()
    shelf.broken = True
    sharing, fresh = Sharing(shelf), learner()
    sharing.lend("0001", fresh)
    sharing.begin("0000", fresh)
    assert fresh.fingerprint() == learner().fingerprint()


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_the_newest_value_of_each_shard_of_the_group_is_found(
    broker: Broker, tmp_path: Path
) -> None:
    del tmp_path
    settings = cluster(broker, sharing=broker.topic("sharing"))
    other = cluster(broker, sharing=settings.sharing)
    ours, theirs = KafkaCommons(settings), KafkaCommons(other)
    try:
        for at in range(3):
            ours.give("0000", b"old%d" % at)
        ours.give("0000", b"new")
        ours.give("0001", b"one")
        theirs.give("0000", b"theirs")
        until = time.monotonic() + 10
        while len(ours.take()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert ours.take() == {"0000": b"new", "0001": b"one"}
        assert theirs.take() == {"0000": b"theirs"}
    finally:
        ours.close()
        theirs.close()
