"""The checkpoint writer: a photograph now, the disk later, errors where the loop asks next."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.service.checkpoint import Saved
from agent.service.snapshot import CheckpointError
from agent.service.writer import Writer
from tests.checkpoints import files_no_larger_than, loaded, paths, state, store


def ignore(_: Saved) -> None:
    """Nobody waits for this one."""


def noting(done: list[int], value: int) -> Callable[[Saved], None]:
    return lambda _: done.append(value)


def test_the_writer_takes_a_photograph(tmp_path: Path) -> None:
    weights, counts = torch.ones(2, 3), np.ones(1, np.int64)
    meta = {"value": 1.0}
    done: list[Saved] = []
    one = store(tmp_path)
    with Writer() as writer:
        writer.submit(one, {"weights": weights, "counts": counts}, meta, done.append)
        weights += 1
        counts += 1
        meta["value"] = 2.0
    assert loaded(tmp_path) == 1
    assert [Path(one.path) for one in done] == paths(tmp_path)
    assert done[0].bytes == sum(file.stat().st_size for file in Path(done[0].path).iterdir())


def test_a_newer_one_takes_the_place_of_the_one_that_waits(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def first(_: Saved) -> None:
        begun.set()
        assert go.wait(10)
        done.append(0)

    one = store(tmp_path, keep=10)
    with Writer() as writer:
        writer.submit(one, state(0), {"value": 0}, first)
        assert begun.wait(10)
        for value in (1, 2, 3):
            writer.submit(one, state(value), {"value": value}, noting(done, value))
        with pytest.raises(CheckpointError, match="not written within"):
            writer.drain(0.01)
        go.set()
        writer.drain(10)
        assert done == [0, 3]
    assert len(paths(tmp_path)) == 2
    assert loaded(tmp_path) == 3


def test_a_failed_write_is_raised_once_and_the_next_one_is_written(tmp_path: Path) -> None:
    done: list[Saved] = []
    one = store(tmp_path)
    with Writer() as writer:
        with files_no_larger_than(10):
            writer.submit(one, state(1), {"value": 1}, done.append)
            with pytest.raises(CheckpointError, match="make room"):
                writer.drain(10)
        writer.drain(10)
        assert not done
        with files_no_larger_than(10):
            writer.submit(one, state(2), {"value": 2}, done.append)
            deadline = time.monotonic() + 10
            while not writer._failures and time.monotonic() < deadline:
                time.sleep(0.001)
        with pytest.raises(CheckpointError, match="make room"):
            writer.submit(one, state(3), {"value": 3}, done.append)
        writer.drain(10)
    assert len(done) == 1
    assert loaded(tmp_path) == 3


def test_a_failing_callback_is_raised_too(tmp_path: Path) -> None:
    def fail(_: Saved) -> None:
        raise RuntimeError("no commit")

    one = store(tmp_path)
    with Writer() as writer:
        writer.submit(one, state(1), {"value": 1}, fail)
        with pytest.raises(CheckpointError, match="no commit"):
            writer.drain(10)


def test_a_closed_writer_takes_no_more_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    one, writer = store(tmp_path), Writer()
    writer.submit(one, state(1), {"value": 1}, ignore)
    writer.close()
    writer.close()
    assert loaded(tmp_path) == 1
    left = set(threading.enumerate()) - before
    assert not any(thread.name == "checkpoint" for thread in left)
    with pytest.raises(CheckpointError, match="is closed"):
        writer.submit(one, state(2), {"value": 2}, ignore)


def test_under_many_submissions_the_last_one_ends_on_disk(tmp_path: Path) -> None:
    done: list[int] = []
    one = store(tmp_path, keep=2)
    with Writer() as writer:
        for value in range(200):
            writer.submit(one, state(value), {"value": value}, noting(done, value))
    assert loaded(tmp_path) == 199
    assert done == sorted(set(done))
    assert done[-1] == 199
