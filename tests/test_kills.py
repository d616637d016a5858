"""The real process, killed under load at moments of every kind: the short form of `tests.kills`."""

from pathlib import Path

import pytest

from tests import killer, kills
from tests.broker import Broker
from tests.load import KEYS, broken, event, label

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons")]


def test_a_load_is_the_same_bytes_each_time_and_breaks_some() -> None:
    assert [event(at, 100.0) for at in range(400)] == [event(at, 100.0) for at in range(400)]
    assert sum(broken(at) for at in range(400)) == 2
    assert label(7, 100.0, 1.0) != label(8, 100.0, 1.0)
    assert all(KEYS % partitions == 0 for partitions in (1, 2, 3, 4, 6, 12))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "moments"), [(1, killer.MOMENTS), (4, ("committing", "checkpoint"))]
)
def test_killed_under_load_each_event_is_answered_once_and_the_state_is_that_of_no_kill(
    broker: Broker, tmp_path: Path, partitions: int, moments: tuple[str, ...]
) -> None:
    """The promise that the daemon is bought for; each kill costs the seconds of a start."""
    story = kills.told(tmp_path, broker, moments, partitions, seed=5, rate=300.0)
    assert [life.moment for life in story.lives] == [*moments, "stopped"]
    assert story.written.events > 300
    assert story.verdict is not None
    assert story.verdict.faults == []
    assert story.verdict.journal.commits > 0
