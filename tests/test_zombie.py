"""A member that was frozen in the middle of a transaction must not end it: others went on."""

import time
from pathlib import Path
from typing import Any

import pytest

from streams.kafka.client import transact
from tests.broker import Broker
from tests.exact import Life, cluster, event

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
