"""Members of a group killed, frozen and added under load: the short form of `tests.chaos`."""

from pathlib import Path

import pytest

from tests import chaos
from tests.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons")]


@pytest.mark.slow
def test_members_come_and_go_and_nothing_is_lost_or_answered_twice(
    broker: Broker, tmp_path: Path
) -> None:
    """Real processes of one real group; each rebalance costs the broker's own seconds."""
    plan = chaos.Plan(15.0, daemons=2, partitions=4, seed=2, rate=200.0, pause=(3.0, 6.0))
    story = chaos.told(tmp_path, broker, plan)
    assert story.deeds.total() >= 2
    assert story.verdict.faults == []
    assert story.verdict.journal.commits > 0
    assert sorted(story.gaps) == [0, 1, 2, 3]
