"""The daemon on a disk that fills: it answers on, says so, and catches up when there is room."""

import re
from pathlib import Path

import pytest

from tests.checkpoints import paths
from tests.daemon import Daemon, running
from tests.places import fill, small_disk


def metric(daemon: Daemon, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", daemon.get("metrics")[1].decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.slow
def test_a_full_disk_stops_checkpoints_and_no_answers(tmp_path: Path) -> None:
    """A daemon is started, on a disk that is really full for a while."""
    with small_disk(tmp_path / "disk", "200m") as disk:
        words = (
            "--set",
            f"checkpoint.folder={disk / 'c'}",
            "--set",
            "checkpoint.every_seconds=0.3",
        )
        with running(tmp_path, *words) as daemon:
            daemon.until(lambda: len(paths(disk / "c")) == 3)
            fill(filler := disk / "filler")
            daemon.until(lambda: metric(daemon, "adaptd_checkpoint_failures_total") >= 2)
            before = metric(daemon, "adaptd_events_total")
            whole = paths(disk / "c")[-1]
            daemon.until(lambda: metric(daemon, "adaptd_events_total") > before)
            said = [one["why"] for one in daemon.lines() if "checkpoint failed" in one["event"]]
            assert "No space left on device" in said[0]
            assert "make room" in said[0]
            filler.unlink()
            daemon.until(lambda: paths(disk / "c")[-1].name[:23] > whole.name[:23])
            assert daemon.stop() == 0
