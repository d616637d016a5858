"""Exactly once over Kafka: killed anywhere, each event is answered once, the state is whole."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from streams.kafka.journal import NONE, Entry, Noted, chain
from streams.source import RewindError, SourceError
from tests.broker import Broker
from tests.exact import Life, cluster, event, label, said, unbroken

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]
COUNT = 600


def entry(before: int, after: int, parent: int = NONE, at: int = 0) -> Noted:
    runs = (0, after - before)
    return Noted(at, Entry({"e[0]": before}, {"e[0]": after}, ("e[0]",), runs, "g", parent))


def test_the_chain_leads_from_the_checkpoint_to_the_last_entry() -> None:
    notes = [entry(0, 5), entry(5, 9, 0, 2), entry(9, 12, 2, 4)]
    assert chain(notes, NONE) == notes
    assert chain(notes, 0) == notes[1:]
    assert chain(notes, 4) == []
    assert chain(notes[:2], NONE) == notes[:2]


def test_entries_of_transactions_that_were_given_up_are_never_met() -> None:
    notes = [
        entry(0, 5),
        entry(5, 8, 0, 1),
        entry(5, 9, 0, 2),
        entry(9, 14, 2, 3),
        entry(9, 12, 2, 5),
    ]
    assert chain(notes, NONE) == [notes[0], notes[2], notes[4]]


def test_a_journal_that_has_lost_entries_leads_nowhere() -> None:
    notes = [entry(5, 9, 0, 2), entry(9, 12, 2, 4)]
    assert chain(notes, NONE) is None
    assert chain(notes, 0) == notes
    assert chain([], 0) is None


def test_abandoned_at_any_turn_each_event_is_answered_once_and_the_state_is_whole(
    broker: Broker, tmp_path: Path
) -> None:
    settings, draw = cluster(broker), random.Random(3)  # noqa: S311 - when to stop, no secret
    written = 0
    for _ in range(6):  # both topics grow while daemons come and go: they interleave as they please
        upto = written + COUNT // 6
        broker.preload(settings.events, [event(at) for at in range(written, upto)])
        life = Life.begin(settings, tmp_path)
        life.turns(draw.randint(1, 8))
        broker.preload(settings.labels or "", [label(at) for at in range(written, upto)])
        life.turns(draw.randint(1, 8))
        life.abandon()
        written = upto
    life = Life.begin(settings, tmp_path)
    life.finish(2 * COUNT, broker, settings)
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(COUNT)})
    state = life.pump._cells["all"].learner.fingerprint()
    assert state == unbroken(broker, settings)


def test_a_transaction_that_fails_is_done_over_from_the_last_commit(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, draw = cluster(broker), random.Random(4)  # noqa: S311 - when to fail, no secret
    broker.preload(settings.events, [event(at) for at in range(COUNT)])
    broker.preload(settings.labels or "", [label(at) for at in range(COUNT)])
    life = Life.begin(settings, tmp_path)
    out, failures = life.sink.out, list[int]()
    real = out._raise_first  # type: ignore[union-attr]

    def fail() -> None:
        real()
        if len(failures) < 10 and draw.random() < 0.2:
            failures.append(1)
            raise RewindError("the script breaks this commit")

    monkeypatch.setattr(out, "_raise_first", fail)
    life.finish(2 * COUNT, broker, settings)
    assert failures
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(COUNT)})
    assert life.pump._cells["all"].learner.fingerprint() == unbroken(broker, settings)


def test_of_two_daemons_of_one_name_the_older_may_not_write_any_more(
    broker: Broker, tmp_path: Path
) -> None:
    settings = cluster(broker)
    broker.preload(settings.events, [event(at) for at in range(200)])
    zombie = Life.begin(settings, tmp_path / "one")
    zombie.turns(2)
    heir = Life.begin(settings, tmp_path / "one")
    with pytest.raises(SourceError, match=r"another daemon with this name.*stop one of the two"):
        zombie.turns(50)
    zombie.abandon()
    heir.finish(200, broker, settings)
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(200)})


def test_a_lost_store_begins_anew_where_the_answers_end(broker: Broker, tmp_path: Path) -> None:
    settings = cluster(broker)
    broker.preload(settings.events, [event(at) for at in range(100)])
    Life.begin(settings, tmp_path / "one").finish(100, broker, settings)
    broker.preload(settings.events, [event(at) for at in range(100, 150)])
    life = Life.begin(settings, tmp_path / "two")
    life.finish(50, broker, settings)
    assert said(broker, settings) == Counter({f"e{at}": 1 for at in range(150)})
    again = Life.begin(settings, tmp_path / "two")
    assert again.pump._cells["all"].learner.records == 50
    again.abandon()


def test_a_journal_that_does_not_lead_on_is_an_error_with_the_remedy(
    broker: Broker, tmp_path: Path
) -> None:
    settings = cluster(broker)
    broker.preload(settings.events, [event(at) for at in range(100)])
    life = Life.begin(settings, tmp_path, every=10_000)
    life.turns(30)
    life.abandon()
    other = replace(settings, journal=broker.topic("journal"))
    with pytest.raises(Exception, match="journal"):
        Life.begin(other, tmp_path)
