"""One writer for many shards: in turn, the newest of each, whatever befalls the others."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.service.checkpoint import CheckpointStore, Saved
from agent.service.snapshot import CheckpointError
from agent.service.store_survey import survey
from agent.service.writer import Writer
from tests.checkpoints import loaded, state, store
from tests.places import hook, in_memory


class Slow:
    """A hook that lets a write wait until it may go on."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, verb: str, _: str) -> None:
        if verb == "write":
            self.begun.set()
            assert self.go.wait(10)


def failing(verb: str, _: str) -> None:
    if verb == "write":
        raise ConnectionError("the store is away")


def submit(writer: Writer, one: CheckpointStore, value: float, done: list[Saved]) -> None:
    writer.submit(one, state(value), {"value": value}, done.append)


def idle(writer: Writer) -> None:
    """Wait until nothing is written or waits; failures stay to be told."""
    until = time.monotonic() + 10
    while writer._busy(None):
        assert time.monotonic() < until
        time.sleep(0.001)


@contextmanager
def held(url: str) -> Iterator[tuple[Writer, Slow, list[Saved]]]:
    """Give a writer that is stuck at shard 0001; it goes on at the end if not before."""
    slow, done = Slow(), list[Saved]()
    with Writer() as writer:
        try:
            submit(writer, hook(store(url, shard="0001"), slow), 1, done)
            assert slow.begun.wait(10)
            yield writer, slow, done
        finally:
            slow.go.set()


def test_shards_are_written_in_the_order_in_which_they_came() -> None:
    with in_memory() as url:
        with held(url) as (writer, _, done):
            for value in (2, 3, 4):
                submit(writer, store(url, shard=f"{value:04d}"), value, done)
            submit(writer, store(url, shard="0002"), 5, done)  # keeps the place of the one before
        shards = [one.path.rpartition("/")[0][-4:] for one in done]
        assert shards == ["0001", "0002", "0003", "0004"]
        assert [loaded(url, shard) for shard in shards] == [1, 5, 3, 4]


def test_a_slow_store_costs_checkpoints_and_no_time_of_the_loop() -> None:
    """A store that takes for ever: a thousand photographs are handed over, the last one counts."""
    with in_memory() as url:
        one = store(url, shard="0002")
        with held(url) as (writer, slow, done):
            begun = time.monotonic()
            for value in range(1000):
                submit(writer, one, value, done)
            assert time.monotonic() - begun < 5
            assert not done
            slow.go.set()
            writer.drain(10)
        assert len(done) == 2
        assert loaded(url, "0002") == 999
        assert [found.shard for found in survey(url)] == ["0001", "0002"]


def test_a_shard_that_is_let_go_is_written_first() -> None:
    with in_memory() as url:
        with held(url) as (writer, slow, done):
            for value in (2, 3, 4):
                submit(writer, store(url, shard=f"{value:04d}"), value, done)
            with pytest.raises(CheckpointError, match=r"not written within 0.01 s"):
                writer.drain(0.01, "0004")
            slow.go.set()
            writer.drain(10, "0004")
            assert [one.path.rpartition("/")[0][-4:] for one in done[:2]] == ["0001", "0004"]
        assert len(done) == 4


def test_a_drain_of_one_shard_does_not_wait_for_others() -> None:
    with in_memory() as url, held(url) as (writer, _, done):
        writer.drain(0.0, "0002")
        assert not done


def test_a_failure_is_told_to_its_own_shard() -> None:
    with in_memory() as url:
        good, bad = store(url, shard="0001"), hook(store(url, shard="0002"), failing)
        done: list[Saved] = []
        with Writer() as writer:
            submit(writer, bad, 1, done)
            submit(writer, good, 2, done)
            writer.drain(10, "0001")  # the other's failure does not stop this one
            assert len(done) == 1
            assert writer.failed("0001") is None
            idle(writer)
            failure = writer.failed()
            assert failure is not None
            assert "shard-0002: the store is away" in str(failure)
            assert writer.failed() is None
            submit(writer, bad, 3, done)
            with pytest.raises(CheckpointError, match="shard-0002: the store is away"):
                writer.drain(10)


def test_a_store_that_comes_back_is_written_to_again() -> None:
    with in_memory() as url:
        away = True

        def told(verb: str, about: str) -> None:
            if away:
                failing(verb, about)

        one, done = hook(store(url), told), list[Saved]()
        with Writer() as writer:
            for value in range(3):
                submit(writer, one, value, done)
                with pytest.raises(CheckpointError, match="away"):
                    writer.drain(10)
            away = False
            submit(writer, one, 9, done)
        assert len(done) == 1
        assert loaded(url) == 9


def test_what_is_cancelled_is_neither_written_nor_told() -> None:
    with in_memory() as url:
        with held(url) as (writer, slow, done):
            submit(writer, store(url, shard="0002"), 2, done)
            submit(writer, hook(store(url, shard="0003"), failing), 3, done)
            writer.cancel("0002")
            slow.go.set()
            idle(writer)
            writer.cancel("0003")  # its failure is nobody's now: closing raises nothing
        assert len(done) == 1
        assert loaded(url, "0002") is None
