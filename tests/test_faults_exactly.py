"""Faults within a transaction: each event is answered once, and the state is whole."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from streams.kafka import KafkaSettings
from streams.source import SourceError
from tests.broker import Broker, free_port, started
from tests.crooked import Door, Trick, crooked
from tests.exact import Life, cluster, event, label, said, unbroken
from tests.mockcluster import Api, Code

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]
COUNT = 400

Played: TypeAlias = tuple[Api, Trick]


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    outer = free_port()
    with started(advertise=outer) as inner, crooked(_port(inner), outer) as opened:
        yield opened


def _port(broker: Broker) -> int:
    return int(broker.bootstrap.rpartition(":")[2])


def filled(door: Door, count: int = COUNT) -> KafkaSettings:
    """Make topics, with so many events and their labels in them."""
    broker = Broker(door.bootstrap)
    settings = cluster(broker)
    broker.preload(settings.events, [event(at) for at in range(count)])
    broker.preload(settings.labels or "", [label(at) for at in range(count)])
    return settings


def lived(door: Door, folder: Path, tricks: Sequence[Played]) -> None:
    """Let a daemon go through these faults, one after the other, die, live on, and be judged."""
    settings, broker = filled(door), Broker(door.bootstrap)
    life = Life.begin(settings, folder, batch=8)
    life.turns(4)
    for api, trick in tricks:
        door.play(api, trick)
        life.turns(4)
    life.abandon()
    life = Life.begin(settings, folder, batch=8)
    life.finish(2 * COUNT, broker, settings)
    assert door.left() == 0  # else nothing was tried
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(COUNT)})
    assert life.pump._cells["all"].learner.fingerprint() == unbroken(broker, settings)


STEPS = [
    Api.PRODUCE,
    Api.ADD_PARTITIONS_TO_TXN,
    Api.ADD_OFFSETS_TO_TXN,
    Api.TXN_OFFSET_COMMIT,
    Api.END_TXN,
    Api.FETCH,
]


@pytest.mark.parametrize("trick", ["lose", "swallow"])
def test_requests_that_are_lost_or_whose_answers_are_cost_nothing(
    door: Door, tmp_path: Path, trick: Trick
) -> None:
    lived(door, tmp_path, [(api, trick) for api in STEPS for _ in range(2)])


def test_a_journal_whose_acknowledgement_is_lost_still_leads_from_its_beginning(
    door: Door, tmp_path: Path
) -> None:
    settings, broker = filled(door, 60), Broker(door.bootstrap)
    life = Life.begin(settings, tmp_path, batch=8)
    for _ in range(3):
        door.play(Api.PRODUCE, "swallow", naming=settings.journal)
        life.turns(4)
    life.finish(120, broker, settings)
    assert door.left() == 0
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(60)})
    assert life.pump._cells["all"].learner.fingerprint() == unbroken(broker, settings)


REFUSED: Sequence[Played] = [
    (Api.PRODUCE, Code.NOT_ENOUGH_REPLICAS),
    (Api.PRODUCE, Code.OUT_OF_ORDER_SEQUENCE),
    (Api.PRODUCE, Code.INVALID_PRODUCER_EPOCH),
    (Api.ADD_OFFSETS_TO_TXN, Code.COORDINATOR_LOADING),
    (Api.ADD_OFFSETS_TO_TXN, Code.CONCURRENT_TRANSACTIONS),
    (Api.TXN_OFFSET_COMMIT, Code.NOT_COORDINATOR),
    (Api.TXN_OFFSET_COMMIT, Code.COORDINATOR_LOADING),
    (Api.TXN_OFFSET_COMMIT, Code.REBALANCE_IN_PROGRESS),
    (Api.END_TXN, Code.NOT_COORDINATOR),
    (Api.END_TXN, Code.COORDINATOR_NOT_AVAILABLE),
    (Api.END_TXN, Code.UNKNOWN),
]


def test_steps_of_transactions_that_are_refused_are_tried_again_or_done_over(
    door: Door, tmp_path: Path
) -> None:
    lived(door, tmp_path, REFUSED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_whatever_goes_wrong_in_whatever_order_costs_nothing(
    door: Door, tmp_path: Path, seed: int
) -> None:
    """Faults that meet one another, at random: no list of single ones finds those."""
    draw = random.Random(seed)  # noqa: S311 - what goes wrong, no secret
    cuts: list[Played] = [(api, trick) for api in STEPS for trick in ("lose", "swallow")]
    lived(door, tmp_path, draw.choices([*cuts, *REFUSED], k=16))


def test_a_start_that_the_coordinator_puts_off_begins_all_the_same(
    door: Door, tmp_path: Path
) -> None:
    settings = filled(door, 40)
    for trick in ("lose", "swallow", Code.CONCURRENT_TRANSACTIONS, Code.COORDINATOR_LOADING):
        door.play(Api.INIT_PRODUCER_ID, trick)
    life = Life.begin(settings, tmp_path)
    assert door.left() == 0
    life.finish(80, Broker(door.bootstrap), settings)
    assert said(Broker(door.bootstrap), settings) == Counter({f"e{at}": 1 for at in range(40)})


FENCED, NOT_ALLOWED = "another daemon with this name.*stop one of the two", "let this user read"


@pytest.mark.parametrize(
    ("api", "code", "told"),
    [
        (Api.PRODUCE, Code.PRODUCER_FENCED, FENCED),
        (Api.TXN_OFFSET_COMMIT, Code.PRODUCER_FENCED, FENCED),
        (Api.END_TXN, Code.PRODUCER_FENCED, FENCED),
        (Api.PRODUCE, Code.TOPIC_AUTHORIZATION_FAILED, NOT_ALLOWED),
    ],
)
def test_what_no_second_try_can_mend_stops_the_daemon_with_the_remedy(
    door: Door, tmp_path: Path, api: Api, code: Code, told: str
) -> None:
    settings = filled(door, 40)
    life = Life.begin(settings, tmp_path)
    door.play(api, code)
    with pytest.raises(SourceError, match=told):
        life.turns(40)
    life.abandon()
