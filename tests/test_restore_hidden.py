"""A member dies with its transaction open, and those after it have to find their way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer

from streams.kafka import KafkaSettings
from streams.kafka.journal import Entry, Journal, encoded, signed
from streams.kafka.restore import Restoring
from streams.source import AwayError
from tests.broker import Broker
from tests.exact import cluster

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]
GROUP, DEAD = "cards", "cards-member-7"


def noted(before: int, after: int, parent: int, group: str) -> bytes:
    """Give an entry of one partition."""
    runs = (0, after - before)
    return encoded(Entry({"e[0]": before}, {"e[0]": after}, ("e[0]",), runs, group, parent))


@contextmanager
def left_open(broker: Broker, headers: list[tuple[str, bytes]]) -> Iterator[KafkaSettings]:
    """Give a journal with an entry, one of a transaction that stays open, and one after it."""
    made = cluster(broker, transaction_timeout=4.0)
    made = replace(made, group=GROUP)
    broker.preload(made.journal, [noted(0, 5, -1, made.group)])
    dead = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=DEAD)
    dead.init_transactions()
    dead.begin_transaction()
    body = noted(5, 7, 0, made.group)
    dead.send(made.journal, body, headers=headers, partition=0).get(10)
    broker.preload(made.journal, [noted(5, 9, 0, made.group)])
    yield made
    dead._sender.force_close()  # it may be fenced, and would wait for ever
    dead._sender.join(5.0)
    dead._closed = True


@pytest.fixture
def settings(broker: Broker) -> Iterator[KafkaSettings]:
    """Give a journal in which nobody knows whose transaction is open."""
    with left_open(broker, []) as made:
        yield made


def restoring(settings: KafkaSettings, clock: list[float]) -> Restoring:
    """Make one whose group has committed up to offset 9."""
    placing: Any = SimpleNamespace(
        partitions=lambda _: 1, places=lambda *_: {}, committed=lambda _: {"e[0]": 9}
    )
    members: Any = SimpleNamespace(parts=lambda _: [])
    return Restoring(settings, placing, members, lambda: clock[0], journal=True)


def test_the_journal_says_that_something_is_hidden_and_shows_it_to_whoever_insists(
    settings: KafkaSettings,
) -> None:
    journal = Journal(settings)
    seen, hidden = journal.read(0, 0)
    assert hidden == 1
    assert [one.entry.after for one in seen] == [{"e[0]": 5}]
    assert [one.entry.after["e[0]"] for one in journal.read_open(0, 0)] == [5, 7, 9]
    journal.close()


def test_what_is_hidden_is_waited_for_as_long_as_the_broker_may_take_and_then_read_past(
    settings: KafkaSettings,
) -> None:
    clock = [100.0]
    found = restoring(settings, clock)
    position = {"e[0]": 5, f"{settings.journal}[0]": 1}  # a checkpoint after the first entry
    for clock[0] in (100.0, 101.0, 105.5):
        with pytest.raises(AwayError, match=r"left a transaction open.*up after transaction_"):
            found.leads("all", position)
    clock[0] = 107.0
    start = found.start("all", [], position)
    assert [one.entry.after for one in start.replay] == [{"e[0]": 9}]  # not that of the dead
    assert start.head == 0
    found.close()


def test_the_open_transaction_of_a_lost_member_is_ended_by_whoever_takes_up_its_shard(
    broker: Broker,
) -> None:
    with left_open(broker, signed(DEAD)) as made:
        found = restoring(made, [100.0])
        position = {"e[0]": 5, f"{made.journal}[0]": 1}
        assert [one.entry.after for one in found.start("all", [], position).replay] == [{"e[0]": 9}]
        found.close()
        journal = Journal(made)
        assert journal.read(0, 0)[1] is None
        journal.close()


def test_another_groups_transaction_is_left_alone(broker: Broker) -> None:
    with left_open(broker, signed("other-member")) as made:
        found = restoring(made, [100.0])
        with pytest.raises(AwayError, match="left a transaction open"):
            found.leads("all", {"e[0]": 5, f"{made.journal}[0]": 1})
        found.close()


def test_a_journal_shown_whole_is_believed_at_once(broker: Broker) -> None:
    made = cluster(broker)
    broker.preload(made.journal, [noted(0, 5, -1, made.group)])
    found = restoring(made, [0.0])
    assert not found.leads("all", {"e[0]": 5, f"{made.journal}[0]": 1})
    found.close()
