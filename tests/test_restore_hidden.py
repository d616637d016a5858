"""A member dies with its transaction open, and those after it have to find their way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer

from streams.kafka import KafkaSettings
from streams.kafka.journal import Entry, Journal, Noted, encoded, signed
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
def left_open(
    broker: Broker, headers: list[tuple[str, bytes]], **more: Any
) -> Iterator[KafkaSettings]:
    """Give a journal with an entry, one of a transaction that stays open, and one after it."""
    made = cluster(broker, transaction_timeout=4.0, membership="group", **more)
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


def restoring(
    settings: KafkaSettings, clock: list[float], committed: int | None = 9, **more: Any
) -> Restoring:
    """Make one whose group's offsets the broker tells as `committed`."""
    told = {} if committed is None else {"e[0]": committed}
    ways: dict[str, Any] = {"places": lambda *_: {}, **more}
    placing: Any = SimpleNamespace(partitions=lambda _: 1, committed=lambda _: told, **ways)
    members: Any = SimpleNamespace(parts=lambda _: [])
    return Restoring(settings, placing, members, lambda: clock[0], journal=True)


def after(notes: Sequence[Noted]) -> list[int]:
    """Give where entries end."""
    return [one.entry.after["e[0]"] for one in notes]


def test_the_journal_tells_what_is_committed_from_what_is_open(settings: KafkaSettings) -> None:
    journal = Journal(settings)
    committed, left = journal.read(0, 0)
    assert after(committed) == [5, 9]
    assert after(left) == [7]
    assert after(journal.read(0, 2)[0]) == [9]
    journal.close()


def test_what_was_given_up_does_not_count_though_a_broker_shows_it(broker: Broker) -> None:
    made = cluster(broker)
    writer = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="cards-other")
    writer.init_transactions()
    for at, kept in enumerate((True, False, False, True)):
        writer.begin_transaction()
        writer.send(made.journal, noted(at, at + 1, -1, made.group), partition=0).get(10)
        (writer.commit_transaction if kept else writer.abort_transaction)()
    writer.close()
    journal = Journal(made)
    committed, left = journal.read(0, 0)
    assert (after(committed), left) == ([1, 4], [])
    journal.close()


def test_what_is_open_is_waited_for_as_long_as_the_broker_may_take_and_then_read_past(
    settings: KafkaSettings,
) -> None:
    clock = [100.0]
    found = restoring(settings, clock)
    position = {"e[0]": 5, f"{settings.journal}[0]": 1}  # a checkpoint after the first entry
    for clock[0] in (100.0, 101.0, 105.5):
        with pytest.raises(AwayError, match=r"left a transaction open.*up after transaction_"):
            found.leads("0000", position)
    clock[0] = 109.0
    start = found.start("0000", [], position)
    assert after(start.replay) == [9]  # not that of the dead
    assert start.head == 0
    found.close()


def test_the_open_transaction_of_a_lost_member_is_ended_by_whoever_takes_up_its_shard(
    broker: Broker,
) -> None:
    with left_open(broker, signed(DEAD)) as made:
        found = restoring(made, [100.0])
        position = {"e[0]": 5, f"{made.journal}[0]": 1}
        assert after(found.start("0000", [], position).replay) == [9]
        found.close()
        journal = Journal(made)
        assert journal.read(0, 0)[1] == []
        journal.close()


def test_one_that_is_no_member_is_left_alone(broker: Broker) -> None:
    with left_open(broker, signed("other-member")) as made:
        found = restoring(made, [100.0])
        with pytest.raises(AwayError, match="left a transaction open"):
            found.leads("0000", {"e[0]": 5, f"{made.journal}[0]": 1})
        found.close()


def test_another_groups_open_transaction_is_none_of_ours(settings: KafkaSettings) -> None:
    found = restoring(replace(settings, group="others"), [100.0])
    assert found.leads("0000", {"e[0]": 9})
    found.close()


@pytest.mark.parametrize("told", [5, None, 9])
def test_the_journal_is_believed_before_offsets_that_a_broker_holds_back(
    broker: Broker, told: int | None
) -> None:
    made = cluster(broker)
    broker.preload(made.journal, [noted(0, 5, -1, made.group), noted(5, 9, 0, made.group)])
    placed: list[Any] = []
    found = restoring(made, [0.0], told, places=lambda *where: placed.append(where))
    assert after(found.start("all", [], {"e[0]": 5, f"{made.journal}[0]": 1}).replay) == [9]
    assert found.start("all", [], {"e[0]": 9, f"{made.journal}[0]": 2}).replay == []
    assert after(found.start("all", [], {"e[0]": 0}).replay) == [5, 9]  # it knew no journal yet
    assert found.start("all", [], {"e[0]": 12}).replay == []  # it went on without a journal
    begun = found.start("all", [], {})
    assert placed[-1] == ([], {"e[0]": 9}, "the journal")
    assert (begun.replay, begun.head) == ([], 1)
    found.close()


def test_a_journal_that_ends_before_the_committed_offsets_has_lost_entries(broker: Broker) -> None:
    made = cluster(broker)
    broker.preload(made.journal, [noted(0, 5, -1, made.group)])
    found = restoring(made, [0.0])
    assert not found.leads("all", {"e[0]": 5, f"{made.journal}[0]": 1})
    found.close()
