"""Members of whom the others thought that they were lost, or whose name another has taken."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streams.kafka.client import faults, transact
from streams.kafka.exactly import transactional_id
from streams.kafka.journal import Journal
from streams.source import FencedError
from tests.broker import Broker
from tests.exact import Life, cluster, event, said

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons")]


@pytest.mark.parametrize("step", ["send_offsets_to_transaction", "nowhere"])
def test_one_that_was_frozen_within_a_transaction_gives_it_up(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings = cluster(broker, membership="group", session_timeout=6.0)
    broker.preload(settings.events, [event(at) for at in range(200)])
    life = Life.begin(settings, tmp_path)
    until = time.monotonic() + 30
    while (before := broker.committed(settings.group, settings.events) or 0) == 0:
        life.turns(1)
        assert time.monotonic() < until

    def frozen(producer: Any, what: str, *more: Any) -> None:
        transact(producer, what, *more)
        if what == step:  # what a clock shows after SIGSTOP, and what the group would say
            life.source._met -= 100.0
            monkeypatch.setattr(life.source._members, "still", lambda _: False)

    monkeypatch.setattr("streams.kafka.transactional.transact", frozen)
    broker.preload(settings.events, [event(at) for at in range(200, 240)])
    rewinds = life.pump._recount.rewinds
    life.turns(12)
    after = broker.committed(settings.group, settings.events)
    assert (after == before) == (step != "nowhere")
    assert (life.pump._recount.rewinds > rewinds) == (step != "nowhere")
    life.abandon()


def test_one_of_a_group_whose_transaction_another_ended_goes_back_and_on(
    broker: Broker, tmp_path: Path
) -> None:
    settings = cluster(broker, membership="group", session_timeout=6.0)
    broker.preload(settings.events, [event(at) for at in range(200)])
    life = Life.begin(settings, tmp_path)
    while not life.pump.records():
        life.turns(1)
    journal = Journal(settings)
    journal.end(transactional_id(settings, "unique"))  # as whoever takes up its shards would
    journal.close()
    life.finish(200, broker, settings)
    assert life.pump._recount.rewinds == 1
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(200)})


def test_one_that_learns_only_while_giving_up_that_its_name_is_taken_does_not_take_it_back(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = cluster(broker)
    broker.preload(settings.events, [event(at) for at in range(200)])
    life = Life.begin(settings, tmp_path)
    life.turns(2)

    def told(producer: Any, what: str, *more: Any) -> None:
        # Apache Kafka tells a producer whose epoch is old so first, and fences it at the next step
        if what == "begin_abort":
            raise faults.ProducerFencedError
        if what == "send_offsets_to_transaction":
            raise faults.InvalidProducerEpochError
        transact(producer, what, *more)

    monkeypatch.setattr("streams.kafka.transactional.transact", told)
    with pytest.raises(FencedError, match=r"another daemon with this name.*stop one of the two"):
        life.turns(50)
    assert life.sink.recreations == 0
    life.abandon()


@pytest.mark.parametrize("membership", ["all", "group"])
def test_what_fails_first_does_not_hide_that_a_name_is_taken(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str
) -> None:
    settings = cluster(broker, membership=membership)
    broker.preload(settings.events, [event(at) for at in range(200)])
    life = Life.begin(settings, tmp_path)
    while not life.pump.records():
        life.turns(1)

    def lost(producer: Any, what: str, *more: Any) -> None:
        if what == "send_offsets_to_transaction":  # the sender met the fence, the caller only waits
            producer._transaction_manager.transition_to_fatal_error(
                faults.InvalidProducerEpochError()
            )
            raise faults.KafkaTimeoutError
        transact(producer, what, *more)

    with monkeypatch.context() as patch:
        patch.setattr("streams.kafka.transactional.transact", lost)
        if membership == "all":
            with pytest.raises(FencedError, match=r"another daemon with this name"):
                life.turns(50)
            assert life.sink.recreations == 0
        else:  # nobody else bears its name: it takes another epoch and goes back
            while not life.pump._recount.rewinds:
                life.turns(1)
    life.abandon()
