"""The scripted source and the sink do what the script says, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.memory import Crash, Crashed, Duplicate, End, MemorySink, MemorySource, Stall
from streams.records import ClassPrediction, Event, Record, Refused
from streams.source import SourceError

EVENTS = [Event(str(i), "", float(i), ()) for i in range(5)]
SAID = [ClassPrediction(str(i), "", 0.0, None, {}) for i in range(5)]
LETTER = Refused("undecodable", "", "w", b"")


def test_a_crash_is_raised_once_where_it_stands() -> None:
    source = MemorySource([*EVENTS[:2], Crash(), *EVENTS[2:], End()])
    assert source.poll(9, 0.0) == EVENTS[:2]
    with pytest.raises(Crashed):
        source.poll(9, 0.0)
    source.seek({})
    assert source.poll(9, 0.0) == EVENTS


def test_a_crash_stops_what_catches_exceptions() -> None:
    assert not issubclass(Crashed, Exception)


def test_a_stall_gives_nothing_for_so_many_polls() -> None:
    source = MemorySource([EVENTS[0], Stall(2), EVENTS[1], End()])
    assert [list(source.poll(9, 0.0)) for _ in range(4)] == [[EVENTS[0]], [], [], [EVENTS[1]]]


def test_a_duplicate_has_a_position_of_its_own() -> None:
    source = MemorySource([EVENTS[0], Duplicate(EVENTS[0]), End()])
    assert source.poll(9, 0.0) == [EVENTS[0], EVENTS[0]]
    assert source.position() == {"script": 2}


def test_it_ends_at_its_end_and_without_one_never() -> None:
    closed, opened = MemorySource([EVENTS[0], End(), EVENTS[1]]), MemorySource([EVENTS[0]])
    assert not closed.ended()
    assert closed.poll(9, 0.0) == opened.poll(9, 0.0) == [EVENTS[0]]
    assert closed.ended()
    assert not opened.ended()
    opened.extend([EVENTS[1]])
    assert opened.lag() == {"script": 1}
    assert opened.poll(9, 0.0) == [EVENTS[1]]


def test_a_crash_before_the_end_comes_before_the_end() -> None:
    source = MemorySource([EVENTS[0], Crash(), End()])
    source.poll(9, 0.0)
    assert not source.ended()
    with pytest.raises(Crashed):
        source.poll(9, 0.0)
    assert source.ended()


@given(st.integers(0, 5), st.integers(1, 4))
def test_after_a_seek_the_same_records_come(at: int, most: int) -> None:
    source = MemorySource([*EVENTS, End()])
    source.poll(3, 0.0)
    source.seek({"script": at})
    records: list[Record] = []
    while not source.ended():
        records += source.poll(most, 0.0)
    assert records == EVENTS[at:]


def test_a_seek_beyond_the_script_is_an_error() -> None:
    with pytest.raises(SourceError, match="5 records, not 6"):
        MemorySource(EVENTS).seek({"script": 6})


def test_commits_are_kept_to_be_looked_at() -> None:
    source = MemorySource(EVENTS)
    source.commit({"script": 2})
    assert source.committed == [{"script": 2}]


def test_a_sink_that_goes_back_is_cut_to_its_position() -> None:
    sink = MemorySink()
    sink.predictions(SAID[:2])
    there = sink.position()
    sink.predictions(SAID[2:])
    sink.refused([LETTER])
    sink.seek(there)
    assert (sink.said, sink.letters) == (SAID[:2], [])


def test_a_sink_that_does_not_go_back_keeps_all() -> None:
    sink = MemorySink(goes_back=False)
    sink.predictions(SAID)
    assert sink.position() == {}
    sink.seek({"predictions": 0})
    assert sink.said == SAID


def test_a_crash_loses_what_was_not_flushed() -> None:
    sink = MemorySink()
    sink.predictions(SAID[:2])
    sink.flush()
    sink.predictions(SAID[2:])
    sink.refused([LETTER])
    sink.crash()
    assert (sink.said, sink.letters) == (SAID[:2], [])


def test_a_broken_flush_raises_and_makes_nothing_durable() -> None:
    sink = MemorySink(broken_flushes=1)
    sink.predictions(SAID)
    with pytest.raises(SourceError):
        sink.flush()
    sink.crash()
    assert sink.said == []
    sink.flush()
    assert sink.flushes == 1
